"""Reading order of text boxes: lines from top to bottom, the boxes of a line from left to right.

PP-OCR detects text boxes as quadrilaterals, in no meaningful order. PaddleOCR sorts them by their top left corners and
puts neighbours into one line whose corners differ by less than 10 pixels, whatever the size of the letters. Here the
threshold is half the height of a box (our choice), measured where two boxes face each other, so that large letters and
a line that slopes a little stay together. Columns are not separated: their lines are read across.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import dist
from typing import NamedTuple

Quad = Sequence[Sequence[float]]
"""Corners (x, y) of a text box: top left, top right, bottom right, bottom left."""


class BoxGeometry(NamedTuple):
    """Measures of a text box; geometries compare by their centres from top to bottom."""

    y: float
    """Of the centre."""
    x: float
    height: float
    left: tuple[float, float]
    """Centre of the left edge (x, y)."""
    right: tuple[float, float]


def sort_into_lines(quads: Sequence[Quad]) -> list[list[int]]:
    """Sorts text boxes into reading order; the order in which they come does not matter.

    Returns:
        Indices of the boxes of each line.
    """
    boxes = [measure(quad) for quad in quads]
    lines: list[list[int]] = []
    for index in sorted(range(len(boxes)), key=boxes.__getitem__):
        offsets = [line_offset(boxes[index], [boxes[member] for member in line]) for line in lines]
        offset, nearest = min(zip(offsets, range(len(lines)), strict=True), default=(1.0, 0))
        if offset < 1:
            lines[nearest].append(index)
        else:
            lines.append([index])
    for line in lines:
        line.sort(key=lambda index: (boxes[index].x, boxes[index]))
    return sorted(lines, key=lambda line: sum(boxes[index].y for index in line) / len(line))


def measure(quad: Quad) -> BoxGeometry:
    """The measures of a text box."""
    (x1, y1), (x2, y2), (x3, y3), (x4, y4) = ((float(x), float(y)) for x, y in quad)
    left, right = ((x1 + x4) / 2, (y1 + y4) / 2), ((x2 + x3) / 2, (y2 + y3) / 2)
    height = (dist((x1, y1), (x4, y4)) + dist((x2, y2), (x3, y3))) / 2
    return BoxGeometry((left[1] + right[1]) / 2, (left[0] + right[0]) / 2, height, left, right)


def line_offset(box: BoxGeometry, line: Sequence[BoxGeometry]) -> float:
    """Vertical distance of a box from a line, in halves of a height; from 1 on it belongs to another line."""
    if any(stacked(box, member) for member in line):
        return 1.0
    neighbour = min(line, key=lambda member: (abs(member.x - box.x), member))
    first, second = (neighbour, box) if neighbour.x <= box.x else (box, neighbour)
    half_height = min(box.height, neighbour.height) / 2
    return abs(first.right[1] - second.left[1]) / half_height if half_height else 1.0


def stacked(a: BoxGeometry, b: BoxGeometry) -> bool:
    """Whether one box lies above the other: they share more than half of the width of the narrower."""
    shared = min(a.right[0], b.right[0]) - max(a.left[0], b.left[0])
    return shared > min(a.right[0] - a.left[0], b.right[0] - b.left[0]) / 2
