"""Entity-level precision, recall and F1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ita.data.tags import spans

Tags = Sequence[Sequence[str]]


def f1(gold: Tags, predicted: Tags) -> float:
    """Micro F1 in percent over exact (start, end, type) matches, spans read leniently.

    Equal to seqeval's default mode; used in training, where importing seqeval would take longer than scoring.
    """
    right = found = given = 0
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        want, have = set(spans(gold_tags)), set(spans(predicted_tags))
        right += len(want & have)
        found += len(have)
        given += len(want)
    return 200.0 * right / (found + given) if right else 0.0


def report(gold: Tags, predicted: Tags) -> dict[str, Any]:
    """Scores by seqeval, in percent: ``default`` (lenient, the paper's column) and ``strict`` IOB2.

    Each holds precision, recall, f1, support over all types, and the same per type under ``types``.
    """
    return {"default": _seqeval(gold, predicted), "strict": _seqeval(gold, predicted, mode="strict")}


def _seqeval(gold: Tags, predicted: Tags, mode: str | None = None) -> dict[str, Any]:
    from seqeval.metrics import classification_report
    from seqeval.scheme import IOB2

    scheme = {"mode": mode, "scheme": IOB2} if mode else {}
    table = classification_report(
        [list(tags) for tags in gold], [list(tags) for tags in predicted], output_dict=True, zero_division=0, **scheme
    )
    scores = {kind: _percent(row) for kind, row in table.items()}
    averages = {"micro avg", "macro avg", "weighted avg"}
    types = {kind: row for kind, row in sorted(scores.items()) if kind not in averages}
    return {**scores["micro avg"], "types": types}


def _percent(row: dict[str, Any]) -> dict[str, Any]:
    shares = {
        name: 100.0 * float(row[key])
        for name, key in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score"))
    }
    return {**shares, "support": int(row["support"])}
