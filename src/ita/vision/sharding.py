"""Shards: parts of the images of a dataset, each a job of its own.

A shard holds whole blocks of images in the order of images.parquet, and a batch never crosses the end of a block. What
is computed for an image therefore does not depend on how many shards there are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from ita.errors import UserError

Item = TypeVar("Item")
BLOCK = 64


def shard_batches(
    items: Sequence[Item], shard: str | None, batch_size: int = BLOCK, block_size: int = BLOCK
) -> list[Sequence[Item]]:
    """The batches of a shard.

    Args:
        items: of all shards.
        shard: ``2-of-7``; None for all.
        batch_size: most items of a batch; at most those of a block count.
        block_size: items of a block.

    Raises:
        UserError: for a shard that is not of this form, or not among so many.
    """
    match = re.fullmatch(r"(\d+)-of-(\d+)", shard or "1-of-1")
    number, shards = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= shards:
        raise UserError(f"--shard: expected a number and how many there are, such as 2-of-7, found '{shard}'")
    blocks = [items[start : start + block_size] for start in range(0, len(items), block_size)]
    shard_blocks = blocks[len(blocks) * (number - 1) // shards : len(blocks) * number // shards]
    step = min(batch_size, block_size)
    return [block[start : start + step] for block in shard_blocks for start in range(0, len(block), step)]


def shard_items(items: Sequence[Item], shard: str | None) -> Sequence[Item]:
    """The items of a shard, a part of the sequence. Raises as ``shard_batches`` does."""
    rows = shard_rows(len(items), shard)
    return items[rows.start : rows.stop]


def shard_rows(count: int, shard: str | None, block_size: int = BLOCK) -> range:
    """Numbers of the items of a shard, of so many in all. Arguments and errors as of ``shard_batches``."""
    blocks = shard_batches(range(count), shard, block_size, block_size)
    return range(blocks[0][0], blocks[-1][-1] + 1) if blocks else range(0)
