"""Table 6: how many posts have OCR text in their image, and how much."""

import pytest

from ita.config import Table
from ita.errors import UserError
from ita.io import parquet
from ita.reporting.report_rows import ReportSettings
from ita.reporting.tables import ocr

SETTINGS = ReportSettings.read({"name": "table6", "dataset": "twitter15"})
TABLE = Table(kind="ocr", ocr_engines=["tesseract"])


def test_posts_with_text_beside_the_papers(tmp_path, post_rows):
    texts = [
        {"image_id": row["image_id"], "text": "two words" if number % 2 else " ", "engine": "r", "version": "1"}
        for number, row in enumerate(post_rows)
        if row["image_id"]
    ]
    posts, table = tmp_path / "posts.parquet", tmp_path / "ocr.parquet"
    parquet.write("posts", post_rows, posts, {"label_version": "v1"})
    parquet.write("ocr", texts, table)
    report = ocr.build(posts, [table], SETTINGS, TABLE)
    row = report.numbers.set_index("split").loc["all"]
    images_with_text = {text["image_id"] for text in texts if text["text"].strip()}
    with_text = sum(post["image_id"] in images_with_text for post in post_rows)
    assert row["with_text"] == with_text
    assert row["share"] == pytest.approx(100 * with_text / len(post_rows))
    assert row[["mean_tokens", "share_paper", "mean_tokens_paper"]].tolist() == [2, 26, 28]
    assert row["mean_tokens_difference"] == -26
    assert report.metadata == {"label_version": "v1", "ocr_engines": {"tesseract": "r 1"}}
    assert report.display["Split"].tolist() == ["train", "dev", "test", "all"]


def test_tables_that_are_missing(tmp_path):
    with pytest.raises(UserError, match="needs --posts, and --ocr once for each of table.ocr_engines"):
        ocr.build(None, [], SETTINGS, TABLE)
    with pytest.raises(UserError, match="once for each"):
        ocr.build(tmp_path / "posts.parquet", [tmp_path / "a", tmp_path / "b"], SETTINGS, TABLE)
