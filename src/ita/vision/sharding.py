"""Shards: parts of the images of a dataset, each a job of its own.

A shard holds whole blocks of images in the order of images.parquet, and a batch never reaches over the end of a block.
What is computed for an image therefore does not depend on how many shards there are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from ita.errors import UserError

T = TypeVar("T")
BLOCK = 64


def blocks(items: Sequence[T], shard: str | None, batch: int = BLOCK) -> list[Sequence[T]]:
    """The batches of a shard.

    Args:
        items: of all shards.
        shard: ``2-of-7``; None for all.
        batch: most items of a batch; at most BLOCK.

    Raises:
        UserError: for a shard that is not of this form, or not among so many.
    """
    found = re.fullmatch(r"(\d+)-of-(\d+)", shard or "1-of-1")
    number, of = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= of:
        raise UserError(f"--shard: expected a number and how many there are, such as 2-of-7, found '{shard}'")
    every = [items[start : start + BLOCK] for start in range(0, len(items), BLOCK)]
    mine = every[len(every) * (number - 1) // of : len(every) * number // of]
    return [block[start : start + batch] for block in mine for start in range(0, len(block), min(batch, BLOCK))]


def part(items: Sequence[T], shard: str | None) -> list[T]:
    """The items of a shard. Raises as ``blocks`` does."""
    return [item for block in blocks(items, shard) for item in block]
