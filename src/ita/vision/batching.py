"""Batches of images of equal shape, and threads for work on single images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ita.vision.images import DECODER_THREADS

Item = TypeVar("Item")
Result = TypeVar("Result")


def bucket_by_shape(shapes: Sequence[Hashable], batch_size: int) -> Iterator[list[int]]:
    """Indices of inputs of equal shape, at most ``batch_size`` at a time: such inputs form a batch without padding."""
    buckets = defaultdict(list)
    for index, shape in enumerate(shapes):
        buckets[shape].append(index)
    for indices in buckets.values():
        for start in range(0, len(indices), batch_size):
            yield indices[start : start + batch_size]


def map_by_shape(
    shapes: Sequence[Hashable], batch_size: int, forward: Callable[[list[int]], Iterable[Result]]
) -> list[Result]:
    """Runs inputs in batches of equal shape; without padding a result does not depend on the rest of its batch.

    Args:
        shapes: of the inputs.
        batch_size: most inputs of a batch.
        forward: indices of the inputs of a batch -> their results.

    Returns:
        The result of each input, in the order of the inputs.
    """
    results: dict[int, Result] = {}
    for indices in bucket_by_shape(shapes, batch_size):
        results.update(zip(indices, forward(indices), strict=True))
    return [results[index] for index in range(len(shapes))]


def map_in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Results of a function in the order of the items, on threads: Pillow and NumPy release the interpreter lock."""
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(DECODER_THREADS) as pool:
        return list(pool.map(function, items))
