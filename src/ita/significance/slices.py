"""Parts of a test set: entities seen in training or not, posts with a usable image, posts whose image has text."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ita.data.tags import spans
from ita.significance.counts import IntArray, Tags, of_types, pairs, tally

Tokens = Sequence[Sequence[str]]
Mask = NDArray[np.bool_]
Surfaces = set[tuple[str, str]]
"""(words joined by a space, type)"""


def seen_surfaces(train_tokens: Tokens, train_tags: Tags) -> Surfaces:
    """Surface form and type of every gold span of the training posts, case kept."""
    return {
        (" ".join(tokens[span.start : span.end]), span.type)
        for tokens, tags in zip(train_tokens, train_tags, strict=True)
        for span in spans(tags)
    }


def counts_by_surface(
    tokens: Tokens,
    gold: Tags,
    predicted: Tags,
    seen: Collection[tuple[str, str]],
    types: str | Iterable[str] | None = None,
    strict: bool = False,
) -> dict[str, IntArray]:
    """Counts of spans by whether their (surface form, type) was seen in training.

    Every span, gold or predicted, belongs to the slice of its own surface and type. So a false positive counts against
    the precision of "seen" when the training posts have its words under the type predicted, and of "unseen" otherwise;
    a span found with wrong boundaries or type may miss in one slice and be false in the other.

    Args:
        tokens: words of P posts.
        gold: their IOB2 tags.
        predicted: tags found.
        seen: what ``seen_surfaces`` gives for the training posts.
        types: as for ``ita.significance.counts.counts``.
        strict: as there.

    Returns:
        "seen" and "unseen" -> (P, 3); the two add up to ``counts(gold, predicted, types, strict)``.

    Raises:
        ValueError: when tokens, gold and predicted are not of the same posts and words.
    """
    kinds = None if types is None else {types} if isinstance(types, str) else set(types)
    found = of_types(pairs(gold, predicted, strict), kinds)
    if [len(words) for words in tokens] != [len(tags) for tags in gold]:
        raise ValueError("tokens and tags are not of the same posts and words")
    known = [
        ({s for s in want | have if (" ".join(words[s.start : s.end]), s.type) in seen}, want, have)
        for words, (want, have) in zip(tokens, found, strict=True)
    ]
    return {
        "seen": tally((want & old, have & old) for old, want, have in known),
        "unseen": tally((want - old, have - old) for old, want, have in known),
    }


def has_image(image_ids: Sequence[str | None], images: Iterable[Mapping[str, Any]]) -> Mask:
    """Posts whose image can be used: a mask (P,) for ``counts[..., mask, :]``.

    Args:
        image_ids: column ``image_id`` of P rows of posts.parquet.
        images: rows of images.parquet; usable is status "ok".
    """
    return _among(image_ids, {row["image_id"] for row in images if row["status"] == "ok"})


def has_ocr(image_ids: Sequence[str | None], ocr: Iterable[Mapping[str, Any]]) -> Mask:
    """Posts in whose image characters were read: a mask (P,); ``ocr``: rows of ocr/{reader}.parquet."""
    return _among(image_ids, {row["image_id"] for row in ocr if (row["text"] or "").strip()})


def _among(names: Sequence[str | None], members: set[str]) -> Mask:
    return np.array([name in members for name in names], dtype=bool)
