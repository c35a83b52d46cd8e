"""Precision, recall and F1 of entities, by seqeval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Tags = Sequence[Sequence[str]]
"""Tags of each word of each post."""
TASK_VERSIONS = {"default": 1, "strict": 1, "upstream": 1, "representation_distance": 1}
"""Scorer, or measure, of metrics.json -> its version: raise it when the same predictions get another score."""
AVERAGES = {"micro avg", "macro avg", "weighted avg"}
"""Rows of seqeval's report that are not entity types."""


def report(gold: Tags, predicted: Tags) -> dict[str, Any]:
    """Scores in percent by seqeval: ``default`` (lenient, the paper's column) and ``strict`` IOB2.

    Each holds precision, recall, f1 and support (gold entities) over all types, and the same per type under ``types``.
    """
    return {"default": _seqeval_report(gold, predicted), "strict": _seqeval_report(gold, predicted, mode="strict")}


def _seqeval_report(gold: Tags, predicted: Tags, mode: str | None = None) -> dict[str, Any]:
    from seqeval.metrics import classification_report  # imports scikit-learn, which takes seconds
    from seqeval.scheme import IOB2

    scheme = {"mode": mode, "scheme": IOB2} if mode else {}
    rows = classification_report(
        [list(tags) for tags in gold], [list(tags) for tags in predicted], output_dict=True, zero_division=0, **scheme
    )
    scores = {name: _in_percent(row) for name, row in rows.items()}
    types = {name: row for name, row in sorted(scores.items()) if name not in AVERAGES}
    return {**scores["micro avg"], "types": types}


def _in_percent(row: dict[str, Any]) -> dict[str, Any]:
    names = {"precision": "precision", "recall": "recall", "f1": "f1-score"}
    scores = {name: 100.0 * float(row[key]) for name, key in names.items()}
    return {**scores, "support": int(row["support"])}
