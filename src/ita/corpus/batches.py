"""Batches of encoded posts: padding, indices of first pieces, length buckets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ita.corpus.views import Encoded

POOL = 32
"""Batches per pool: posts of a shuffled pool are sorted by length, so that a batch holds posts of similar length."""


@dataclass(frozen=True)
class Batch:
    """One view of B posts."""

    input_ids: Tensor
    """(N, T) word pieces; N > B only when a post is longer than the encoder and is read in windows."""
    attention_mask: Tensor
    """(N, T); 1 is a piece, 0 is padding."""
    first: Tensor
    """(B, W) index of each word's first piece in the N*T pieces; -1 for a word without pieces and beyond a length."""
    lengths: Tensor
    """(B,) words."""
    pieces: int
    """Word pieces without padding."""

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        return replace(
            self,
            input_ids=self.input_ids.to(device, non_blocking=True),
            attention_mask=self.attention_mask.to(device, non_blocking=True),
            first=self.first.to(device, non_blocking=True),
            lengths=self.lengths.to(device, non_blocking=True),
        )


def collate(posts: Sequence[Encoded], pad: int) -> Batch:
    """One padded batch of a view of some posts; ``pad`` is the id of the padding piece."""
    rows = [row for post in posts for row in post.rows]
    width = max(map(len, rows))
    words = max(len(post.first) for post in posts)
    ids = np.full((len(rows), width), pad, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    first = np.full((len(posts), words), -1, dtype=np.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
        mask[number, : len(row)] = 1
    offset = 0
    for number, post in enumerate(posts):
        for word, (row_of, position) in enumerate(post.first):
            if position >= 0:
                first[number, word] = (offset + row_of) * width + position
        offset += len(post.rows)
    lengths = torch.tensor([len(post.first) for post in posts])
    return Batch(torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(first), lengths, int(mask.sum()))


def padded_tags(tags: Sequence[Sequence[int]]) -> Tensor:
    """(B, W) tag indices, 0 beyond a length."""
    padded = torch.zeros(len(tags), max(map(len, tags)), dtype=torch.long)
    for number, row in enumerate(tags):
        padded[number, : len(row)] = torch.tensor(row)
    return padded


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


def in_order(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices of posts in batches of ``size``, longest first."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    return [order[at : at + size] for at in range(0, len(order), size)]
