"""Batches of a stream."""

import itertools
import threading
import time

import pytest

from ita.tagging.batches import AHEAD, FIRST, growing_batches


def test_all_items_come_in_order():
    batches = list(growing_batches(range(3000)))
    assert list(itertools.chain(*batches)) == [*range(3000)]
    assert all(0 < len(batch) <= AHEAD for batch in batches) and len(batches[0]) <= FIRST
    assert list(growing_batches([])) == []


def test_batches_grow_while_more_comes_than_is_worked_off():
    sizes = []
    for batch in growing_batches(range(4000)):
        sizes.append(len(batch))
        time.sleep(0.01)
    assert sizes[0] <= FIRST and max(sizes) > 16 * FIRST and sizes[-1] < max(sizes)


def test_a_slow_stream_is_answered_item_by_item():
    answered, go_on = [], threading.Event()

    def items():
        for number in range(4):
            yield number
            assert go_on.wait(5), "the next item comes only when this one has been answered"
            go_on.clear()

    for batch in growing_batches(items()):
        answered.append(batch)
        go_on.set()
    assert answered == [[0], [1], [2], [3]]


def test_no_more_is_read_ahead_than_said():
    read = itertools.count()
    stream = growing_batches(next(read) for _ in range(10 * AHEAD))
    first = next(stream)
    time.sleep(0.2)
    assert next(read) <= len(first) + AHEAD + 2


def test_heavy_items_are_few():
    read = []

    def items():
        for number in range(200):
            read.append(number)
            yield number

    sizes, came = [], []
    for batch in growing_batches(items(), weight=lambda item: AHEAD // 4):
        time.sleep(0.005)
        assert len(read) <= len(came) + len(batch) + 5
        sizes.append(len(batch))
        came += batch
    assert came == [*range(200)] and max(sizes) <= 4
    assert list(itertools.chain(*growing_batches(range(5), weight=lambda item: 10 * AHEAD))) == [*range(5)]


def test_an_error_comes_behind_what_was_read_before():
    def items():
        yield 1
        raise ValueError("broken")

    batches = []
    with pytest.raises(ValueError, match="broken"):
        for batch in growing_batches(items()):
            batches += batch
    assert batches == [1]
