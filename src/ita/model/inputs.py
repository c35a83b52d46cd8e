"""The two views of a post as subwords: T (text) and I+T (text, separator, visual context, image regions).

Input of T: <cls> post <sep>. Input of I+T: <cls> post <sep> context <sep>, where every separator of the context is
<sep> too: the encoder's eos token, else its sep token (official code: flair/embeddings.py:3139-3165). Image regions
follow, for systems that read them. What does not fit is truncated from the end of the context, then from that of the
regions, never from the post. A post that is too long by itself loses both and is read in overlapping windows; each
word is represented where it has most context on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ita.data.visual_context import SEPARATOR, VisualContext
from ita.io.features import NO_REGIONS, Features
from ita.model.tokenizer import Tokenizer


class EncodedView(NamedTuple):
    """One view of one post, S inputs in all: subwords, and V image regions at the end of a single row."""

    ids: NDArray[np.int32]
    """(S - V,) subwords of its rows, one row after another."""
    row_lengths: tuple[int, ...]
    """Inputs of each row: one row, or several windows of a very long post."""
    first_subword: NDArray[np.int32]
    """(W,) index of each word's first subword among the S; -1 for a word without subwords."""
    truncated: int
    """Context words left out for lack of room."""
    regions: NDArray[np.int32] = NO_REGIONS
    """(V,) rows of the table of region features."""

    @property
    def length(self) -> int:
        """S."""
        return len(self.ids) + len(self.regions)


class ViewEncoder:
    """Turns posts and contexts into subwords; every distinct word is tokenised once.

    Args:
        tokenizer: of the encoder.
        max_length: longest row in subwords, special tokens and regions included.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.cls_id, self.sep_id = tokenizer.cls_id, tokenizer.sep_id
        self._cache: dict[str, list[int]] = {}

    def _tokenize(self, words: Iterable[str]) -> None:
        """Adds the words that are not in the cache, in one call of the tokenizer."""
        new = sorted(set(words) - self._cache.keys())
        if new:
            self._cache.update(zip(new, self.tokenizer.subwords(new), strict=True))

    def encode(
        self,
        posts: Sequence[Sequence[str]],
        contexts: Sequence[VisualContext] | None = None,
        regions: Sequence[NDArray[np.int32]] | None = None,
    ) -> list[EncodedView]:
        """One view of each post.

        Args:
            posts: words of each post.
            contexts: each post's context for the I+T view; None for the T view.
            regions: rows of the table of region features of each post's image, for the I+T view.
        """
        self._tokenize(word for post in posts for word in post)
        if contexts is None:
            return [self._encode_post(post, [], [], NO_REGIONS) for post in posts]
        pairs = (pair for context in contexts for pair in zip(*context, strict=True))
        self._tokenize(word for word, kind in pairs if kind != SEPARATOR)
        if regions is None:
            regions = [NO_REGIONS] * len(posts)
        return [
            self._encode_post(post, words, kinds, rows)
            for post, (words, kinds), rows in zip(posts, contexts, regions, strict=True)
        ]

    def _encode_post(
        self, post: Sequence[str], words: Sequence[str], kinds: Sequence[str], regions: NDArray[np.int32]
    ) -> EncodedView:
        subwords = [self._cache[word] for word in post]
        if sum(map(len, subwords)) + 2 > self.max_length:
            return self._encode_windows(subwords, sum(kind != SEPARATOR for kind in kinds))
        row = [self.cls_id]
        first_subword = []
        for ids in subwords:
            first_subword.append(len(row) if ids else -1)
            row += ids
        row.append(self.sep_id)
        regions = regions[: self.max_length - len(row)]
        truncated = 0
        if words:
            room = self.max_length - len(regions) - len(row) - 1
            context, truncated = self._encode_context(words, kinds, room)
            row += [*context, self.sep_id] if context else []
        row_lengths = (len(row) + len(regions),)
        return EncodedView(np.array(row, np.int32), row_lengths, np.array(first_subword, np.int32), truncated, regions)

    def _encode_context(self, words: Sequence[str], kinds: Sequence[str], room: int) -> tuple[list[int], int]:
        """Subwords of the words that fit, whole words only, and the number of words that do not."""
        context: list[int] = []
        for position, (word, kind) in enumerate(zip(words, kinds, strict=True)):
            ids = [self.sep_id] if kind == SEPARATOR else self._cache[word]
            if len(context) + len(ids) > room:
                return context, sum(kind != SEPARATOR for kind in kinds[position:])
            context += ids
        return context, 0

    def _encode_windows(self, subwords: Sequence[list[int]], truncated: int) -> EncodedView:
        """A long post in windows that overlap by half, each word where its first subword has the widest margin."""
        flat = list(chain.from_iterable(subwords))
        size = self.max_length - 2
        starts = list(range(0, max(len(flat) - size, 0) + size // 2, max(size // 2, 1)))
        starts = sorted({min(start, len(flat) - size) for start in starts})
        rows = [[self.cls_id, *flat[start : start + size], self.sep_id] for start in starts]
        first_subword, position = [], 0
        for ids in subwords:
            margins = [min(position - start, start + size - 1 - position) for start in starts]
            row = max(range(len(starts)), key=margins.__getitem__)
            first_subword.append(row * self.max_length + position - starts[row] + 1 if ids else -1)
            position += len(ids)
        all_ids = np.array(list(chain.from_iterable(rows)), np.int32)
        return EncodedView(all_ids, tuple(map(len, rows)), np.array(first_subword, np.int32), truncated)


def encode_views(
    encoder: ViewEncoder,
    posts: Sequence[Mapping[str, Any]],
    contexts: Mapping[str, VisualContext],
    features: Features | None = None,
) -> dict[str, list[EncodedView]]:
    """Both views of posts.

    Args:
        encoder: the view encoder.
        posts: rows of posts.parquet.
        contexts: visual contexts by post_id.
        features: region features of their images, for systems that read them.

    Returns:
        'T' and 'I+T' under the keys of ita.data.VIEWS.
    """
    tokens = [post["tokens"] for post in posts]
    visual = [contexts[post["post_id"]] for post in posts]
    regions = [features.rows_of(post["image_id"]) for post in posts] if features else None
    return {"t": encoder.encode(tokens), "it": encoder.encode(tokens, visual, regions)}
