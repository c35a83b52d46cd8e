"""Batches of a stream: what has come so far, more at a time while more comes than is worked off."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

AHEAD = 512
"""Most items that are read before they are asked for, and of a batch."""
FIRST = 8
"""Most items of the first batch, which is answered at once."""


class _End:
    """Behind the last item: the error that ended the stream, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def growing_batches(
    items: Iterable[T], weight: Callable[[T], int] = lambda item: 1, heaviest: int = AHEAD
) -> Iterator[list[T]]:
    """Batches of the items that have come, in order.

    A thread reads ahead, at most AHEAD items. A batch is what is there; its limit starts at FIRST and doubles as long
    as batches are full.

    Args:
        items: the stream.
        weight: of an item.
        heaviest: weight from which on a batch ends.

    Raises:
        Whatever ``items`` raises.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(AHEAD)

    def read() -> None:
        error = None
        try:
            for item in items:
                waiting.put(item)
        except BaseException as raised:
            error = raised
        waiting.put(_End(error))

    threading.Thread(target=read, daemon=True).start()
    limit = FIRST
    while True:
        batch, end = _take(waiting, limit, weight, heaviest)
        if batch:
            yield batch
        if end is not None:
            if end.error is not None:
                raise end.error
            return
        limit = min(2 * limit, AHEAD) if len(batch) == limit else limit


def _take(
    waiting: queue.Queue[T | _End], limit: int, weight: Callable[[T], int], heaviest: int
) -> tuple[list[T], _End | None]:
    """What has come, at least one item, and the end if it has been reached."""
    batch: list[T] = []
    load = 0
    item = waiting.get()
    while True:
        if isinstance(item, _End):
            return batch, item
        batch.append(item)
        load += weight(item)
        if len(batch) == limit or load >= heaviest:
            return batch, None
        try:
            item = waiting.get_nowait()
        except queue.Empty:
            return batch, None
