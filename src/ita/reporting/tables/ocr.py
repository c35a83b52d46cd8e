"""Table 6: how many posts have text in their image, and how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ita.config import Table
from ita.data.ocr_text import statistics
from ita.errors import UserError
from ita.io import parquet
from ita.reporting import reported
from ita.reporting.report_table import ReportTable, plain

TITLE = "Characters in the images"
NOTES = (
    "share: posts with text in their image, in percent of all posts; tokens: words of that text, mean and median over "
    "the posts that have some.",
    "diff: ours minus the paper's, which says 'about'.",
)
COLUMNS = {"share": "share (%)", "mean_tokens": "mean tokens", "median_tokens": "median tokens"}


def build(posts: Path | None, ocr: Sequence[Path], settings: Mapping[str, Any], chosen: Table) -> ReportTable:
    """One row per OCR engine and split.

    Raises:
        UserError: when a table is missing.
    """
    if posts is None or len(ocr) != len(chosen.ocr_engines):
        raise UserError("a table of the kind 'ocr' needs --posts, and --ocr once for each of table.ocr_engines")
    found = parquet.read("posts", posts, ["split", "image_id"])
    ocr_engines: dict[str, str] = {}
    theirs = {row["split"]: row for row in reported.rows("table6", str(settings["dataset"]))}
    rows: list[dict[str, Any]] = []
    for ocr_engine, path in zip(chosen.ocr_engines, ocr, strict=True):
        read = parquet.rows("ocr", path)
        ocr_engines[ocr_engine] = " ".join(sorted({f"{row['engine']} {row['version']}" for row in read})) or ocr_engine
        for row in statistics(found.to_pylist(), read):
            values = {"dataset": settings["dataset"], "ocr_engine": ocr_engine, **row}
            for column in ("share", "mean_tokens"):
                paper = reported.number(theirs.get(row["split"], {}).get(column))
                values[f"{column}_paper"] = paper
                ours = row[column]
                values[f"{column}_difference"] = None if paper is None or ours is None else ours - paper
            rows.append(values)
    numbers = pd.DataFrame(rows)
    about = {"label_version": parquet.metadata(posts).get("label_version"), "ocr_engines": ocr_engines}
    return ReportTable(TITLE, numbers, readable(numbers), list(NOTES if theirs else NOTES[:1]), about, names=2)


def readable(numbers: pd.DataFrame) -> pd.DataFrame:
    """Reader, split, posts, posts with text, share, tokens; the paper's and the difference where it has them."""
    columns = {
        "OCR engine": list(numbers["ocr_engine"]),
        "Split": list(numbers["split"]),
        "posts": [str(value) for value in numbers["posts"]],
        "with text": [str(value) for value in numbers["with_text"]],
    }
    for column, heading in COLUMNS.items():
        columns[heading] = [plain(value, ".1f") for value in numbers[column]]
        for suffix, form in (("paper", ".0f"), ("difference", "+.1f")):
            if f"{column}_{suffix}" in numbers and numbers[f"{column}_{suffix}"].notna().any():
                short = {"paper": "paper", "difference": "diff"}[suffix]
                columns[f"{short} {heading}"] = [plain(value, form) for value in numbers[f"{column}_{suffix}"]]
    return pd.DataFrame(columns)
