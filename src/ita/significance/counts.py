"""Counts of spans per post, from which every entity score of any set of posts is a sum."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ita.data.tags import Span, spans

Tags = Sequence[Sequence[str]]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

RIGHT, FOUND, GIVEN = 0, 1, 2
"""Columns of counts: true positives, predicted spans, gold spans."""


def counts(gold: Tags, predicted: Tags, types: str | Iterable[str] | None = None, strict: bool = False) -> IntArray:
    """Exact (start, end, type) matches of every post.

    Args:
        gold: IOB2 tags of P posts.
        predicted: tags of the same posts.
        types: count spans of this type or these types only; None is all.
        strict: read spans as seqeval's strict IOB2 mode does; otherwise leniently (seqeval's default, conlleval).

    Returns:
        (P, 3): true positives, predicted spans, gold spans. Their sum over posts gives seqeval's micro average.

    Raises:
        ValueError: when gold and predicted are not of the same posts and words.
    """
    kinds = None if types is None else {types} if isinstance(types, str) else set(types)
    return tally(of_types(pairs(gold, predicted, strict), kinds))


def span_only(found: Iterable[tuple[set[Span], set[Span]]]) -> IntArray:
    """(P, 3) counts of (start, end) matches, whatever the types, of what ``pairs`` reads."""
    return tally(({span[:2] for span in want}, {span[:2] for span in have}) for want, have in found)


def typing_accuracy(typed: IntArray, bounded: IntArray) -> float | None:
    """Share in percent of the predicted spans with right boundaries whose type is right too; None without such spans.

    Args:
        typed: (P, 3) counts of spans with their types.
        bounded: ``span_only`` of the same spans.
    """
    right = int(bounded[:, RIGHT].sum())
    return 100.0 * int(typed[:, RIGHT].sum()) / right if right else None


def precision(counts: NDArray[Any]) -> Any:
    """Micro precision in percent; shapes as for ``f1``."""
    sums = np.asarray(counts).sum(axis=-2)
    return _percent(sums[..., RIGHT], sums[..., FOUND])


def recall(counts: NDArray[Any]) -> Any:
    """Micro recall in percent; shapes as for ``f1``."""
    sums = np.asarray(counts).sum(axis=-2)
    return _percent(sums[..., RIGHT], sums[..., GIVEN])


def f1(counts: NDArray[Any]) -> Any:
    """Micro F1 in percent, 0 where nothing is right.

    Args:
        counts: (..., P, 3), summed over the posts.

    Returns:
        (...); a float for (P, 3).
    """
    sums = np.asarray(counts).sum(axis=-2)
    return _percent(2 * sums[..., RIGHT], sums[..., FOUND] + sums[..., GIVEN])


def _percent(part: NDArray[Any], whole: NDArray[Any]) -> Any:
    share = 100.0 * part / np.maximum(whole, 1)
    return float(share) if np.ndim(share) == 0 else share


def strict_spans(tags: Sequence[str]) -> list[Span]:
    """Entities as seqeval's strict IOB2 mode reads them: ``B-X`` and the ``I-X`` that follow; any other ``I-`` is O."""
    found: list[Span] = []
    start, kind = 0, ""
    for position, tag in enumerate([*tags, "O"]):
        if kind and tag != f"I-{kind}":
            found.append(Span(start, position, kind))
            kind = ""
        if tag.startswith("B-"):
            start, kind = position, tag[2:]
    return found


def pairs(gold: Tags, predicted: Tags, strict: bool = False) -> list[tuple[set[Span], set[Span]]]:
    """Gold and predicted spans of every post. Arguments and errors as for ``counts``."""
    read: Callable[[Sequence[str]], list[Span]] = strict_spans if strict else spans
    if len(gold) != len(predicted):
        raise ValueError(f"gold tags of {len(gold)} posts, predicted tags of {len(predicted)}")
    for number, (want, have) in enumerate(zip(gold, predicted, strict=True)):
        if len(want) != len(have):
            raise ValueError(f"post {number}: {len(want)} gold tags, {len(have)} predicted ones")
    return [(set(read(want)), set(read(have))) for want, have in zip(gold, predicted, strict=True)]


def of_types(
    found: Iterable[tuple[set[Span], set[Span]]], types: Collection[str] | None
) -> list[tuple[set[Span], set[Span]]]:
    """The spans of some types only; None keeps all."""
    if types is None:
        return list(found)
    return [({s for s in want if s.type in types}, {s for s in have if s.type in types}) for want, have in found]


def tally(found: Iterable[tuple[set[Any], set[Any]]]) -> IntArray:
    """(P, 3) counts of P pairs of sets, wanted and found."""
    rows = [(len(want & have), len(have), len(want)) for want, have in found]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)
