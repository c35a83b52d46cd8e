"""Table 6: how many posts have OCR text in their image, and how much."""

import pytest

from ita.config import Table
from ita.errors import UserError
from ita.io import parquet
from ita.reporting.report_rows import ReportSettings
from ita.reporting.tables import ocr
from ita.reporting.tables.ocr import text_statistics

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


def post(split, image_id):
    return {"split": split, "image_id": image_id, "post_id": "any"}


def ocr_row(image_id, text):
    return {"image_id": image_id, "text": text}


def test_posts_are_counted_by_split():
    posts = [
        post("train", "two"),
        post("train", "two"),  # an image that was posted twice counts for both
        post("train", "blank"),
        post("train", None),
        post("dev", "gone"),
        post("test", "five"),
        post("test", "two"),
        post("test", "blank"),
    ]
    texts = [
        ocr_row("two", "Hello\n World \n\x0c"),
        ocr_row("blank", " \n\x0c"),
        ocr_row("five", "a b c d e"),
        ocr_row("other", "x"),
    ]
    rows = text_statistics(iter(posts), iter(texts))
    assert [tuple(row.values()) for row in rows] == [
        ("train", 4, 2, 50.0, 2.0, 2.0),
        ("dev", 1, 0, 0.0, None, None),
        ("test", 3, 2, pytest.approx(200 / 3), 3.5, 3.5),
        ("all", 8, 4, 50.0, 2.75, 2.0),
    ]
    assert list(rows[0]) == ["split", "posts", "with_text", "share", "mean_tokens", "median_tokens"]
    assert text_statistics(reversed(posts), reversed(texts)) == rows


def test_without_posts_there_are_zeros():
    assert [row["posts"] for row in text_statistics([], [])] == [0, 0, 0, 0]
    assert {row["share"] for row in text_statistics([], [])} == {0.0}
