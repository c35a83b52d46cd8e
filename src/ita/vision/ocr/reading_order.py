"""Reading order of pieces of text: lines from top to bottom, the pieces of a line from left to right.

PP-OCR finds pieces of lines as quadrilaterals, in no order that means anything. PaddleOCR sorts them by their top left
corners and takes neighbours for one line whose corners differ by less than 10 pixels, whatever the size of the letters.
Here it is half the height of a piece (our choice), measured where two pieces face each other, so that large letters and
a line that slopes a little keep together. Columns are not told apart: their lines are read across.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import dist
from typing import NamedTuple

Quad = Sequence[Sequence[float]]
"""Corners (x, y) of a piece: top left, top right, bottom right, bottom left."""


class Piece(NamedTuple):
    """A piece of a line; the order of pieces is that of their middles from top to bottom."""

    y: float
    """Its middle."""
    x: float
    height: float
    left: tuple[float, float]
    """Middle of its left edge (x, y)."""
    right: tuple[float, float]


def reading_order(boxes: Sequence[Quad]) -> list[int]:
    """Indices of the boxes in the order of reading."""
    return [index for line in lines(boxes) for index in line]


def lines(boxes: Sequence[Quad]) -> list[list[int]]:
    """Indices of the boxes line by line. The order in which the boxes come does not matter."""
    pieces = [piece(box) for box in boxes]
    found: list[list[int]] = []
    for index in sorted(range(len(pieces)), key=pieces.__getitem__):
        fits = [(offset(pieces[index], [pieces[i] for i in line]), number) for number, line in enumerate(found)]
        best, number = min(fits, default=(1.0, 0))
        if best < 1:
            found[number].append(index)
        else:
            found.append([index])
    for line in found:
        line.sort(key=lambda index: (pieces[index].x, pieces[index]))
    return sorted(found, key=lambda line: sum(pieces[index].y for index in line) / len(line))


def piece(box: Quad) -> Piece:
    """The measures of a box."""
    (x1, y1), (x2, y2), (x3, y3), (x4, y4) = ((float(x), float(y)) for x, y in box)
    left, right = ((x1 + x4) / 2, (y1 + y4) / 2), ((x2 + x3) / 2, (y2 + y3) / 2)
    height = (dist((x1, y1), (x4, y4)) + dist((x2, y2), (x3, y3))) / 2
    return Piece((left[1] + right[1]) / 2, (left[0] + right[0]) / 2, height, left, right)


def offset(one: Piece, line: Sequence[Piece]) -> float:
    """How far a piece lies above or below a line, in halves of a height; 1 or more: it belongs to another line."""
    if any(stacked(one, other) for other in line):
        return 1.0
    near = min(line, key=lambda other: (abs(other.x - one.x), other))
    before, after = (near, one) if near.x <= one.x else (one, near)
    reach = min(one.height, near.height) / 2
    return abs(before.right[1] - after.left[1]) / reach if reach else 1.0


def stacked(one: Piece, other: Piece) -> bool:
    """Whether two pieces share more than half of the width of the narrower, and so stand one above the other."""
    shared = min(one.right[0], other.right[0]) - max(one.left[0], other.left[0])
    return shared > min(one.right[0] - one.left[0], other.right[0] - other.left[0]) / 2
