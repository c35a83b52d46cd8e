"""The two views of a post as subwords: T (text) and I+T (text, separator, visual context, image regions).

Input of T: <cls> post <sep>. Input of I+T: <cls> post <sep> context <sep>, where every separator of the context is
<sep> too: the encoder's eos token, else its sep token (official code: flair/embeddings.py:3139-3165). An encoder that
knows no <cls>, such as T5, reads the same without it. Image regions
follow, for systems that read them. What does not fit is truncated from the end of the context, then from that of the
regions, never from the post. A post that is too long by itself loses both and is read in overlapping windows; each
word is represented where it has most context on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ita.data.visual_context import SEPARATOR, VisualContext
from ita.errors import UserError
from ita.io.features import NO_REGIONS, Features
from ita.model.tokenizer import Tokenizer


@dataclass(frozen=True)
class InputLayout:
    """How the tagger arranges what it reads; the defaults are the paper's."""

    label_scheme: Literal["first_subword", "x_subword"] = "first_subword"
    """What the CRF tags: words by their first subwords, or every subword (see ``ita.data.label_schemes``)."""
    pooling: Literal["first", "mean"] = "first"
    """A word is represented by its first subword, or by the mean of its subwords."""
    region_inputs: bool = True
    """Regions are inputs of the encoder, after the text; otherwise they lie beside it, for a fusion layer."""
    max_regions: int | None = None
    """Most regions of an image, the first ones: the most confident of a detector."""
    context_token_type: int = 0
    """Token type of the visual context: 0 as the post, or 1 (VinVL: object tags are the second segment)."""

    @property
    def all_subwords(self) -> bool:
        """The last layer is needed for all subwords, not for the labelled ones alone."""
        return not self.region_inputs or self.pooling == "mean"


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
    labelled: NDArray[np.int32] | None = None
    """(L,) index of each subword that the CRF tags among the S; None where these are the first subwords of words."""
    subword_words: NDArray[np.int32] | None = None
    """(S - V,) word of each subword, -1 for the others; only where words are means of their subwords."""
    context_start: int | None = None
    """Index of the first subword after the post; only where the context has a token type of its own."""
    truncated_regions: int = 0
    """Regions left out for lack of room."""
    beside: tuple[EncodedView, ...] = ()
    """The same post for the further encoders of a system, each cut by its own tokenizer."""

    @property
    def parts(self) -> tuple[EncodedView, ...]:
        """The post for each encoder."""
        return (self, *self.beside)

    @property
    def length(self) -> int:
        """Inputs of all encoders: S of one."""
        return sum(sum(part.row_lengths) for part in self.parts)

    @property
    def has_regions(self) -> bool:
        """Whether an encoder reads image regions."""
        return any(len(part.regions) > 0 for part in self.parts)

    @property
    def label_of_word(self) -> NDArray[np.int32]:
        """(W,) which of the labels is each word's; -1 for a word without a label of its own."""
        if self.labelled is None:
            return np.arange(len(self.first_subword), dtype=np.int32)
        # Labelled subwords are those of the post in order, wherever windows put them: find each word's first.
        place = {int(index): label for label, index in enumerate(self.labelled)}
        return np.array([place.get(int(index), -1) for index in self.first_subword], np.int32)

    @property
    def label_index(self) -> NDArray[np.int32]:
        """Index among the S of what the CRF tags: (W,) words, or (L,) subwords; -1 for a word without subwords."""
        return self.first_subword if self.labelled is None else self.labelled


class ViewEncoder:
    """Turns posts and contexts into subwords; every distinct word is tokenised once.

    Args:
        tokenizer: of the encoder.
        max_length: longest row in subwords, special tokens and regions included.
        layout: how the system arranges its inputs.
        beside: view encoders of the further encoders of a system, with tokenizers of their own.

    Raises:
        UserError: for a layout that labels a token which the tokenizer does not have.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: int,
        layout: InputLayout | None = None,
        beside: Sequence[ViewEncoder] = (),
    ) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.layout = layout or InputLayout()
        if self.layout.label_scheme == "x_subword" and tokenizer.cls_id is None:
            raise UserError(
                "setting label_scheme: x_subword labels the token that starts a post, and the encoder's tokenizer has "
                "none (cls or bos); use first_subword"
            )
        self.start = [] if tokenizer.cls_id is None else [tokenizer.cls_id]
        self.sep_id = tokenizer.sep_id
        self.special_count = len(self.start) + 1
        self.beside = tuple(beside)
        self._cache: dict[str, list[int]] = {}

    @property
    def parts(self) -> tuple[ViewEncoder, ...]:
        """One for each encoder."""
        return (self, *self.beside)

    def limit_cache(self, most: int) -> None:
        """Forgets the subwords of all words where more than ``most`` are known, so that memory does not grow."""
        for encoder in self.parts:
            if len(encoder._cache) > most:
                encoder._cache.clear()

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

        Of several encoders the last one alone reads contexts and regions: the paper joins the features of BERT and
        VinVL, and of these VinVL is the one that reads images.

        Args:
            posts: words of each post.
            contexts: each post's context for the I+T view; None for the T view.
            regions: rows of the table of region features of each post's image, for the I+T view.
        """
        if not self.beside:
            return self._encode(posts, contexts, regions)
        texts = [encoder._encode(posts) for encoder in self.parts[:-1]]
        images = self.beside[-1]._encode(posts, contexts, regions)
        return [
            first._replace(beside=tuple(beside), truncated=beside[-1].truncated)
            for first, *beside in zip(*texts, images, strict=True)
        ]

    def _encode(
        self,
        posts: Sequence[Sequence[str]],
        contexts: Sequence[VisualContext] | None = None,
        regions: Sequence[NDArray[np.int32]] | None = None,
    ) -> list[EncodedView]:
        """The posts for this encoder; arguments as for ``encode``."""
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
        regions = regions[: self.layout.max_regions]
        if sum(map(len, subwords)) + self.special_count > self.max_length:
            return self._encode_windows(subwords, sum(kind != SEPARATOR for kind in kinds), len(regions))
        row = [*self.start]
        first_subword = []
        for ids in subwords:
            first_subword.append(len(row) if ids else -1)
            row += ids
        row.append(self.sep_id)
        post_length = len(row)
        truncated_regions = 0
        if self.layout.region_inputs:
            all_regions, regions = len(regions), regions[: self.max_length - post_length]
            truncated_regions = all_regions - len(regions)
        region_inputs = len(regions) if self.layout.region_inputs else 0
        truncated = 0
        if words:
            room = self.max_length - region_inputs - post_length - 1
            context, truncated = self._encode_context(words, kinds, room)
            row += [*context, self.sep_id] if context else []
        return EncodedView(
            np.array(row, np.int32),
            (len(row) + region_inputs,),
            np.array(first_subword, np.int32),
            truncated,
            regions,
            np.arange(post_length, dtype=np.int32) if self.layout.label_scheme == "x_subword" else None,
            self._subword_words(subwords, len(row)),
            post_length if self.layout.context_token_type else None,
            truncated_regions,
        )

    def _subword_words(self, subwords: Sequence[list[int]], length: int) -> NDArray[np.int32] | None:
        """Word of each subword of a row; -1 for special tokens and what follows the post."""
        if self.layout.pooling == "first":
            return None
        words = np.full(length, -1, np.int32)
        of_post = np.repeat(np.arange(len(subwords)), [len(ids) for ids in subwords])
        words[len(self.start) : len(self.start) + len(of_post)] = of_post
        return words

    def _encode_context(self, words: Sequence[str], kinds: Sequence[str], room: int) -> tuple[list[int], int]:
        """Subwords of the words that fit, whole words only, and the number of words that do not."""
        context: list[int] = []
        for position, (word, kind) in enumerate(zip(words, kinds, strict=True)):
            ids = [self.sep_id] if kind == SEPARATOR else self._cache[word]
            if len(context) + len(ids) > room:
                return context, sum(kind != SEPARATOR for kind in kinds[position:])
            context += ids
        return context, 0

    def _encode_windows(self, subwords: Sequence[list[int]], truncated: int, truncated_regions: int) -> EncodedView:
        """A long post in windows that overlap by half, each word where its first subword has the widest margin."""
        flat = list(chain.from_iterable(subwords))
        size = self.max_length - self.special_count
        starts = np.arange(0, max(len(flat) - size, 0) + size // 2, max(size // 2, 1))
        starts = np.unique(np.minimum(starts, len(flat) - size))
        rows = [[*self.start, *flat[start : start + size], self.sep_id] for start in starts]
        row_of = widest_margins(starts, size, len(flat))
        # Where each subword is read.
        inputs = row_of * self.max_length + np.arange(len(flat)) - starts[row_of] + len(self.start)
        firsts = np.cumsum([0, *map(len, subwords)])[:-1]
        first_subword = [inputs[first] if ids else -1 for first, ids in zip(firsts, subwords, strict=True)]
        all_ids = np.array(list(chain.from_iterable(rows)), np.int32)
        labelled = subword_words = None
        if self.layout.label_scheme == "x_subword":
            labelled = np.array([0, *inputs, len(all_ids) - 1], np.int32)
        if self.layout.pooling == "mean":
            subword_words = np.full(len(all_ids), -1, np.int32)
            subword_words[inputs] = np.repeat(np.arange(len(subwords)), [len(ids) for ids in subwords])
        return EncodedView(
            all_ids,
            tuple(map(len, rows)),
            np.array(first_subword, np.int32),
            truncated,
            NO_REGIONS,
            labelled,
            subword_words,
            truncated_regions=truncated_regions,
        )


def widest_margins(starts: NDArray[np.int64], size: int, length: int) -> NDArray[np.int64]:
    """(length,) the window in which each position lies farthest from an end; the first of several.

    Args:
        starts: of the windows, ascending, which overlap by half, the last one by more.
        size: of a window.
        length: positions.
    """
    positions = np.arange(length)
    last = np.searchsorted(starts, positions, "right") - 1
    candidates = np.maximum(last - np.arange(3, -1, -1)[:, None], 0)  # no position lies in more than four windows
    margins = np.minimum(positions - starts[candidates], starts[candidates] + size - 1 - positions)
    rows: NDArray[np.int64] = candidates[margins.argmax(0), positions]
    return rows


def side_by_side(tokenizers: Sequence[Tokenizer], max_lengths: Sequence[int], layout: InputLayout) -> ViewEncoder:
    """The view encoder of a system with one encoder or several, given tokenizer and longest row of each."""
    first, *beside = zip(tokenizers, max_lengths, strict=True)
    return ViewEncoder(*first, layout, [ViewEncoder(*further, layout) for further in beside])


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
