"""The two views of a post as word pieces: T (text) and I+T (text, separator, visual context, regions of the image).

Input of T: <cls> post <sep>. Input of I+T: <cls> post <sep> context <sep>, where every separator of the context is
<sep> too: the encoder's eos piece, else its sep piece (official code: flair/embeddings.py:3139-3165); behind it stand
regions of the image where a system reads such. What does not fit is cut from the end of the context, then from that of
the regions, never from the post. A post that is too long by itself loses both and is read in overlapping windows; each
word is represented where it has most context on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ita.data.visual_context import SEPARATOR, VisualContext
from ita.io.features import NONE, Features
from ita.model.tokenizer import Tokenizer


class EncodedView(NamedTuple):
    """One view of one post, P inputs in all: word pieces, and V regions behind those of a single row."""

    ids: NDArray[np.int32]
    """(P - V,) word pieces of its rows, one row after another."""
    rows: tuple[int, ...]
    """Inputs of each row: one row, or several windows of a very long post."""
    first: NDArray[np.int32]
    """(W,) index of each word's first piece among the P; -1 for a word without pieces."""
    truncated: int
    """Context words left out for lack of room."""
    regions: NDArray[np.int32] = NONE
    """(V,) rows of the table of features."""

    @property
    def length(self) -> int:
        """P."""
        return len(self.ids) + len(self.regions)


class ViewEncoder:
    """Turns posts and contexts into word pieces; every distinct word is tokenised once.

    Args:
        tokenizer: of the encoder.
        max_length: longest row in pieces, specials and regions included.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.cls, self.sep = tokenizer.cls, tokenizer.sep
        self._pieces: dict[str, list[int]] = {}

    def learn(self, words: Iterable[str]) -> None:
        """Tokenises the words not seen before, in one call."""
        new = sorted(set(words) - self._pieces.keys())
        if new:
            self._pieces.update(zip(new, self.tokenizer.pieces(new), strict=True))

    def encode(
        self,
        posts: Sequence[Sequence[str]],
        contexts: Sequence[VisualContext] | None = None,
        regions: Sequence[NDArray[np.int32]] | None = None,
    ) -> list[EncodedView]:
        """One view of some posts.

        Args:
            posts: words of each post.
            contexts: each post's context for the I+T view; None for the T view.
            regions: rows of the table of features of each post's image, for the I+T view.
        """
        self.learn(word for post in posts for word in post)
        if contexts is None:
            return [self._view(post, [], [], NONE) for post in posts]
        pairs = (pair for context in contexts for pair in zip(*context, strict=True))
        self.learn(word for word, kind in pairs if kind != SEPARATOR)
        seen = regions if regions is not None else [NONE] * len(posts)
        return [self._view(post, *context, own) for post, context, own in zip(posts, contexts, seen, strict=True)]

    def _view(
        self, post: Sequence[str], words: Sequence[str], kinds: Sequence[str], regions: NDArray[np.int32]
    ) -> EncodedView:
        pieces = [self._pieces[word] for word in post]
        if sum(map(len, pieces)) + 2 > self.max_length:
            return self._windows(pieces, sum(kind != SEPARATOR for kind in kinds))
        row = [self.cls]
        first = []
        for ids in pieces:
            first.append(len(row) if ids else -1)
            row += ids
        row.append(self.sep)
        regions = regions[: self.max_length - len(row)]
        cut = 0
        if words:
            context, cut = self._context(words, kinds, self.max_length - len(regions) - len(row) - 1)
            row += [*context, self.sep] if context else []
        rows = (len(row) + len(regions),)
        return EncodedView(np.array(row, np.int32), rows, np.array(first, np.int32), cut, regions)

    def _context(self, words: Sequence[str], kinds: Sequence[str], room: int) -> tuple[list[int], int]:
        """Pieces of the words that fit, whole words only, and the number of words that do not."""
        context: list[int] = []
        for position, (word, kind) in enumerate(zip(words, kinds, strict=True)):
            ids = [self.sep] if kind == SEPARATOR else self._pieces[word]
            if len(context) + len(ids) > room:
                return context, sum(kind != SEPARATOR for kind in kinds[position:])
            context += ids
        return context, 0

    def _windows(self, pieces: Sequence[list[int]], cut: int) -> EncodedView:
        """A long post in windows that overlap by half, each word at the best place of its first piece."""
        flat = [piece for ids in pieces for piece in ids]
        size = self.max_length - 2
        starts = list(range(0, max(len(flat) - size, 0) + size // 2, max(size // 2, 1)))
        starts = sorted({min(start, len(flat) - size) for start in starts})
        rows = [[self.cls, *flat[start : start + size], self.sep] for start in starts]
        first, at = [], 0
        for ids in pieces:
            margins = [min(at - start, start + size - 1 - at) for start in starts]
            row = max(range(len(starts)), key=margins.__getitem__)
            first.append(row * self.max_length + at - starts[row] + 1 if ids else -1)
            at += len(ids)
        lengths = tuple(map(len, rows))
        return EncodedView(np.array(sum(rows, []), np.int32), lengths, np.array(first, np.int32), cut)


def encode_views(
    encoder: ViewEncoder,
    posts: Sequence[Mapping[str, Any]],
    contexts: Mapping[str, Mapping[str, Any]],
    features: Features | None = None,
) -> dict[str, list[EncodedView]]:
    """Both views of some posts.

    Args:
        encoder: the view encoder.
        posts: rows of posts.parquet.
        contexts: rows of a context table by post_id.
        features: of the regions of their images, for systems that read such.

    Returns:
        'T' and 'I+T' under the keys of ita.data.VIEWS.
    """
    tokens = [post["tokens"] for post in posts]
    rows = [contexts[post["post_id"]] for post in posts]
    visual = [VisualContext(row["tokens"], row["kinds"]) for row in rows]
    regions = [features.of(post["image_id"]) for post in posts] if features else None
    return {"t": encoder.encode(tokens), "it": encoder.encode(tokens, visual, regions)}
