"""Thresholds of a model for a risk: which entities it leaves out, calibrated on its dev posts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.data import VIEWS
from ita.data.tags import Span, spans
from ita.errors import UserError
from ita.io.files import read_json, write_json
from ita.log import log
from ita.significance.conformal import highest_wrong, threshold

PREDICTIONS, CALIBRATION = "predictions.parquet", "calibration.json"
"""In a run folder: what the scores are computed from; the scores alone, in copies, which hold no texts of the data."""
SPLIT = "dev"

Scores = dict[str, list[float]]
"""View -> ``highest_wrong`` of every dev post."""


def thresholds(folder: Path, risk: float) -> dict[str, float]:
    """View -> posterior above which entities are kept.

    Args:
        folder: run folder, or a copy of one.
        risk: highest share of posts with a wrong entity among those kept.

    Raises:
        UserError: for a risk that cannot be had, or a folder without dev predictions.
    """
    scores = calibration_scores(folder)
    if not scores:
        raise UserError(
            f"{folder}: a risk takes predictions on the dev posts, and there are none: evaluate the run with dev among "
            f"evaluate.splits (a copy of a run has them in {CALIBRATION})"
        )
    try:
        return {view: threshold(of_view, risk) for view, of_view in scores.items()}
    except ValueError as error:
        raise UserError(f"{folder}: {error}") from None


def calibration_scores(folder: Path) -> Scores:
    """Scores of the dev posts of a run folder or a copy of one; none where they are not there."""
    if (folder / PREDICTIONS).is_file():
        from ita.io import parquet  # takes a tenth of a second, and few copies of a model have predictions

        columns = ["split", "view", "gold", "spans"]
        return scores_of(parquet.read("predictions", folder / PREDICTIONS, columns).to_pylist())
    if not (folder / CALIBRATION).is_file():
        return {}
    stored = read_json(folder / CALIBRATION, "the scores of the dev posts of a model").get("views")
    if not isinstance(stored, dict) or not set(VIEWS) <= stored.keys() or not all(map(is_scores, stored.values())):
        raise UserError(f"{folder / CALIBRATION}: expected 'views' to hold a list of numbers for each of {[*VIEWS]}")
    return stored


def scores_of(rows: Sequence[dict[str, Any]]) -> Scores:
    """Scores of the dev posts among rows of predictions.parquet."""
    scores: Scores = {}
    for row in rows:
        if row["split"] == SPLIT:
            predicted = [Span(span["start"], span["end"], span["type"]) for span in row["spans"]]
            posteriors = [span["posterior"] for span in row["spans"]]
            scores.setdefault(row["view"], []).append(highest_wrong(spans(row["gold"]), predicted, posteriors))
    return scores


def write_calibration(source: Path, target: Path) -> None:
    """Writes the scores of a run folder for a copy of it in ``target``, where the run folder has predictions."""
    if not (source / PREDICTIONS).is_file():
        return
    try:
        scores = calibration_scores(source)
    except UserError as error:
        log.warning("%s; the copy of the model answers without a risk", error)
        return
    if scores:
        write_json(target / CALIBRATION, {"split": SPLIT, "views": {view: sorted(scores[view]) for view in scores}})


def is_scores(value: Any) -> bool:
    """Whether a value is a list of numbers."""
    return isinstance(value, list) and all(isinstance(score, int | float) for score in value)
