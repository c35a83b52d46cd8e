"""True positives, predicted and gold spans of each post, from which every entity score of any set of posts is a sum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ita.data.tags import Span, spans

Tags = Sequence[Sequence[str]]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
SpanSets = tuple[set[Span], set[Span]]
"""Gold and predicted spans of a post."""

TRUE_POSITIVES, PREDICTED, GOLD = 0, 1, 2
"""Columns of counts."""


def count_spans(gold: Tags, predicted: Tags, entity_type: str | None = None) -> IntArray:
    """Exact (start, end, type) matches of every post, spans read leniently (seqeval's default mode, conlleval).

    Args:
        gold: IOB2 tags of P posts.
        predicted: tags of the same posts.
        entity_type: count spans of this type only; None counts all.

    Returns:
        (P, 3): true positives, predicted spans, gold spans. Their sum over posts gives seqeval's micro average.

    Raises:
        ValueError: when gold and predicted are not of the same posts and words.
    """
    posts = span_sets(gold, predicted)
    if entity_type is None:
        return count_matches(posts)
    return count_matches(
        (_of_type(gold_spans, entity_type), _of_type(pred_spans, entity_type)) for gold_spans, pred_spans in posts
    )


def span_sets(gold: Tags, predicted: Tags) -> list[SpanSets]:
    """Gold and predicted spans of every post. Arguments and errors as for ``count_spans``."""
    if len(gold) != len(predicted):
        raise ValueError(f"gold tags of {len(gold)} posts, predicted tags of {len(predicted)}")
    for number, (gold_tags, pred_tags) in enumerate(zip(gold, predicted, strict=True)):
        if len(gold_tags) != len(pred_tags):
            raise ValueError(f"post {number}: {len(gold_tags)} gold tags, {len(pred_tags)} predicted ones")
    return [
        (set(spans(gold_tags)), set(spans(pred_tags))) for gold_tags, pred_tags in zip(gold, predicted, strict=True)
    ]


def count_matches(posts: Iterable[tuple[set[Any], set[Any]]]) -> IntArray:
    """(P, 3) counts of the gold and predicted sets of P posts."""
    rows = [(len(gold & predicted), len(predicted), len(gold)) for gold, predicted in posts]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def count_boundaries(posts: Iterable[SpanSets]) -> IntArray:
    """(P, 3) counts of (start, end) matches, whatever the types, of what ``span_sets`` reads."""
    return count_matches(({span[:2] for span in gold}, {span[:2] for span in predicted}) for gold, predicted in posts)


def type_accuracy(span_counts: IntArray, boundary_counts: IntArray) -> float | None:
    """Share in percent of the predicted spans with right boundaries whose type is right too; None without such spans.

    Args:
        span_counts: (P, 3) counts of spans with their types.
        boundary_counts: ``count_boundaries`` of the same spans.
    """
    boundaries = int(boundary_counts[:, TRUE_POSITIVES].sum())
    return 100.0 * int(span_counts[:, TRUE_POSITIVES].sum()) / boundaries if boundaries else None


def micro_f1(counts: NDArray[Any]) -> Any:
    """Micro F1 in percent, 0 without true positives.

    Args:
        counts: (..., P, 3), summed over the posts.

    Returns:
        (...); a float for (P, 3).
    """
    sums = np.asarray(counts).sum(axis=-2)
    scores = 100.0 * (2 * sums[..., TRUE_POSITIVES]) / np.maximum(sums[..., PREDICTED] + sums[..., GOLD], 1)
    return float(scores) if np.ndim(scores) == 0 else scores


def _of_type(spans_of_post: set[Span], entity_type: str) -> set[Span]:
    return {span for span in spans_of_post if span.type == entity_type}
