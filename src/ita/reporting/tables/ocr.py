"""Table 6: how many posts have text in their image, and how much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import pandas as pd

from ita.config import Table
from ita.data import SPLITS
from ita.data.visual_context import count_words
from ita.errors import UserError
from ita.io import parquet
from ita.reporting import reported
from ita.reporting.report_rows import ReportSettings
from ita.reporting.report_table import ReportTable, format_column

TITLE = "OCR text in the images"
NOTES = (
    "share: posts with text in their image, in percent of all posts; tokens: words of that text, mean and median over "
    "the posts that have some.",
    "diff: ours minus the paper's, which says 'about'.",
)
COLUMNS = {"share": "share (%)", "mean_tokens": "mean tokens", "median_tokens": "median tokens"}
BESIDE = {"paper": ("paper", ".0f"), "difference": ("diff", "+.1f")}
"""Suffix of a column -> heading and format."""
ALL = "all"
"""The split that holds all posts."""


def build(posts: Path | None, ocr: Sequence[Path], settings: ReportSettings, table: Table) -> ReportTable:
    """One row per OCR engine and split.

    Raises:
        UserError: when a table is missing.
    """
    if posts is None or len(ocr) != len(table.ocr_engines):
        raise UserError("a table of the kind 'ocr' needs --posts, and --ocr once for each of table.ocr_engines")
    post_rows = parquet.read("posts", posts, ["split", "image_id"]).to_pylist()
    paper_rows = {row["split"]: row for row in reported.rows("table6", settings.dataset)}
    engines: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    for ocr_engine, path in zip(table.ocr_engines, ocr, strict=True):
        texts = parquet.rows("ocr", path)
        engines[ocr_engine] = " ".join(sorted({f"{row['engine']} {row['version']}" for row in texts})) or ocr_engine
        for split in text_statistics(post_rows, texts):
            labels = {"dataset": settings.dataset, "ocr_engine": ocr_engine}
            rows.append({**labels, **split, **beside_paper(split, paper_rows.get(split["split"], {}))})
    numbers = pd.DataFrame(rows)
    metadata = {"label_version": parquet.metadata(posts).get("label_version"), "ocr_engines": engines}
    notes = list(NOTES if paper_rows else NOTES[:1])
    return ReportTable(TITLE, numbers, display_frame(numbers), notes, metadata, label_columns=2)


def text_statistics(posts: Iterable[Mapping[str, Any]], ocr: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Counts posts whose image has text, and the words of that text.

    Posts that share an image count one by one; a post without an image, or whose image is missing, has no text.

    Args:
        posts: rows of posts.parquet, of which ``split`` and ``image_id`` are read.
        ocr: rows of a table of OCR text.

    Returns:
        A row for each of train, dev, test and all: ``split``; ``posts``; ``with_text``, posts with at least one word;
        ``share``, those in percent of the posts; ``mean_tokens`` and ``median_tokens`` of those, None without any.
    """
    words_of_image = {row["image_id"]: count_words(row["text"] or "") for row in ocr}
    counts: dict[str, list[int]] = {split: [] for split in (*SPLITS, ALL)}
    for post in posts:
        count = words_of_image.get(post["image_id"], 0)
        counts[post["split"]].append(count)
        counts[ALL].append(count)
    return [split_statistics(split, split_counts) for split, split_counts in counts.items()]


def split_statistics(split: str, counts: Sequence[int]) -> dict[str, Any]:
    """The row of a split, from the words of each of its posts."""
    with_text = [count for count in counts if count]
    return {
        "split": split,
        "posts": len(counts),
        "with_text": len(with_text),
        "share": 100 * len(with_text) / len(counts) if counts else 0.0,
        "mean_tokens": fmean(with_text) if with_text else None,
        "median_tokens": median(with_text) if with_text else None,
    }


def beside_paper(split: dict[str, Any], paper: dict[str, str]) -> dict[str, float | None]:
    """The paper's values and the differences to them."""
    values: dict[str, float | None] = {}
    for column in ("share", "mean_tokens"):
        reported_value = reported.number(paper.get(column))
        values[f"{column}_paper"] = reported_value
        unknown = reported_value is None or split[column] is None
        values[f"{column}_difference"] = None if unknown else split[column] - reported_value
    return values


def display_frame(numbers: pd.DataFrame) -> pd.DataFrame:
    """OCR engine, split, posts, posts with text, share, tokens; the paper's values and the differences."""
    columns = {
        "OCR engine": list(numbers["ocr_engine"]),
        "Split": list(numbers["split"]),
        "posts": [str(value) for value in numbers["posts"]],
        "with text": [str(value) for value in numbers["with_text"]],
    }
    for column, heading in COLUMNS.items():
        columns[heading] = format_column(numbers[column], ".1f")
        for suffix, (short, spec) in BESIDE.items():
            name = f"{column}_{suffix}"
            if name in numbers and numbers[name].notna().any():
                columns[f"{short} {heading}"] = format_column(numbers[name], spec)
    return pd.DataFrame(columns)
