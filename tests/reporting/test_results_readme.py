"""results/README.md explains every column of every table."""

import re

import pytest

from ita.config import Table
from ita.io import parquet
from ita.reporting.report_rows import ReportSettings
from ita.reporting.tables import BUILDERS, analysis, cost, ocr
from tests.support.made_reports import table_inputs, table_settings
from tests.support.paths import ROOT

SYSTEMS = ["crf", "ita-all-cva"]


@pytest.fixture
def tables(tmp_path, post_rows):
    """posts.parquet, images.parquet and an OCR table."""
    images = [{"image_id": post["image_id"], "status": "ok"} for post in post_rows if post["image_id"]]
    paths = {name: tmp_path / f"{name}.parquet" for name in ("posts", "images", "ocr")}
    parquet.write("posts", post_rows, paths["posts"])
    parquet.write("images", images, paths["images"])
    parquet.write("ocr", [{"image_id": row["image_id"], "text": "a"} for row in images], paths["ocr"])
    return paths


def build(kind, metrics, tables):
    runs, settings, table = table_inputs(metrics, table_settings(kind, SYSTEMS, kind))
    if kind == "ocr":
        settings = ReportSettings.read({"name": "table6", "dataset": "twitter15"})
        return ocr.build(tables["posts"], [tables["ocr"]], settings, Table(kind="ocr", ocr_engines=["tesseract"]))
    if kind == "analysis":
        return analysis.build(runs, *tables.values(), settings, table)
    return BUILDERS[kind](runs, settings, table)


def documented(heading):
    """Names in the part of the page that begins with a heading, and in the part about all tables."""
    text = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    part = text.partition(f"**{heading}**")[2]
    end = re.search(r"^\*\*", part, re.MULTILINE)
    everywhere = text.partition("## Tables and figures")[2].partition("**Kind")[0]
    return set(re.findall(r"`([a-z0-9_]+)`", part[: end.start()] + everywhere))


def is_explained(column, names):
    """Whether a column is named, or a prefix of it and the rest are."""
    if column in names:
        return True
    parts = [(column[:at], column[at + 1 :]) for at, letter in enumerate(column) if letter == "_"]
    return any({prefix, f"{prefix}_"} & names and rest in names for prefix, rest in parts)


@pytest.mark.parametrize("kind", ["f1", "best", "labels", "types", "ocr", "analysis"])
def test_every_column_is_explained(kind, metrics, tables):
    names = documented(f"Kind `{kind}`")
    if kind in ("best", "labels", "types"):
        names |= documented("Kind `f1`")
    columns = list(build(kind, metrics, tables).numbers)
    assert [column for column in columns if not is_explained(column, names)] == []


def test_the_columns_of_cost_are_explained():
    names = documented("`paper/cost.csv`")
    assert [column for column in cost.build(None, "demo").numbers if column not in names] == []
