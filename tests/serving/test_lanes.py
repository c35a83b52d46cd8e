"""Batches of many requests' items."""

import asyncio
import threading

from ita.serving.lanes import Lane


class Worker:
    """Doubles numbers; waits at the first batch until told to go on."""

    def __init__(self):
        self.batches, self.started, self.go_on = [], threading.Event(), threading.Event()

    def __call__(self, items):
        self.batches.append(list(items))
        self.started.set()
        assert self.go_on.wait(10)
        if 13 in items:
            raise ValueError("13")
        return [2 * item for item in items]


def run_jobs(budget, jobs, weights=None, cancel=()):
    """Runs jobs that arrive while a first one, [0], is worked on; results and batches."""
    worker, observed = Worker(), []
    lane = Lane("test", worker, budget, lambda count, weight: observed.append((count, weight)))

    async def main():
        first = asyncio.ensure_future(lane.run([0], [1]))
        assert await asyncio.to_thread(worker.started.wait, 10)
        tasks = [asyncio.ensure_future(lane.run(job, weights or [1] * len(job))) for job in jobs]
        await asyncio.sleep(0)
        for number in cancel:
            tasks[number].cancel()
        await asyncio.sleep(0)
        worker.go_on.set()
        assert await first == [0]
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(main())
    assert [count for count, _ in observed] and lane.load == 0
    return results, worker.batches[1:]


def test_what_many_requests_bring_is_one_batch():
    results, batches = run_jobs(100, [[number] for number in range(1, 9)])
    assert results == [[2 * number] for number in range(1, 9)] and batches == [list(range(1, 9))]


def test_a_small_request_does_not_wait_for_a_large_one():
    results, batches = run_jobs(4, [[10, 11, 12, 14, 15, 16], [20]])
    assert results == [[20, 22, 24, 28, 30, 32], [40]]
    assert batches == [[10, 20, 11, 12], [14, 15, 16]]


def test_batches_keep_to_the_budget_but_for_a_single_item():
    results, batches = run_jobs(5, [[1, 2, 3, 4]], weights=[9, 3, 3, 2])
    assert results == [[2, 4, 6, 8]] and batches == [[1], [2], [3, 4]]


def test_an_item_at_which_the_work_fails_costs_only_itself():
    (first, second), batches = run_jobs(10, [[1, 13], [2]])
    assert (first[0], second) == (2, [4]) and isinstance(first[1], ValueError)
    assert batches == [[1, 2, 13], [1], [2], [13]]


def test_what_nobody_waits_for_is_not_worked_on():
    (cancelled, kept), batches = run_jobs(10, [[1, 2], [3]], cancel=[0])
    assert isinstance(cancelled, asyncio.CancelledError) and kept == [6] and batches == [[3]]
