"""Reading order of text boxes."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ita.vision.ocr.reading_order import sort_into_lines


def quad(x, y, width=80, height=20, slope=0.0):
    """A text box whose left edge has its centre at (x, y); ``slope`` in degrees, falling to the right."""
    along = (math.cos(math.radians(slope)), math.sin(math.radians(slope)))
    down = (-along[1] * height / 2, along[0] * height / 2)
    left, right = (x, y), (x + along[0] * width, y + along[1] * width)
    return [
        (left[0] - down[0], left[1] - down[1]),
        (right[0] - down[0], right[1] - down[1]),
        (right[0] + down[0], right[1] + down[1]),
        (left[0] + down[0], left[1] + down[1]),
    ]


def rotated_page(rows, columns, slope, height=20, gap=30, pitch=28):
    """Lines of text boxes on a page that is rotated by some degrees, in reading order."""
    turn = math.radians(slope)
    boxes = []
    for row in range(rows):
        for column in range(columns):
            x, y = column * (80 + gap), row * pitch
            left = 500 + x * math.cos(turn) - y * math.sin(turn)
            top = 500 + x * math.sin(turn) + y * math.cos(turn)
            boxes.append(quad(left, top, 80, height, slope))
    return boxes


def reading_order(boxes):
    """Indices of the boxes in reading order."""
    return [index for line in sort_into_lines(boxes) for index in line]


arguments = st.tuples(
    st.integers(0, 600), st.integers(0, 600), st.integers(1, 200), st.integers(1, 60), st.integers(-9, 9)
)


@given(st.lists(arguments, max_size=12), st.randoms())
def test_the_order_of_the_boxes_does_not_matter(drawn, chance):
    boxes = [quad(*values) for values in drawn]
    order = reading_order(boxes)
    assert sorted(order) == list(range(len(boxes)))
    mixed = chance.sample(boxes, len(boxes))
    assert [mixed[index] for index in reading_order(mixed)] == [boxes[index] for index in order]


@given(st.lists(arguments, max_size=12))
def test_the_size_of_the_image_does_not_matter(drawn):
    boxes = [quad(*values) for values in drawn]
    assert sort_into_lines([[(4 * x, 4 * y) for x, y in box] for box in boxes]) == sort_into_lines(boxes)


def test_lines_from_top_to_bottom_boxes_from_left_to_right():
    boxes = [quad(200, 53), quad(0, 50), quad(100, 0), quad(300, 48), quad(0, 4)]
    assert sort_into_lines(boxes) == [[4, 2], [1, 0, 3]]
    assert sort_into_lines([]) == []


def test_columns_are_read_across():
    left, right = [quad(0, 30 * n) for n in range(4)], [quad(300, 30 * n + 6) for n in range(4)]
    assert sort_into_lines([*left, *right]) == [[0, 4], [1, 5], [2, 6], [3, 7]]


def test_a_column_between_the_lines_of_another_is_not_glued_to_both():
    """Lines so close that their boxes overlap, and a second column halfway between them."""
    left, right = [quad(0, 22 * n, height=24) for n in range(3)], [quad(200, 22 * n + 11, height=24) for n in range(3)]
    lines = sort_into_lines([*left, *right])
    assert all(len({index < 3 for index in line}) == len(line) for line in lines)
    assert sorted(index for line in lines for index in line) == list(range(6))


@pytest.mark.parametrize("slope", [-8, -5, -2, 0, 2, 5, 8])
@pytest.mark.parametrize("columns", [1, 2, 4])
def test_sloping_lines(slope, columns):
    boxes = rotated_page(4, columns, slope)
    shuffled = random.Random(slope).sample(range(len(boxes)), len(boxes))
    lines = sort_into_lines([boxes[index] for index in shuffled])
    rows = [[shuffled[index] for index in line] for line in lines]
    assert rows == [list(range(row * columns, (row + 1) * columns)) for row in range(4)]


def test_the_size_of_letters_decides_what_a_line_is():
    """Ten pixels apart: another line of small print, and the same line of a headline."""
    assert sort_into_lines([quad(0, 0, height=10), quad(100, 10, height=10)]) == [[0], [1]]
    assert sort_into_lines([quad(0, 0, height=60), quad(100, 10, height=60)]) == [[0, 1]]


def test_boxes_without_height_or_width():
    assert sorted(reading_order([quad(0, 0, 0, 0), quad(0, 0, 0, 0), quad(5, 0, 10, 0)])) == [0, 1, 2]
