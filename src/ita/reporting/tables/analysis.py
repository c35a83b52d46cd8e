"""Where F1 comes from: boundaries and types, entities seen in training or not, images and their text, calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ita.config import Table
from ita.data.tags import Span
from ita.errors import UserError
from ita.io import parquet
from ita.reporting.report_table import VIEWS, ReportTable, name_of, sees_images, spread, summary, views_of
from ita.reporting.runs import Run, Runs, SplitPredictions
from ita.significance import counts, slices
from ita.significance.calibration import expected_calibration_error

TITLE = "Parts of F1"
COLUMNS = {
    "f1": "F1",
    "strict": "strict F1",
    "span_only": "span F1",
    "typing": "typing",
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
    "default mode; strict F1: its strict IOB2 mode; span F1: boundaries alone; typing: share of the spans with right "
    "boundaries whose type is right.",
    "F1 of parts: seen / unseen: spans whose words and type stand, or do not, as an entity in the training posts; "
    "image: posts with a usable image; text in image: posts in whose image characters were read.",
    "ECE: expected calibration error of the posteriors of the spans found (10 bins). A part without entities is empty.",
)


@dataclass(frozen=True)
class Posts:
    """What the slices need to know of the posts."""

    tokens: dict[str, list[str]]
    images: dict[str, str | None]
    seen: set[tuple[str, str]]
    has_image: Callable[[list[str | None]], Any]
    has_ocr: Callable[[list[str | None]], Any] | None


def build(
    runs: Runs, posts: Path | None, images: Path | None, ocr: Path | None, settings: Mapping[str, Any], chosen: Table
) -> ReportTable:
    """One row per encoder, system and view trained on.

    Raises:
        UserError: when a run or a table is missing.
    """
    if posts is None or images is None:
        raise UserError("a table of the kind 'analysis' needs --posts and --images (and --ocr for its last slices)")
    known = read_posts(posts, images, ocr)
    rows: list[dict[str, Any]] = []
    for encoder in chosen.encoders:
        name = settings["encoders"][encoder]
        for key in chosen.systems:
            system = settings["systems"][key]
            for view in [view for view in views_of(system) if view == "t" or sees_images(system)]:
                measured = [parts(run, chosen.split, view, known) for run in runs.of(encoder, key)]
                row = {
                    "dataset": settings["dataset"],
                    "encoder": name,
                    "system": key,
                    "approach": name_of(system, key, name),
                    "view": VIEWS[view],
                    "n": len(measured),
                }
                for column in COLUMNS:
                    cell = summary(one[column] for one in measured)
                    row |= {f"{column}_{part}": cell[part] for part in ("mean", "std", "seeds")}
                rows.append(row | {f"{part}_entities": count for part, count in measured[0]["entities"].items()})
    numbers = pd.DataFrame(rows)
    return ReportTable(TITLE, numbers, readable(numbers, chosen.digits), list(NOTES), runs.about(), names=3)


def read_posts(posts: Path, images: Path, ocr: Path | None) -> Posts:
    """The posts, the entities of the training posts, and which images can be used and hold text."""
    rows = parquet.read("posts", posts, ["post_id", "split", "image_id", "tokens", "tags"]).to_pylist()
    train = [row for row in rows if row["split"] == "train"]
    pictures = parquet.read("images", images, ["image_id", "status"]).to_pylist()
    texts = parquet.read("ocr", ocr, ["image_id", "text"]).to_pylist() if ocr else None
    return Posts(
        tokens={row["post_id"]: row["tokens"] for row in rows},
        images={row["post_id"]: row["image_id"] for row in rows},
        seen=slices.seen_entities([row["tokens"] for row in train], [row["tags"] for row in train]),
        has_image=lambda names: slices.has_image(names, pictures),
        has_ocr=None if texts is None else lambda names: slices.has_ocr_text(names, texts),
    )


def parts(run: Run, split: str, view: str, known: Posts) -> dict[str, Any]:
    """All columns of one run; None where a part has no entities."""
    tagged = run.predictions(split, view)
    try:
        tokens = [known.tokens[post] for post in tagged.posts]
    except KeyError as error:
        raise UserError(
            f"{run.metrics}: has the post {error}, which posts.parquet has not; evaluate it again"
        ) from None
    pairs = counts.span_sets(tagged.gold, tagged.predicted)
    whole = counts.count_matches(pairs)
    bounded = counts.count_boundaries(pairs)
    pictures = [known.images[post] for post in tagged.posts]
    masks = {"image": known.has_image(pictures)}
    if known.has_ocr:
        masks["ocr"] = known.has_ocr(pictures)
    tallies = slices.count_seen_and_unseen(tokens, tagged.gold, tagged.predicted, known.seen)
    for part, mask in masks.items():
        tallies |= {part: whole[mask], f"no_{part}": whole[~mask]}
    entities = {part: int(tally[:, counts.GOLD].sum()) for part, tally in tallies.items()}
    columns: dict[str, Any] = dict.fromkeys(COLUMNS)
    columns |= {part: counts.micro_f1(tally) for part, tally in tallies.items() if entities[part]}
    return columns | {
        "f1": counts.micro_f1(whole),
        "strict": run.scores(split, view, "strict")["f1"],
        "span_only": counts.micro_f1(bounded),
        "typing": counts.type_accuracy(whole, bounded),
        "ece": calibration(tagged, [want for want, _ in pairs]),
        "entities": entities,
    }


def calibration(tagged: SplitPredictions, gold: Sequence[set[Span]]) -> float | None:
    """Expected calibration error of the posteriors of the spans found; None where there are none."""
    sure, right = [], []
    for want, found in zip(gold, tagged.spans, strict=True):
        sure += [span["posterior"] for span in found]
        right += [Span(span["start"], span["end"], span["type"]) in want for span in found]
    error = expected_calibration_error(sure, right)
    return None if np.isnan(error) else error


def readable(numbers: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Mean ± deviation of every column that has values."""
    columns = {
        "Encoder": list(numbers["encoder"]),
        "Approach": list(numbers["approach"]),
        "View": list(numbers["view"]),
    }
    for column, heading in COLUMNS.items():
        if numbers[f"{column}_mean"].notna().any():
            pairs = zip(numbers[f"{column}_mean"], numbers[f"{column}_std"], strict=True)
            columns[heading] = [spread(mean, std, digits) for mean, std in pairs]
    columns["n"] = [str(n) for n in numbers["n"]]
    return pd.DataFrame(columns)
