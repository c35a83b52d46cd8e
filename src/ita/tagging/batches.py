"""Batches of a stream: what has come so far, more at a time while more comes than is worked off."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

AHEAD = 512
"""Most items, each of weight 1, that are read before they are asked for, and of a batch."""
FIRST = 8
"""Most items of the first batch, which is answered at once."""


class ReadAhead(Generic[T]):
    """What a thread has read of a stream, at most AHEAD in weight (and one item, however heavy).

    Args:
        items: the stream.
        weight: of an item.
    """

    def __init__(self, items: Iterable[T], weight: Callable[[T], int]) -> None:
        self.items, self.weight = items, weight
        self.waiting: deque[tuple[T, int]] = deque()
        self.load = 0
        self.ended = False
        self.error: BaseException | None = None
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        error = None
        try:
            for item in self.items:
                self._put(item)
        except BaseException as raised:
            error = raised
        with self.changed:
            self.ended, self.error = True, error
            self.changed.notify_all()

    def _put(self, item: T) -> None:
        weight = self.weight(item)
        with self.changed:
            while self.waiting and self.load + weight > AHEAD:
                self.changed.wait()
            self.waiting.append((item, weight))
            self.load += weight
            self.changed.notify_all()

    def take(self, most: int) -> list[T]:
        """What has come, at least one item and at most ``most``; nothing at the end. Raises what the stream raised."""
        with self.changed:
            while not self.waiting and not self.ended:
                self.changed.wait()
            if not self.waiting and self.error is not None:
                raise self.error
            batch: list[T] = []
            while self.waiting and len(batch) < most:
                item, weight = self.waiting.popleft()
                self.load -= weight
                batch.append(item)
            self.changed.notify_all()
            return batch


def growing_batches(
    items: Iterable[T], weight: Callable[[T], int] = lambda item: 1, most: int = AHEAD
) -> Iterator[list[T]]:
    """Batches of the items that have come, in order.

    A batch is what is there; its limit starts at FIRST and doubles, up to ``most``, as long as batches are full.

    Args:
        items: the stream, which a thread reads ahead.
        weight: of an item; heavy ones are fewer in memory and in a batch.
        most: items of a batch.

    Raises:
        Whatever ``items`` raises, after the batches of the items before it.
    """
    stream = ReadAhead(items, weight)
    limit = FIRST
    while batch := stream.take(limit):
        yield batch
        if len(batch) == limit:
            limit = min(2 * limit, most)
