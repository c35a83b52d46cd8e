"""Batches of encoded posts: packed inputs, the first subwords of words among them, length buckets.

A batch holds its inputs (subwords, and image regions where there are any) one row after another, without padding. What
has to be padded (attention on a device without a variable-length kernel, encoders that take only padded input) goes by
buckets of rows of similar length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ita.model.inputs import EncodedView, InputLayout

PAPER_LAYOUT = InputLayout()
POOL = 32
"""Batches per pool: posts of a shuffled pool are sorted by length, so that a batch holds posts of similar length."""


@dataclass(frozen=True)
class PaddedRows:
    """How R consecutive rows of n packed items are padded to the longest one's length T."""

    pad_index: Tensor
    """(R, T) item of each slot, counted from the bucket's first; padding repeats item 0."""
    mask: Tensor
    """(R, T); True is an item, False padding."""
    unpad_index: Tensor
    """(n,) slot of each item among the R * T, row by row."""

    @property
    def unpadded(self) -> bool:
        """All rows are equally long: there is no padding."""
        return self.unpad_index.shape[0] == self.pad_index.numel()


@dataclass(frozen=True)
class Bucket:
    """Consecutive rows of similar length."""

    inputs: PaddedRows
    """All their inputs."""
    first_subwords: PaddedRows
    """The first subwords of words among them."""


@dataclass(frozen=True)
class RowBounds:
    """Where rows begin and end among packed items, as variable-length attention kernels take it."""

    cumulative: Tensor
    """(R + 1,) cumulative lengths of the rows."""
    longest: int
    """Items of the longest row."""


@dataclass(frozen=True)
class RegionInputs:
    """The image regions among the N inputs of a batch, V in all."""

    feature_rows: Tensor
    """(V,) row of each in the table of region features."""
    order: Tensor
    """(N,) what each input is: index of a subword below N - V, of a region from there on."""
    rows: Tensor
    """(V,) which of the R rows each region belongs to."""


@dataclass(frozen=True)
class FusionInputs:
    """Subwords and image regions of a batch side by side, for a layer between encoder and CRF."""

    subwords: PaddedRows
    """The N subwords, all R rows padded to one length."""
    feature_rows: Tensor
    """(R, V) rows of the table of region features; -1 is padding. A row without regions has one that is all zero."""


@dataclass(frozen=True)
class Batch:
    """B posts, each in one view, as N inputs in R rows; M of them are first subwords of words."""

    ids: Tensor
    """(N - V,) subwords."""
    regions: RegionInputs | None
    """The other V inputs; None where all are subwords."""
    positions: Tensor
    """(N,) position of each input in its row, from 0."""
    first_subwords: Tensor
    """(M,) index among the N of the inputs whose last-layer vectors are needed, ascending: first subwords, and all
    other subwords too where the layout needs them."""
    word_index: Tensor
    """(B, W) index of each word (labelled subword) among the M; -1 for a word without subwords and in padding."""
    lengths: Tensor
    """(B,) words, or labelled subwords."""
    input_bounds: RowBounds
    """Rows among the N inputs."""
    first_subword_bounds: RowBounds
    """Rows among the M first subwords."""
    buckets: tuple[Bucket, ...]
    token_types: Tensor | None = None
    """(N - V,) token type of each subword; None where all are 0."""
    pooled_words: Tensor | None = None
    """(M,) slot among the B * W of the word that each last-layer vector belongs to, -1 for none; None where a word is
    represented by its first subword."""
    fusion: FusionInputs | None = None
    """For systems with a fusion layer."""
    beside: tuple[Batch, ...] = ()
    """The same posts for the further encoders of a system, each with subwords of its own."""

    @property
    def parts(self) -> tuple[Batch, ...]:
        """The posts for each encoder."""
        return (self, *self.beside)

    @property
    def size(self) -> int:
        """Inputs of all encoders: N of one."""
        return sum(len(part.positions) for part in self.parts)


def to_device(value: Any, device: torch.device) -> Any:
    """A copy of batches, or of lists and dataclasses that hold them, with every tensor on a device."""
    if device.type == "cpu":
        return value
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, list | tuple):
        return type(value)(to_device(item, device) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{item.name: to_device(getattr(value, item.name), device) for item in fields(value)})
    return value


def collate(views: Sequence[Sequence[EncodedView]], layout: InputLayout = PAPER_LAYOUT) -> Batch:
    """One batch of posts in one view, or of those of one view followed by those of another.

    Args:
        views: posts of each view; a view is a bucket, for its rows are of similar length.
        layout: how the system arranges its inputs; the one that the posts were encoded with.
    """
    posts = [post for view in views for post in view]
    row_lengths = np.array([length for post in posts for length in post.row_lengths])
    row_starts = _cumulative(row_lengths)[:-1]
    ids = np.concatenate([post.ids for post in posts])
    positions = np.arange(row_lengths.sum()) - np.repeat(row_starts, row_lengths)
    lengths = np.array([len(post.label_index) for post in posts])
    post_starts = _cumulative([sum(post.row_lengths) for post in posts])[:-1]
    mask = np.arange(lengths.max()) < lengths[:, None]
    input_index = np.full(mask.shape, -1)  # (B, W) of each word's first subword among the N
    input_index[mask] = np.concatenate(
        [
            np.where(post.label_index < 0, -1, post.label_index + start)
            for post, start in zip(posts, post_starts, strict=True)
        ]
    )
    # Windows of a long post are not in the order of its words.
    first_subwords = np.unique(input_index[input_index >= 0])
    regions = _region_inputs(posts, row_lengths) if layout.region_inputs else None
    if layout.all_subwords:
        first_subwords = np.arange(len(positions)) if regions is None else np.flatnonzero(regions.order < len(ids))
    word_index = np.where(input_index < 0, -1, np.searchsorted(first_subwords, input_index))
    first_subword_counts = np.diff(np.searchsorted(first_subwords, [*row_starts, len(positions)]))
    bucket_ends = np.cumsum([sum(len(post.row_lengths) for post in view) for view in views])[:-1]
    buckets = [
        Bucket(_padded_rows(inputs), _padded_rows(counts))
        for inputs, counts in zip(
            np.split(row_lengths, bucket_ends), np.split(first_subword_counts, bucket_ends), strict=True
        )
    ]
    return Batch(
        torch.from_numpy(ids),
        regions,
        torch.from_numpy(positions),
        torch.from_numpy(first_subwords),
        torch.from_numpy(word_index),
        torch.from_numpy(lengths),
        _row_bounds(row_lengths),
        _row_bounds(first_subword_counts),
        tuple(buckets),
        _token_types(posts) if layout.context_token_type else None,
        _pooled_words(posts, mask.shape[1]) if layout.pooling == "mean" else None,
        None if layout.region_inputs else FusionInputs(_padded_rows(row_lengths), _feature_rows(posts)),
        tuple(
            collate([[post.beside[number] for post in view] for view in views], layout)
            for number in range(len(posts[0].beside))
        ),
    )


def cls_batch(batch: Batch) -> Batch:
    """The same inputs, of which only the first of each row, [CLS], has a last-layer vector: (R, H)."""
    starts = batch.input_bounds.cumulative[:-1]
    bounds = RowBounds(torch.arange(len(starts) + 1, device=starts.device), 1)
    rows = [len(bucket.inputs.mask) for bucket in batch.buckets]
    device = starts.device
    buckets = tuple(
        replace(
            bucket,
            first_subwords=PaddedRows(
                torch.arange(count, device=device).unsqueeze(1),
                torch.ones(count, 1, dtype=torch.bool, device=device),
                torch.arange(count, device=device),
            ),
        )
        for bucket, count in zip(batch.buckets, rows, strict=True)
    )
    return replace(batch, first_subwords=starts, first_subword_bounds=bounds, buckets=buckets)


def _region_inputs(posts: Sequence[EncodedView], row_lengths: NDArray[np.int64]) -> RegionInputs | None:
    feature_rows = np.concatenate([post.regions for post in posts])
    if not len(feature_rows):
        return None
    sizes = np.array([(len(post.ids), len(post.regions)) for post in posts])
    is_region = np.repeat(np.tile([False, True], len(posts)), sizes.flatten())
    order = np.argsort(np.argsort(is_region, kind="stable"), kind="stable")
    rows = np.repeat(np.arange(len(row_lengths)), row_lengths)[is_region]
    return RegionInputs(torch.from_numpy(feature_rows), torch.from_numpy(order), torch.from_numpy(rows))


def _token_types(posts: Sequence[EncodedView]) -> Tensor:
    """(N - V,) 1 for the subwords of contexts."""
    types = []
    for post in posts:
        start = len(post.ids) if post.context_start is None else post.context_start
        types.append((np.arange(len(post.ids)) >= start).astype(np.int64))
    return torch.from_numpy(np.concatenate(types))


def _pooled_words(posts: Sequence[EncodedView], words: int) -> Tensor:
    """(M,) slot of each subword's word among B posts of ``words`` words."""
    slots = [
        np.where(post.subword_words < 0, -1, post.subword_words + number * words)
        for number, post in enumerate(posts)
        if post.subword_words is not None
    ]
    return torch.from_numpy(np.concatenate(slots).astype(np.int64))


def _feature_rows(posts: Sequence[EncodedView]) -> Tensor:
    """(R, V) rows of the table of region features, padded with -1; windows of a long post have no regions."""
    of_rows = [
        post.regions if len(post.row_lengths) == 1 else post.regions[:0] for post in posts for _ in post.row_lengths
    ]
    padded = np.full((len(of_rows), max(1, max(map(len, of_rows)))), -1, np.int64)
    for row, regions in enumerate(of_rows):
        padded[row, : len(regions)] = regions
    return torch.from_numpy(padded)


def _cumulative(lengths: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _row_bounds(lengths: NDArray[np.int64]) -> RowBounds:
    return RowBounds(torch.from_numpy(_cumulative(lengths)), int(lengths.max()))


def _padded_rows(lengths: NDArray[np.int64]) -> PaddedRows:
    mask = np.arange(max(int(lengths.max()), 1)) < lengths[:, None]
    pad_index = np.zeros(mask.shape, dtype=np.int64)
    pad_index[mask] = np.arange(int(lengths.sum()))
    return PaddedRows(torch.from_numpy(pad_index), torch.from_numpy(mask), torch.from_numpy(np.flatnonzero(mask)))


def pad_tags(tags: Sequence[Sequence[int]]) -> Tensor:
    """(B, W) tag indices, 0 in padding."""
    padded = np.zeros((len(tags), max(map(len, tags))), dtype=np.int64)
    for row, post in enumerate(tags):
        padded[row, : len(post)] = post
    return torch.from_numpy(padded)


def bucketed_batches(lengths: Sequence[int], batch_size: int, seed: Sequence[int]) -> Iterator[list[int]]:
    """Indices of posts in batches of ``batch_size``, drawn anew for every seed.

    Posts are shuffled, sorted by length within pools of POOL batches, and the batches shuffled: nearly no padding, and
    still other batches in every epoch.
    """
    generator = np.random.default_rng(list(seed))
    order = generator.permutation(len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(order), batch_size * POOL):
        pool = sorted(order[start : start + batch_size * POOL].tolist(), key=lambda index: lengths[index])
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    for index in generator.permutation(len(batches)):
        yield batches[index]


def split_by_budget(
    indices: Iterable[int], lengths: Sequence[int], batch_size: int, max_subwords: int
) -> list[list[int]]:
    """Cuts a sequence of posts into batches of at most ``batch_size`` posts and ``max_subwords``, at least one post."""
    batches: list[list[int]] = []
    room = 0
    for index in indices:
        if not batches or len(batches[-1]) == batch_size or lengths[index] > room:
            batches.append([])
            room = max_subwords
        batches[-1].append(index)
        room -= lengths[index]
    return batches


def longest_first(lengths: Sequence[int], batch_size: int, max_subwords: int) -> list[list[int]]:
    """Indices of posts in batches of at most ``batch_size`` posts and ``max_subwords``, longest first."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    return split_by_budget(order, lengths, batch_size, max_subwords)
