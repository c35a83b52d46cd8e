"""Analysis of F1: boundaries and types, entities seen in training or not, images and their text, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ita.config import Table
from ita.data import VIEWS
from ita.data.tags import Span
from ita.errors import UserError
from ita.io import parquet
from ita.reporting.notes import run_notes
from ita.reporting.report_rows import ReportSettings, report_rows
from ita.reporting.report_table import ReportTable, mean_and_std, summarise
from ita.reporting.runs import Run, Runs, SplitPredictions
from ita.reporting.updates import training_cells, training_display
from ita.significance import slices
from ita.significance.calibration import expected_calibration_error
from ita.significance.counts import (
    GOLD,
    IntArray,
    count_boundaries,
    count_matches,
    micro_f1,
    span_sets,
    type_accuracy,
)

TITLE = "Parts of F1"
COLUMNS = {
    "f1": "F1",
    "strict": "strict F1",
    "boundary": "boundary F1",
    "type_accuracy": "type accuracy",
    "seen": "seen",
    "unseen": "unseen",
    "image": "image",
    "no_image": "no image",
    "ocr": "text in image",
    "no_ocr": "no text in image",
    "ece": "ECE",
}
NOTES = (
    "In percent, mean ± standard deviation over seeds, in the views that a system is trained on. F1: seqeval's "
    "default mode; strict F1: its strict IOB2 mode; boundary F1: boundaries alone; type accuracy: share of the spans "
    "with right boundaries whose type is right.",
    "F1 of parts: seen / unseen: spans whose words and type are, or are not, an entity of the training posts; "
    "image: posts with a usable image; text in image: posts whose image holds OCR text.",
    "ECE: expected calibration error of the posteriors of the predicted spans (10 bins). A part without entities is "
    "empty.",
)


@dataclass(frozen=True)
class PostFacts:
    """What the slices need to know of the posts."""

    tokens: dict[str, list[str]]
    """Words by post."""
    images: dict[str, str | None]
    """Name of the image by post."""
    seen: set[slices.Surface]
    """Entities of the training posts."""
    image_rows: list[dict[str, Any]]
    ocr_rows: list[dict[str, Any]] | None
    """None without an OCR table."""

    def masks(self, posts: Sequence[str]) -> dict[str, slices.PostMask]:
        """Masks (P,) by slice: True for a post whose image can be used, and for one whose image holds text."""
        image_ids = [self.images[post] for post in posts]
        masks = {"image": slices.has_image(image_ids, self.image_rows)}
        if self.ocr_rows is not None:
            masks["ocr"] = slices.has_ocr_text(image_ids, self.ocr_rows)
        return masks


def build(
    runs: Runs, posts: Path | None, images: Path | None, ocr: Path | None, settings: ReportSettings, table: Table
) -> ReportTable:
    """One row per encoder, system and view trained on.

    Raises:
        UserError: when a run or a table is missing.
    """
    if posts is None or images is None:
        raise UserError("a table of the kind 'analysis' needs --posts and --images (and --ocr for its last slices)")
    facts = read_posts(posts, images, ocr)
    rows: list[dict[str, Any]] = []
    for row in report_rows(settings, table.encoders, table.systems):
        for view in row.distinct_views:
            row_runs = runs.of(row.encoder, row.system)
            per_seed = [analyse(run, table.split, view, facts) for run in row_runs]
            cells: dict[str, Any] = {**row.labels, "view": VIEWS[view], "n": len(per_seed), **training_cells(row_runs)}
            for column in COLUMNS:
                cell = summarise(values[column] for values in per_seed)
                cells |= {f"{column}_{part}": cell[part] for part in ("mean", "std", "seeds")}
            entities = {f"{part}_entities": count for part, count in per_seed[0]["entities"].items()}
            rows.append(cells | entities)
    numbers = pd.DataFrame(rows)
    display = display_frame(numbers, table.digits)
    notes = [*NOTES, *run_notes(runs, settings, table, rows)]
    return ReportTable(TITLE, numbers, display, notes, runs.metadata, label_columns=3)


def read_posts(posts: Path, images: Path, ocr: Path | None) -> PostFacts:
    """The posts, the entities of the training posts, and the tables of images and OCR text."""
    rows = parquet.read("posts", posts, ["post_id", "split", "image_id", "tokens", "tags"]).to_pylist()
    train = [row for row in rows if row["split"] == "train"]
    return PostFacts(
        tokens={row["post_id"]: row["tokens"] for row in rows},
        images={row["post_id"]: row["image_id"] for row in rows},
        seen=slices.seen_entities([row["tokens"] for row in train], [row["tags"] for row in train]),
        image_rows=parquet.read("images", images, ["image_id", "status"]).to_pylist(),
        ocr_rows=parquet.read("ocr", ocr, ["image_id", "text"]).to_pylist() if ocr else None,
    )


def analyse(run: Run, split: str, view: str, facts: PostFacts) -> dict[str, Any]:
    """All columns of one run; None where a part has no entities."""
    predictions = run.predictions(split, view)
    if missing := [post for post in predictions.posts if post not in facts.tokens]:
        raise UserError(
            f"{run.predictions_file}: has the post {missing[0]!r}, which is not in posts.parquet; evaluate it again"
        )
    posts = span_sets(predictions.gold, predictions.predicted)
    total, boundaries = count_matches(posts), count_boundaries(posts)
    parts = slice_counts(predictions, total, facts)
    entities = {part: int(counts[:, GOLD].sum()) for part, counts in parts.items()}
    return {
        **dict.fromkeys(COLUMNS),
        **{part: micro_f1(counts) for part, counts in parts.items() if entities[part]},
        "f1": micro_f1(total),
        "strict": run.scores(split, view, "strict")["f1"],
        "boundary": micro_f1(boundaries),
        "type_accuracy": type_accuracy(total, boundaries),
        "ece": calibration_error(predictions, [gold for gold, _ in posts]),
        "entities": entities,
    }


def slice_counts(predictions: SplitPredictions, total: IntArray, facts: PostFacts) -> dict[str, IntArray]:
    """Counts (P, 3) of seen and unseen entities, and of the posts inside and outside of every mask."""
    tokens = [facts.tokens[post] for post in predictions.posts]
    parts = slices.count_seen_and_unseen(tokens, predictions.gold, predictions.predicted, facts.seen)
    for name, mask in facts.masks(predictions.posts).items():
        parts |= {name: total[mask], f"no_{name}": total[~mask]}
    return parts


def calibration_error(predictions: SplitPredictions, gold: Sequence[set[Span]]) -> float | None:
    """Expected calibration error of the posteriors of the predicted spans; None without any."""
    posteriors: list[float] = []
    correct: list[bool] = []
    for gold_spans, predicted in zip(gold, predictions.spans, strict=True):
        posteriors += [span["posterior"] for span in predicted]
        correct += [Span(span["start"], span["end"], span["type"]) in gold_spans for span in predicted]
    error = expected_calibration_error(posteriors, correct)
    return None if np.isnan(error) else error


def display_frame(numbers: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Mean ± deviation of every column that has values; updates; seeds."""
    columns = {
        "Encoder": list(numbers["encoder"]),
        "Approach": list(numbers["approach"]),
        "View": list(numbers["view"]),
    }
    for column, heading in COLUMNS.items():
        if numbers[f"{column}_mean"].notna().any():
            pairs = zip(numbers[f"{column}_mean"], numbers[f"{column}_std"], strict=True)
            columns[heading] = [mean_and_std(mean, std, digits) for mean, std in pairs]
    columns |= training_display(numbers)
    columns["n"] = [str(n) for n in numbers["n"]]
    return pd.DataFrame(columns)
