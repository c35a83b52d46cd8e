"""Batches of a stream in several processes."""

import os
import signal
import time

import pytest

from ita.errors import UserError
from ita.tagging.processes import BATCHES_PER_WORKER, map_in_processes


def work(number):
    """A late first result; number 5 is refused, and at 7 the process is killed."""
    if number == 0:
        time.sleep(0.5)
    if number == 5:
        raise UserError("five")
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number, os.getpid()


def test_order_is_kept_and_the_stream_is_read_a_few_items_ahead():
    read = []

    def items():
        for number in [0, 1, 2, 3, 4] * 4:
            read.append(number)
            yield number

    results = map_in_processes(work, items(), 2)
    numbers, processes = zip(*[next(results) for _ in range(3)], strict=True)
    time.sleep(0.3)
    assert len(read) <= 3 + 2 * BATCHES_PER_WORKER + 2
    rest, more = zip(*results, strict=True)
    assert [*numbers, *rest] == [0, 1, 2, 3, 4] * 4
    assert len({*processes, *more}) == 2 and os.getpid() not in processes


def test_a_result_does_not_wait_for_the_next_item():
    def items():
        yield 1
        time.sleep(60)

    begin = time.monotonic()
    results = map_in_processes(work, items(), 2)
    assert next(results)[0] == 1
    results.close()
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize(("last", "message"), [(5, "five"), (7, "ended from outside")])
def test_errors_come_after_the_results_before_them(last, message):
    results = map_in_processes(work, [1, 2, last], 1)
    assert [next(results)[0], next(results)[0]] == [1, 2]
    with pytest.raises(UserError, match=message):
        next(results)
