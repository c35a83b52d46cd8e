"""Analysis of F1: boundaries and types, entities seen in training or not, images, kinds of error, calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ita.config import Table
from ita.data import VIEWS
from ita.data.tags import Span, illegal_transitions
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
    SpanSets,
    count_boundaries,
    count_matches,
    micro_f1,
    span_sets,
    type_accuracy,
)
from ita.significance.errors import KINDS, count_kinds

TITLE = "Parts of F1"
PANELS = {
    "Scores": {
        "f1": "F1",
        "strict": "strict F1",
        "boundary": "boundary F1",
        "type_accuracy": "type accuracy",
        "ece": "ECE",
    },
    "F1 of parts": {
        "seen": "seen",
        "unseen": "unseen",
        "image": "image",
        "no_image": "no image",
        "ocr": "text in image",
        "no_ocr": "no text in image",
    },
    "Recall of entities": {
        "seen_recall": "seen",
        "unseen_type_recall": "unseen type",
        "unseen_words_recall": "unseen words",
        "confusable_recall": "type-confusable",
    },
    "Errors": {
        "boundary_errors": "boundary",
        "type_errors": "type",
        "both_errors": "both",
        "missed_errors": "missed",
        "invented_errors": "invented",
        "illegal": "illegal transitions",
    },
}
"""Panel -> column -> heading; no two panels have a column in common."""
COLUMNS = [column for columns in PANELS.values() for column in columns]
NOTES = (
    "In percent, mean ± standard deviation over seeds, in the views that a system is trained on. F1: seqeval's "
    "default mode; strict F1: its strict IOB2 mode; boundary F1: boundaries alone; type accuracy: share of the spans "
    "with right boundaries whose type is right. ECE: expected calibration error of the posteriors of the predicted "
    "spans (10 bins).",
    "F1 of parts: seen / unseen: spans whose words and type are, or are not, an entity of the training posts; "
    "image: posts with a usable image; text in image: posts whose image holds OCR text. A part without entities is "
    "empty.",
    "Recall of entities, after Tough Mentions Recall (Tu and Lignos, 2021): seen: words and type are an entity of the "
    "training posts; unseen type: the words are one, but of other types alone; unseen words: the words are none. "
    "Type-confusable: the words are entities of several types in this split. Entities: {mentions}.",
    "Errors, in spans: gold and predicted spans that share words are paired, and a pair is one error: boundary: other "
    "words, the same type; type: the same words; both: neither; missed and invented spans have no partner. Boundary + "
    "type + both + missed are all false negatives, with invented in place of missed all false positives.",
    "Illegal transitions, in tags: predicted I- tags that follow no tag of their type. The default mode begins an "
    "entity there, strict IOB2 does not; the CSV says which.",
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
            illegal = sum((values["transitions"] for values in per_seed), Counter[str]())
            rows.append(cells | entities | {"illegal_transitions": listed(illegal)})
    numbers = pd.DataFrame(rows)
    display, panels = display_frame(numbers, table.digits)
    notes = [note.format(mentions=mention_counts(rows[0])) for note in NOTES]
    notes += run_notes(runs, settings, table, rows)
    return ReportTable(TITLE, numbers, display, notes, runs.metadata, label_columns=3, panels=panels)


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
    for post, tags in zip(predictions.posts, predictions.gold, strict=True):
        if len(facts.tokens.get(post, [])) != len(tags):
            raise UserError(
                f"{run.predictions_file}: has the post {post!r}, which is not in posts.parquet or has other words "
                "there; evaluate it again"
            )
    posts = span_sets(predictions.gold, predictions.predicted)
    tokens = [facts.tokens[post] for post in predictions.posts]
    total, boundaries = count_matches(posts), count_boundaries(posts)
    parts = slice_counts(predictions.posts, tokens, posts, facts)
    entities = {part: int(counts[:, GOLD].sum()) for part, counts in parts.items()}
    mentions = slices.count_mentions(tokens, posts, facts.seen)
    transitions = Counter(transition for tags in predictions.predicted for transition in illegal_transitions(tags))
    return {
        **dict.fromkeys(COLUMNS),
        **{part: micro_f1(counts) for part, counts in parts.items() if entities[part]},
        **{f"{part}_recall": 100.0 * right / gold for part, (right, gold) in mentions.items() if gold},
        **error_counts(posts),
        "f1": micro_f1(total),
        "strict": run.scores(split, view, "strict")["f1"],
        "boundary": micro_f1(boundaries),
        "type_accuracy": type_accuracy(total, boundaries),
        "ece": calibration_error(predictions, [gold for gold, _ in posts]),
        "illegal": transitions.total(),
        "transitions": transitions,
        "entities": entities | {f"{part}_recall": gold for part, (_, gold) in mentions.items()},
    }


def slice_counts(
    posts: Sequence[str], tokens: slices.Tokens, span_posts: Sequence[SpanSets], facts: PostFacts
) -> dict[str, IntArray]:
    """Counts (P, 3) of seen and unseen entities, and of the posts inside and outside of every mask."""
    parts = slices.count_seen_and_unseen(tokens, span_posts, facts.seen)
    total = parts["seen"] + parts["unseen"]
    for name, mask in facts.masks(posts).items():
        parts |= {name: total[mask], f"no_{name}": total[~mask]}
    return parts


def error_counts(posts: Sequence[SpanSets]) -> dict[str, int]:
    """Errors of every kind: spans, where a pair of a gold and a predicted one counts once."""
    wrong = [(sorted(gold), sorted(predicted)) for gold, predicted in posts if gold != predicted]
    kinds = count_kinds(wrong).sum(axis=0).tolist()
    return {f"{kind}_errors": count for kind, count in zip(KINDS, kinds, strict=True) if kind != "right"}


def calibration_error(predictions: SplitPredictions, gold: Sequence[set[Span]]) -> float | None:
    """Expected calibration error of the posteriors of the predicted spans; None without any."""
    posteriors: list[float] = []
    correct: list[bool] = []
    for gold_spans, predicted in zip(gold, predictions.spans, strict=True):
        posteriors += [span["posterior"] for span in predicted]
        correct += [Span(span["start"], span["end"], span["type"]) in gold_spans for span in predicted]
    error = expected_calibration_error(posteriors, correct)
    return None if np.isnan(error) else error


def mention_counts(row: Mapping[str, Any]) -> str:
    """How many entities each slice of the recall has: the same for all rows, as they are gold spans."""
    return ", ".join(
        f"{heading} {row[f'{column}_entities']:,}" for column, heading in PANELS["Recall of entities"].items()
    )


def listed(transitions: Mapping[str, int]) -> str:
    """Illegal transitions with their counts, the most frequent first: ``O I-PER: 3; start I-LOC: 1``."""
    ordered = sorted(transitions.items(), key=lambda item: (-item[1], item[0]))
    return "; ".join(f"{transition}: {count}" for transition, count in ordered)


def display_frame(numbers: pd.DataFrame, digits: int) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Mean ± deviation of every column that has values; updates; seeds.

    Returns:
        The cells, and panel -> its columns. Where two panels have the same heading, a column bears its panel's name.
    """
    columns = {
        "Encoder": list(numbers["encoder"]),
        "Approach": list(numbers["approach"]),
        "View": list(numbers["view"]),
    }
    panels: dict[str, list[str]] = {}
    for panel, headings in PANELS.items():
        for column, name in headings.items():
            if numbers[f"{column}_mean"].notna().any():
                heading = f"{name} ({panel})" if name in columns else name
                pairs = zip(numbers[f"{column}_mean"], numbers[f"{column}_std"], strict=True)
                columns[heading] = [mean_and_std(mean, std, digits) for mean, std in pairs]
                panels.setdefault(panel, []).append(heading)
    training = {**training_display(numbers), "n": [str(n) for n in numbers["n"]]}
    panels["Scores"] += training
    return pd.DataFrame(columns | training), panels
