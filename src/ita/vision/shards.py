"""Shards: parts of the images of a dataset, each a job of its own.

A shard holds whole batches, in the order of images.parquet. What is computed for an image therefore does not depend on
how many shards there are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from ita.stage import UserError

T = TypeVar("T")


def part(items: Sequence[T], shard: str | None, batch: int = 1) -> Sequence[T]:
    """The items of a shard.

    Args:
        items: of all shards.
        shard: ``2-of-7``; None for all.
        batch: items of a batch.

    Raises:
        UserError: for a shard that is not of this form, or not among so many.
    """
    if shard is None:
        return items
    found = re.fullmatch(r"(\d+)-of-(\d+)", shard)
    number, of = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= of:
        raise UserError(f"--shard: expected a number and how many there are, such as 2-of-7, found '{shard}'")
    batches = -(-len(items) // batch)
    return items[batches * (number - 1) // of * batch : batches * number // of * batch]
