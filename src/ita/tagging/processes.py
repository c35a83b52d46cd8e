"""Work on the batches of a stream in several processes; results come in the order of the batches."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from ita.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

BATCHES_PER_WORKER = 2
"""Batches that are worked on or wait for it or for being taken, for each worker: what memory holds."""


def map_in_processes(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Results of the items, in order, each as soon as it and those before it are there.

    Args:
        work: what each process does with an item; it is pickled.
        items: the stream; a thread reads it, a few items ahead.
        workers: processes.

    Raises:
        UserError: when a process was killed.
        Whatever ``items`` or ``work`` raise, after the results before it.
    """
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), start_worker)
    waiting: queue.Queue[Future[Result] | BaseException | None] = queue.Queue(BATCHES_PER_WORKER * workers)

    def submit() -> None:
        end: BaseException | None = None
        try:
            for item in items:
                waiting.put(pool.submit(work, item))
        except BaseException as error:
            end = error
        waiting.put(end)

    threading.Thread(target=submit, daemon=True).start()
    try:
        while (entry := waiting.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry.result()
    except BrokenProcessPool:
        raise UserError(
            "a worker process was ended from outside, or had too little memory: take fewer --workers; with --output "
            "the same command goes on where it was"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def start_worker() -> None:
    """Leaves the signals of a terminal to the first process, and ends with it, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """Waits for the process that started this one; without it a worker would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
