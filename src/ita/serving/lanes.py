"""Batches of the posts of many clients: a thread that takes what has come, turn by turn from every job."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

SMOOTHING = 0.2
"""Share of the last batch in the mean seconds of a unit of weight."""


@dataclass
class Job(Generic[T, R]):
    """Items of one request that wait for a lane."""

    waiting: deque[tuple[int, T, int]]
    """Number, item, weight."""
    results: list[R | Exception | None]
    missing: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[list[R | Exception]]

    def settle(self, number: int, result: R | Exception) -> None:
        """Takes a result; with the last one the request goes on."""
        self.results[number] = result
        self.missing -= 1
        if not self.missing:
            with suppress(RuntimeError):  # the loop is closed, nobody waits
                self.loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self.future.done():
            self.future.set_result([result for result in self.results if result is not None])


class Lane(Generic[T, R]):
    """A thread that works off items in batches: what has come since the last batch, up to a budget.

    Jobs take turns item by item, so that a small request does not wait for a large one.

    Args:
        name: of the thread.
        work: gives a result for each item of a batch. Where it raises, the items are tried one by one.
        budget: most weight of a batch; a single heavier item is worked on all the same.
        observe: told the number of items and the weight of every batch.
    """

    def __init__(
        self, name: str, work: Callable[[list[T]], Sequence[R]], budget: int, observe: Callable[[int, int], object]
    ) -> None:
        self.work, self.budget, self.observe = work, budget, observe
        self.jobs: deque[Job[T, R]] = deque()
        self.load = 0
        self.seconds_per_unit = 0.0
        """Of weight, over the last batches."""
        self.working = False
        """Whether a batch is worked on, perhaps one that nobody waits for any more."""
        self.changed = threading.Condition()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def run(self, items: Sequence[T], weights: Sequence[int]) -> list[R | Exception]:
        """Results of items, in order; an item that cannot be worked on has the exception for a result."""
        if not items:
            return []
        loop = asyncio.get_running_loop()
        waiting = deque(
            (number, item, weight) for number, (item, weight) in enumerate(zip(items, weights, strict=True))
        )
        job: Job[T, R] = Job(waiting, [None] * len(items), len(items), loop, loop.create_future())
        with self.changed:
            self.jobs.append(job)
            self.load += sum(weights)
            self.changed.notify()
        try:
            return await job.future
        finally:
            with self.changed:  # something waits where nobody waits for it any more
                self.load -= sum(weight for _, _, weight in job.waiting)
                job.waiting.clear()

    def _run(self) -> None:
        while True:
            batch, weight = self._take()
            if not batch:
                continue
            start = time.monotonic()
            results = self._results([item for _, _, item in batch])
            self.working = False
            for (job, number, _), result in zip(batch, results, strict=True):
                job.settle(number, result)
            seconds = (time.monotonic() - start) / max(weight, 1)
            self.seconds_per_unit += (SMOOTHING if self.seconds_per_unit else 1.0) * (seconds - self.seconds_per_unit)
            self.observe(len(batch), weight)

    def _take(self) -> tuple[list[tuple[Job[T, R], int, T]], int]:
        """Items for a batch, and their weight; waits until there are some."""
        batch: list[tuple[Job[T, R], int, T]] = []
        weight = 0
        with self.changed:
            while not self.jobs:
                self.changed.wait()
            while self.jobs:
                job = self.jobs.popleft()
                if not job.waiting:
                    continue
                number, item, item_weight = job.waiting[0]
                if batch and weight + item_weight > self.budget:
                    self.jobs.appendleft(job)
                    break
                job.waiting.popleft()
                self.load -= item_weight
                weight += item_weight
                batch.append((job, number, item))
                if job.waiting:
                    self.jobs.append(job)
            self.working = bool(batch)
        return batch, weight

    def _results(self, items: list[T]) -> list[R | Exception]:
        try:
            return list(self.work(items))
        except Exception as error:  # whatever fails costs the item at which it fails, never the thread
            if len(items) == 1:
                return [error]
            return [result for item in items for result in self._results([item])]
