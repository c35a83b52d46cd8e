"""Parts of a test set: entities by what training showed of them, posts with a usable image, or with text in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ita.data.tags import Span, spans
from ita.significance.counts import IntArray, SpanSets, Tags, count_matches

Tokens = Sequence[Sequence[str]]
PostMask = NDArray[np.bool_]
"""(P,); True where a post belongs to the part."""
Surface = tuple[str, str]
"""(words joined by a space, type)"""
MENTIONS = ("seen", "unseen_type", "unseen_words", "confusable")
"""Slices of ``count_mentions``; the first three add up to all gold spans."""


def seen_entities(train_tokens: Tokens, train_tags: Tags) -> set[Surface]:
    """Surface form and type of every gold span of the training posts, case-sensitive."""
    return {
        _surface(tokens, span) for tokens, tags in zip(train_tokens, train_tags, strict=True) for span in spans(tags)
    }


def count_seen_and_unseen(tokens: Tokens, posts: Sequence[SpanSets], seen: Collection[Surface]) -> dict[str, IntArray]:
    """Counts of spans by whether their (surface form, type) was seen in training.

    Every span, gold or predicted, belongs to the slice of its own surface and type. So a false positive counts against
    the precision of "seen" when the training posts have its words under the predicted type, and of "unseen" otherwise;
    a span with wrong boundaries or type may be a false negative of one slice and a false positive of the other.

    Args:
        tokens: words of P posts.
        posts: their ``span_sets``.
        seen: ``seen_entities`` of the training posts.

    Returns:
        "seen" and "unseen" -> (P, 3); the two add up to ``count_matches(posts)``.
    """
    seen_spans = [
        {span for span in gold_spans | pred_spans if _surface(words, span) in seen}
        for words, (gold_spans, pred_spans) in zip(tokens, posts, strict=True)
    ]
    pairs = list(zip(seen_spans, posts, strict=True))
    return {
        "seen": count_matches((gold_spans & spans, pred_spans & spans) for spans, (gold_spans, pred_spans) in pairs),
        "unseen": count_matches((gold_spans - spans, pred_spans - spans) for spans, (gold_spans, pred_spans) in pairs),
    }


def count_mentions(tokens: Tokens, posts: Sequence[SpanSets], seen: Collection[Surface]) -> dict[str, tuple[int, int]]:
    """Recall of gold spans by how hard they are, after Tough Mentions Recall (Tu and Lignos, EACL 2021 workshop).

    "seen": an entity of the training posts has the same words and type; "unseen_type": one has the words, but none of
    that type; "unseen_words": none has the words. "confusable": gold spans of these posts have the words with several
    types; such a span also belongs to one of the other three.

    Args:
        tokens: words of P posts.
        posts: their ``span_sets``.
        seen: ``seen_entities`` of the training posts.

    Returns:
        Slice -> spans that were predicted exactly, and all gold spans.
    """
    seen_words = {words for words, _ in seen}
    surfaces = [
        (_surface(words, span), span in predicted)
        for words, (gold, predicted) in zip(tokens, posts, strict=True)
        for span in gold
    ]
    types_of: dict[str, set[str]] = defaultdict(set)
    for (words, entity_type), _ in surfaces:
        types_of[words].add(entity_type)
    counts = {name: [0, 0] for name in MENTIONS}
    for surface, is_predicted in surfaces:
        words = surface[0]
        name = "seen" if surface in seen else "unseen_type" if words in seen_words else "unseen_words"
        for part in (name, "confusable") if len(types_of[words]) > 1 else (name,):
            counts[part][0] += is_predicted
            counts[part][1] += 1
    return {name: (predicted, gold) for name, (predicted, gold) in counts.items()}


def has_image(image_ids: Sequence[str | None], images: Iterable[Mapping[str, Any]]) -> PostMask:
    """Mask (P,) for ``counts[..., mask, :]``: True for a post whose image can be used.

    Args:
        image_ids: column ``image_id`` of P rows of posts.parquet.
        images: rows of images.parquet; usable is status "ok".
    """
    return _is_member(image_ids, {row["image_id"] for row in images if row["status"] == "ok"})


def has_ocr_text(image_ids: Sequence[str | None], ocr: Iterable[Mapping[str, Any]]) -> PostMask:
    """Mask (P,): True for a post whose image holds OCR text; ``ocr`` are rows of ocr/{ocr_engine}.parquet."""
    return _is_member(image_ids, {row["image_id"] for row in ocr if (row["text"] or "").strip()})


def _surface(tokens: Sequence[str], span: Span) -> Surface:
    return " ".join(tokens[span.start : span.end]), span.type


def _is_member(names: Sequence[str | None], members: set[str]) -> PostMask:
    return np.array([name in members for name in names], dtype=bool)
