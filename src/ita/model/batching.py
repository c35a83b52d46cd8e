"""Batches of encoded posts: packed inputs, the places of words among them, length buckets.

A batch holds its inputs (word pieces, and regions where there are any) one row after another, without padding. What has
to be padded (attention where the device has no variable-length kernel, encoders that take only padded input) is told by
groups of rows of similar length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ita.model.inputs import EncodedView

POOL = 32
"""Batches per pool: posts of a shuffled pool are sorted by length, so that a batch holds posts of similar length."""


@dataclass(frozen=True)
class Padding:
    """R consecutive rows of packed items as a rectangle of the longest row's width T."""

    index: Tensor
    """(R, T) item of each slot, counted from the group's first; an empty slot holds item 0."""
    inside: Tensor
    """(R, T); True is an item, False an empty slot."""
    slots: Tensor
    """(n,) slot of each of the group's n items, counted row by row."""

    @property
    def full(self) -> bool:
        """All rows are equally long: there is no empty slot."""
        return self.slots.shape[0] == self.index.numel()


@dataclass(frozen=True)
class Group:
    """Consecutive rows of similar length."""

    pieces: Padding
    """Their inputs."""
    read: Padding
    """Those of the inputs that represent words."""


@dataclass(frozen=True)
class Bounds:
    """Where rows begin and end among packed items."""

    offsets: Tensor
    """(R + 1,) cumulative lengths of the rows."""
    longest: int
    """Items of the longest row."""


@dataclass(frozen=True)
class RegionInputs:
    """The regions among the N inputs of a batch, V in all."""

    rows: Tensor
    """(V,) row of each in the table of features."""
    order: Tensor
    """(N,) what each input is: the number of a word piece, or behind those the number of a region."""


@dataclass(frozen=True)
class Batch:
    """B posts, each in one view, as N inputs in R rows; M of them are the pieces that represent words."""

    ids: Tensor
    """(N - V,) word pieces."""
    visual: RegionInputs | None
    """The other V inputs; None where all are word pieces."""
    positions: Tensor
    """(N,) place of each input in its row, from 0."""
    read: Tensor
    """(M,) first pieces of words, in their order among the N."""
    first: Tensor
    """(B, W) index of each word among the M; -1 for a word without pieces and beyond a length."""
    lengths: Tensor
    """(B,) words."""
    piece_bounds: Bounds
    """Rows among the N inputs."""
    read_bounds: Bounds
    """Rows among the M that are read."""
    groups: tuple[Group, ...]

    @property
    def pieces(self) -> int:
        """N."""
        return len(self.positions)


def on_device(held: Any, device: torch.device) -> Any:
    """A copy of batches, or of what holds them in lists and dataclasses, with every tensor on a device."""
    if device.type == "cpu":
        return held
    if isinstance(held, Tensor):
        return held.to(device, non_blocking=True)
    if isinstance(held, list | tuple):
        return type(held)(on_device(one, device) for one in held)
    if is_dataclass(held) and not isinstance(held, type):
        return type(held)(**{item.name: on_device(getattr(held, item.name), device) for item in fields(held)})
    return held


def collate(views: Sequence[Sequence[EncodedView]]) -> Batch:
    """One batch of some posts in one view, or of those of one view followed by those of another.

    Args:
        views: posts of each view; a view is a group, for its rows are of similar length.
    """
    posts = [post for view in views for post in view]
    rows = np.array([length for post in posts for length in post.rows])
    starts = _offsets(rows)[:-1]
    ids = np.concatenate([post.ids for post in posts])
    positions = np.arange(rows.sum()) - np.repeat(starts, rows)
    lengths = np.array([len(post.first) for post in posts])
    shifts = _offsets([post.length for post in posts])[:-1]
    inside = np.arange(lengths.max()) < lengths[:, None]
    place = np.full(inside.shape, -1)
    place[inside] = np.concatenate(
        [np.where(post.first < 0, -1, post.first + at) for post, at in zip(posts, shifts, strict=True)]
    )
    # Windows of a long post are not read in the order of its words.
    read = np.unique(place[place >= 0])
    first = np.where(place < 0, -1, np.searchsorted(read, place))
    read_rows = np.diff(np.searchsorted(read, [*starts, len(positions)]))
    ends = np.cumsum([sum(len(post.rows) for post in view) for view in views])[:-1]
    groups = [
        Group(_padding(a), _padding(b)) for a, b in zip(np.split(rows, ends), np.split(read_rows, ends), strict=True)
    ]
    return Batch(
        torch.from_numpy(ids),
        _visual(posts),
        torch.from_numpy(positions),
        torch.from_numpy(read),
        torch.from_numpy(first),
        torch.from_numpy(lengths),
        Bounds(torch.from_numpy(_offsets(rows)), int(rows.max())),
        Bounds(torch.from_numpy(_offsets(read_rows)), int(read_rows.max())),
        tuple(groups),
    )


def _visual(posts: Sequence[EncodedView]) -> RegionInputs | None:
    seen = np.concatenate([post.regions for post in posts])
    if not len(seen):
        return None
    sizes = np.array([(len(post.ids), len(post.regions)) for post in posts])
    region = np.repeat(np.tile([False, True], len(posts)), sizes.flatten())
    order = np.argsort(np.argsort(region, kind="stable"), kind="stable")
    return RegionInputs(torch.from_numpy(seen), torch.from_numpy(order))


def _offsets(lengths: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _padding(rows: NDArray[np.int64]) -> Padding:
    inside = np.arange(max(int(rows.max()), 1)) < rows[:, None]
    index = np.zeros(inside.shape, dtype=np.int64)
    index[inside] = np.arange(int(rows.sum()))
    return Padding(torch.from_numpy(index), torch.from_numpy(inside), torch.from_numpy(np.flatnonzero(inside)))


def padded_tags(tags: Sequence[Sequence[int]]) -> Tensor:
    """(B, W) tag indices, 0 beyond a length."""
    padded = np.zeros((len(tags), max(map(len, tags))), dtype=np.int64)
    for number, row in enumerate(tags):
        padded[number, : len(row)] = row
    return torch.from_numpy(padded)


def bucketed(lengths: Sequence[int], size: int, seed: Sequence[int]) -> Iterator[list[int]]:
    """Indices of posts in batches of ``size``, drawn anew for every seed.

    Posts are shuffled, sorted by length within pools of POOL batches, and the batches shuffled: nearly no padding, and
    still other batches in every epoch.
    """
    generator = np.random.default_rng(list(seed))
    order = generator.permutation(len(lengths))
    batches: list[list[int]] = []
    for at in range(0, len(order), size * POOL):
        pool = sorted(order[at : at + size * POOL].tolist(), key=lambda index: lengths[index])
        batches += [pool[i : i + size] for i in range(0, len(pool), size)]
    for index in generator.permutation(len(batches)):
        yield batches[index]


def within_budget(indices: Iterable[int], lengths: Sequence[int], size: int, budget: int) -> list[list[int]]:
    """Cuts a sequence of posts into batches of at most ``size`` posts and ``budget`` pieces, but at least one post."""
    batches: list[list[int]] = []
    room = 0
    for index in indices:
        if not batches or len(batches[-1]) == size or lengths[index] > room:
            batches.append([])
            room = budget
        batches[-1].append(index)
        room -= lengths[index]
    return batches


def in_order(lengths: Sequence[int], size: int, budget: int) -> list[list[int]]:
    """Indices of posts in batches of at most ``size`` posts and ``budget`` pieces, longest first."""
    return within_budget(sorted(range(len(lengths)), key=lambda index: -lengths[index]), lengths, size, budget)
