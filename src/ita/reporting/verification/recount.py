"""Scores counted anew from tags, by a path of their own: neither seqeval nor ``ita.data.tags`` is used.

It gives the bits of seqeval's numbers, since it divides and multiplies in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Entity = tuple[int, int, str]
"""First word, the one behind the last, type."""
Pair = tuple[Sequence[str], Sequence[str]]
"""Gold and predicted IOB2 tags of a post."""


def lenient_entities(tags: Sequence[str]) -> set[Entity]:
    """Entities as conlleval and seqeval's default mode read them: an ``I-`` that continues nothing begins one."""
    starts = [
        position
        for position, tag in enumerate(tags)
        if tag != "O" and (tag[0] != "I" or position == 0 or tags[position - 1][2:] != tag[2:])
    ]
    return {(start, _end(tags, start), tags[start][2:]) for start in starts}


def strict_entities(tags: Sequence[str]) -> set[Entity]:
    """Entities in strict IOB2: a ``B-`` and the ``I-`` of its type behind it; other ``I-`` are none."""
    return {(start, _end(tags, start), tag[2:]) for start, tag in enumerate(tags) if tag[0] == "B"}


READINGS = {"default": lenient_entities, "strict": strict_entities}
"""Scorer of metrics.json -> how it reads tags."""


def _end(tags: Sequence[str], start: int) -> int:
    """Behind the last word of the entity that begins at a word."""
    inside = f"I-{tags[start][2:]}"
    return next((end for end in range(start + 1, len(tags)) if tags[end] != inside), len(tags))


def recount(pairs: Sequence[Pair]) -> dict[str, dict[str, Any]]:
    """Precision, recall, F1 in percent and support, over all types and per type, by both scorers."""
    return {
        mode: _scores([(read(gold), read(predicted)) for gold, predicted in pairs]) for mode, read in READINGS.items()
    }


def _scores(posts: Iterable[tuple[set[Entity], set[Entity]]]) -> dict[str, Any]:
    counts: dict[str, list[int]] = {}
    for gold, predicted in posts:
        for column, entities in enumerate((gold & predicted, predicted, gold)):
            for *_, entity_type in entities:
                counts.setdefault(entity_type, [0, 0, 0])[column] += 1
    total = [sum(column) for column in zip(*counts.values(), strict=True)] or [0, 0, 0]
    return {**_score(*total), "types": {name: _score(*counts[name]) for name in sorted(counts)}}


def _score(true_positives: int, predicted: int, gold: int) -> dict[str, Any]:
    precision = true_positives / predicted if predicted else 0.0
    recall = true_positives / gold if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if true_positives else 0.0
    return {"precision": 100 * precision, "recall": 100 * recall, "f1": 100 * f1, "support": gold}


def differences(actual: Any, expected: Any, path: str = "") -> list[str]:
    """Numbers of nested objects that differ, as ``path: found 1, recomputed 2``; not what ``expected`` lacks.

    Args:
        actual: an object of JSON, or a value.
        expected: the same, recomputed.
        path: names of the objects around it.
    """
    if isinstance(expected, dict):
        if not isinstance(actual, dict):
            return [f"{path}: found {actual!r}, expected numbers"]
        return [
            difference
            for name, value in expected.items()
            for difference in differences(actual.get(name), value, f"{path}.{name}" if path else str(name))
        ]
    close = isinstance(actual, int | float) and abs(actual - expected) <= 1e-9 * max(1.0, abs(expected))
    return [] if close else [f"{path}: found {actual}, recomputed {expected}"]
