"""Kinds of error: boundary, type, both, missed, invented; every wrong span has exactly one, so that they add up.

Gold and predicted spans of a post are paired one to one where they share words. What is paired and equal is right; what
is paired and differs is one error of both sides; what stays alone is missed (gold) or invented (predicted). So false
negatives are boundary + type + both + missed, and false positives boundary + type + both + invented.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ita.data.tags import Span
from ita.significance.counts import IntArray

RIGHT, BOUNDARY, TYPE, BOTH, MISSED, INVENTED = range(6)
"""Columns of ``count_kinds``, and the codes of a span."""
KINDS = ("right", "boundary", "type", "both", "missed", "invented")
"""Their names: the same words and type; same type, other words; same words, other type; words in common, but neither
the same words nor the same type; a gold span without a predicted one; a predicted span without a gold one."""

Worth = tuple[int, int, int]
"""Of a pairing: pairs, pairs of one type, words in common. More is better, earlier numbers first."""


class PairedSpans(NamedTuple):
    """Gold and predicted spans of a post, each in one entry."""

    pairs: list[tuple[int, int]]
    """Numbers of a gold and a predicted span."""
    missed: list[int]
    """Numbers of gold spans without a partner."""
    invented: list[int]
    """Numbers of predicted spans without a partner."""


def pair_spans(gold: Sequence[Span], predicted: Sequence[Span]) -> PairedSpans:
    """Pairs spans that share words: most pairs, among these most of one type, among these most words in common.

    Spans of one side share no words with each other, as those of tags do, so pairs never cross and the best pairing is
    found as a longest common subsequence is.

    Args:
        gold: spans of a post, from left to right.
        predicted: those that were predicted, likewise.
    """
    worth: list[list[Worth]] = [[(0, 0, 0)] * (len(predicted) + 1) for _ in range(len(gold) + 1)]
    for i in reversed(range(len(gold))):
        for j in reversed(range(len(predicted))):
            worth[i][j] = max(worth[i + 1][j], worth[i][j + 1], _paired(gold[i], predicted[j], worth[i + 1][j + 1]))
    paired = PairedSpans([], [], [])
    i = j = 0
    while i < len(gold) and j < len(predicted):
        if _overlap(gold[i], predicted[j]) and worth[i][j] == _paired(gold[i], predicted[j], worth[i + 1][j + 1]):
            paired.pairs.append((i, j))
            i, j = i + 1, j + 1
        elif worth[i][j] == worth[i + 1][j]:
            paired.missed.append(i)
            i += 1
        else:
            paired.invented.append(j)
            j += 1
    paired.missed.extend(range(i, len(gold)))
    paired.invented.extend(range(j, len(predicted)))
    return paired


def kind_of_pair(gold: Span, predicted: Span) -> int:
    """RIGHT, BOUNDARY, TYPE or BOTH of two spans that were paired."""
    same_words = gold[:2] == predicted[:2]
    if gold.type == predicted.type:
        return RIGHT if same_words else BOUNDARY
    return TYPE if same_words else BOTH


def span_kinds(gold: Sequence[Span], predicted: Sequence[Span]) -> tuple[list[int], list[int]]:
    """Kind of each gold span and of each predicted span; arguments as for ``pair_spans``."""
    of_gold, of_predicted = [MISSED] * len(gold), [INVENTED] * len(predicted)
    for i, j in pair_spans(gold, predicted).pairs:
        of_gold[i] = of_predicted[j] = kind_of_pair(gold[i], predicted[j])
    return of_gold, of_predicted


def count_kinds(posts: Iterable[tuple[Sequence[Span], Sequence[Span]]]) -> IntArray:
    """(P, 6) spans of every kind in each of P posts; a pair counts once.

    Args:
        posts: gold and predicted spans of each post, from left to right.
    """
    rows = []
    for gold, predicted in posts:
        of_gold, of_predicted = span_kinds(gold, predicted)
        counts = np.bincount(of_gold, minlength=len(KINDS))
        counts[INVENTED] = of_predicted.count(INVENTED)
        rows.append(counts)
    return np.array(rows, dtype=np.int64).reshape(-1, len(KINDS))


def _overlap(gold: Span, predicted: Span) -> int:
    """Words in common."""
    return max(min(gold.end, predicted.end) - max(gold.start, predicted.start), 0)


def _paired(gold: Span, predicted: Span, following: Worth) -> Worth:
    """Worth of a pair and the rest; nothing where the two share no words."""
    words = _overlap(gold, predicted)
    if not words:
        return (0, 0, 0)
    return following[0] + 1, following[1] + (gold.type == predicted.type), following[2] + words
