"""Vector drawings of the objects in the images: each is a tuple of shapes, drawn in order.

A shape is (form, colour, x1, y1, x2, y2, ...) in units of the object's height, x from its centre, y up from the ground.
Forms: ``box``, ``round`` (a box with round corners), ``oval``, ``cap`` (upper half of an oval), ``smile`` (lower arc),
``poly`` (any number of points). Colours ``main`` and ``shade`` are those of the object, light and dark; ``skin`` and
``hair`` are those of a person; the others are named in PAINT.
"""

from __future__ import annotations

from typing import Any

Shape = tuple[Any, ...]
RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (214, 62, 54),
    "blue": (52, 104, 200),
    "green": (58, 148, 78),
    "yellow": (240, 196, 54),
    "orange": (238, 134, 48),
    "purple": (134, 82, 172),
    "pink": (236, 128, 168),
    "grey": (140, 146, 154),
    "brown": (150, 104, 66),
    "white": (250, 250, 248),
    "black": (58, 58, 64),
}
"""Colours of objects; their names are also attributes."""

PAINT: dict[str, RGB] = {
    "cream": (244, 228, 196),
    "ink": (38, 38, 44),
    "navy": (48, 56, 92),
    "stone": (124, 122, 132),
    "slate": (100, 98, 110),
    "wood": (132, 88, 52),
    "leaf": (66, 136, 70),
    "leaf2": (86, 160, 84),
    "glass": (190, 224, 244),
    "tape": (226, 196, 140),
    "beak": (240, 160, 40),
    "steel": (180, 184, 190),
}

SKIN: tuple[RGB, ...] = ((246, 212, 180), (226, 180, 140), (178, 124, 86), (120, 80, 56))
HAIR: tuple[RGB, ...] = ((50, 38, 32), (110, 70, 40), (214, 176, 96), (160, 70, 40))


def face(y: float, size: float) -> tuple[Shape, ...]:
    """A head: height of its centre, and half its width."""
    radius = size * 0.14
    return (
        ("oval", "skin", -size, y - size, size, y + size),
        ("oval", "ink", -size * 0.42 - radius, y - radius, -size * 0.42 + radius, y + radius),
        ("oval", "ink", size * 0.42 - radius, y - radius, size * 0.42 + radius, y + radius),
        ("smile", "ink", -size * 0.45, y - size * 0.65, size * 0.45, y - size * 0.05),
        ("cap", "hair", -size * 1.06, y - size * 0.62, size * 1.06, y + size * 1.1),
    )


def legs(colour: str, top: float, width: float = 0.1) -> tuple[Shape, ...]:
    """Two legs in black shoes."""
    left = (("box", colour, -width - 0.015, 0.02, -0.015, top), ("oval", "ink", -width - 0.05, 0.0, 0.0, 0.055))
    right = (("box", colour, 0.015, 0.02, width + 0.015, top), ("oval", "ink", 0.0, 0.0, width + 0.05, 0.055))
    return (*left, *right)


def arms(colour: str, top: float, low: float, out: float) -> tuple[Shape, ...]:
    """Two arms with hands, ``out`` from the centre."""
    return (
        ("round", colour, -out - 0.08, low, -out, top),
        ("round", colour, out, low, out + 0.08, top),
        ("oval", "skin", -out - 0.08, low - 0.06, -out, low + 0.02),
        ("oval", "skin", out, low - 0.06, out + 0.08, low + 0.02),
    )


def windows(left: float, low: float, columns: int, rows: int, step: float, size: float) -> tuple[Shape, ...]:
    """A grid of windows from its lower left corner."""
    corners = [(left + column * step, low + row * step * 1.2) for row in range(rows) for column in range(columns)]
    return tuple(("box", "glass", x, y, x + size, y + size * 1.3) for x, y in corners)


def wheel(x: float, radius: float) -> tuple[Shape, ...]:
    """A wheel on the ground."""
    hub = radius * 0.45
    return (
        ("oval", "ink", x - radius, 0.0, x + radius, 2 * radius),
        ("oval", "steel", x - hub, radius - hub, x + hub, radius + hub),
    )


SHAPES: dict[str, tuple[Shape, ...]] = {
    "man": (
        *legs("navy", 0.44),
        *arms("main", 0.76, 0.46, 0.14),
        ("round", "main", -0.16, 0.4, 0.16, 0.78),
        *face(0.88, 0.115),
    ),
    "woman": (
        ("round", "hair", -0.14, 0.66, 0.14, 0.99),
        *legs("skin", 0.4, 0.07),
        *arms("skin", 0.75, 0.5, 0.11),
        ("poly", "main", -0.12, 0.77, 0.12, 0.77, 0.13, 0.52, 0.26, 0.22, -0.26, 0.22, -0.13, 0.52),
        *face(0.87, 0.115),
    ),
    "girl": (
        ("oval", "hair", -0.32, 0.66, -0.16, 0.88),
        ("oval", "hair", 0.16, 0.66, 0.32, 0.88),
        *legs("skin", 0.3, 0.08),
        *arms("skin", 0.6, 0.4, 0.12),
        ("poly", "main", -0.13, 0.62, 0.13, 0.62, 0.27, 0.2, -0.27, 0.2),
        *face(0.79, 0.19),
    ),
    "player": (
        *legs("skin", 0.4),
        ("box", "main", -0.12, 0.05, -0.01, 0.22),
        ("box", "main", 0.01, 0.05, 0.12, 0.22),
        *arms("main", 0.76, 0.54, 0.15),
        ("box", "white", -0.16, 0.32, 0.16, 0.46),
        ("round", "main", -0.17, 0.43, 0.17, 0.78),
        ("box", "white", -0.17, 0.58, 0.17, 0.64),
        *face(0.88, 0.115),
    ),
    "ball": (
        ("oval", "white", -0.5, 0.0, 0.5, 1.0),
        ("poly", "ink", 0.0, 0.72, 0.2, 0.56, 0.13, 0.32, -0.13, 0.32, -0.2, 0.56),
        ("poly", "ink", -0.48, 0.62, -0.34, 0.62, -0.36, 0.82),
        ("poly", "ink", 0.48, 0.62, 0.34, 0.62, 0.36, 0.82),
        ("poly", "ink", -0.14, 0.03, 0.14, 0.03, 0.0, 0.14),
    ),
    "house": (
        ("box", "stone", 0.3, 0.62, 0.46, 0.98),
        ("box", "cream", -0.6, 0.0, 0.6, 0.6),
        ("poly", "main", -0.74, 0.56, 0.0, 1.0, 0.74, 0.56),
        ("box", "wood", -0.12, 0.0, 0.12, 0.36),
        ("oval", "beak", 0.05, 0.15, 0.09, 0.19),
        ("box", "white", -0.49, 0.19, -0.21, 0.47),
        ("box", "glass", -0.46, 0.22, -0.24, 0.44),
        ("box", "white", 0.21, 0.19, 0.49, 0.47),
        ("box", "glass", 0.24, 0.22, 0.46, 0.44),
    ),
    "tower": (
        ("box", "stone", -0.5, 0.0, -0.16, 0.56),
        *windows(-0.46, 0.08, 3, 4, 0.1, 0.05),
        ("box", "slate", 0.16, 0.0, 0.48, 0.68),
        *windows(0.2, 0.08, 3, 5, 0.09, 0.05),
        ("box", "main", -0.21, 0.0, 0.21, 0.9),
        ("box", "shade", -0.11, 0.88, 0.11, 0.95),
        ("box", "ink", -0.012, 0.94, 0.012, 1.0),
        *windows(-0.15, 0.16, 3, 6, 0.11, 0.07),
        ("box", "wood", -0.06, 0.0, 0.06, 0.11),
    ),
    "mountain": (
        ("poly", "slate", -0.3, 0.0, 0.42, 0.78, 1.1, 0.0),
        ("poly", "white", 0.245, 0.59, 0.42, 0.78, 0.59, 0.585, 0.5, 0.6, 0.42, 0.54, 0.33, 0.62),
        ("poly", "stone", -1.05, 0.0, -0.2, 1.0, 0.6, 0.0),
        ("poly", "white", -0.46, 0.695, -0.2, 1.0, 0.044, 0.695, -0.06, 0.72, -0.16, 0.62, -0.28, 0.74),
    ),
    "car": (
        ("poly", "shade", -0.75, 0.58, -0.45, 1.0, 0.4, 1.0, 0.75, 0.58),
        ("poly", "glass", -0.62, 0.6, -0.4, 0.93, -0.04, 0.93, -0.04, 0.6),
        ("poly", "glass", 0.04, 0.6, 0.04, 0.93, 0.36, 0.93, 0.6, 0.6),
        ("round", "main", -1.15, 0.16, 1.15, 0.62),
        ("oval", "yellow", 1.02, 0.36, 1.14, 0.52),
        ("box", "shade", -0.02, 0.2, 0.0, 0.58),
        *wheel(-0.65, 0.21),
        *wheel(0.65, 0.21),
    ),
    "phone": (
        ("round", "ink", -0.29, 0.0, 0.29, 1.0),
        ("box", "main", -0.25, 0.12, 0.25, 0.92),
        *(("round", "white", x, y, x + 0.11, y + 0.11) for x in (-0.21, -0.055, 0.1) for y in (0.17, 0.33, 0.49)),
        ("box", "white", -0.19, 0.7, 0.19, 0.84),
        ("oval", "steel", -0.04, 0.02, 0.04, 0.1),
    ),
    "box": (
        ("poly", "tape", -0.6, 0.7, -0.36, 1.0, 0.84, 1.0, 0.6, 0.7),
        ("poly", "shade", 0.6, 0.0, 0.84, 0.28, 0.84, 1.0, 0.6, 0.7),
        ("box", "main", -0.6, 0.0, 0.6, 0.7),
        ("box", "tape", -0.1, 0.0, 0.1, 0.7),
        ("poly", "white", -0.1, 0.7, 0.1, 0.7, 0.34, 1.0, 0.14, 1.0),
        ("box", "white", 0.22, 0.1, 0.5, 0.3),
    ),
    "dog": (
        ("poly", "shade", -0.72, 0.86, -0.62, 0.9, -0.42, 0.55, -0.52, 0.48),
        *(("box", "shade", x, 0.0, x + 0.13, 0.4) for x in (-0.5, -0.3, 0.1, 0.3)),
        ("oval", "main", -0.6, 0.26, 0.5, 0.7),
        ("oval", "main", 0.26, 0.48, 0.72, 0.98),
        ("oval", "main", 0.52, 0.5, 0.88, 0.74),
        ("oval", "shade", 0.22, 0.5, 0.38, 0.94),
        ("oval", "ink", 0.54, 0.76, 0.61, 0.83),
        ("oval", "ink", 0.8, 0.62, 0.89, 0.71),
    ),
    "cat": (
        ("poly", "shade", 0.2, 0.04, 0.62, 0.1, 0.7, 0.5, 0.6, 0.5, 0.52, 0.18, 0.2, 0.14),
        ("oval", "main", -0.32, 0.0, 0.32, 0.7),
        ("oval", "cream", -0.16, 0.06, 0.16, 0.46),
        ("poly", "main", -0.28, 0.78, -0.27, 1.0, -0.08, 0.9),
        ("poly", "main", 0.28, 0.78, 0.27, 1.0, 0.08, 0.9),
        ("oval", "main", -0.29, 0.5, 0.29, 0.95),
        ("oval", "ink", -0.15, 0.7, -0.08, 0.8),
        ("oval", "ink", 0.08, 0.7, 0.15, 0.8),
        ("poly", "pink", -0.04, 0.67, 0.04, 0.67, 0.0, 0.62),
        ("smile", "ink", -0.09, 0.56, 0.09, 0.64),
    ),
    "bird": (
        ("poly", "shade", -0.5, 0.5, -1.0, 0.7, -0.95, 0.4),
        ("oval", "main", -0.65, 0.1, 0.45, 0.75),
        ("oval", "main", 0.15, 0.42, 0.7, 0.98),
        ("poly", "beak", 0.66, 0.78, 0.96, 0.66, 0.66, 0.6),
        ("poly", "shade", -0.4, 0.5, 0.15, 0.55, -0.35, 1.0),
        ("oval", "ink", 0.42, 0.7, 0.52, 0.8),
    ),
    "tree": (
        ("box", "wood", -0.07, 0.0, 0.07, 0.46),
        ("oval", "leaf", -0.42, 0.3, 0.1, 0.74),
        ("oval", "leaf", -0.1, 0.3, 0.42, 0.74),
        ("oval", "leaf2", -0.3, 0.48, 0.3, 1.0),
    ),
    "flower": (
        ("box", "leaf", -0.03, 0.0, 0.03, 0.6),
        ("oval", "leaf2", 0.0, 0.16, 0.26, 0.28),
        *(
            ("oval", "main", x - 0.16, y - 0.16, x + 0.16, y + 0.16)
            for x, y in ((0.0, 0.84), (0.17, 0.72), (0.11, 0.53), (-0.11, 0.53), (-0.17, 0.72))
        ),
        ("oval", "beak", -0.11, 0.56, 0.11, 0.78),
    ),
    "balloon": (
        ("box", "ink", -0.008, 0.0, 0.008, 0.5),
        ("poly", "shade", -0.06, 0.38, 0.06, 0.38, 0.0, 0.46),
        ("oval", "main", -0.26, 0.42, 0.26, 1.0),
        ("oval", "white", -0.15, 0.74, -0.05, 0.9),
    ),
    "bench": (
        *(("box", "slate", x, 0.0, x + 0.1, 0.95) for x in (-0.85, 0.75)),
        ("box", "wood", -1.0, 0.4, 1.0, 0.54),
        ("box", "wood", -1.0, 0.66, 1.0, 0.78),
        ("box", "wood", -1.0, 0.86, 1.0, 0.98),
    ),
}

SIZES = {
    "man": 172,
    "woman": 166,
    "girl": 136,
    "player": 154,
    "ball": 26,
    "house": 150,
    "tower": 178,
    "mountain": 158,
    "car": 92,
    "phone": 146,
    "box": 104,
    "dog": 58,
    "cat": 54,
    "bird": 30,
    "tree": 118,
    "flower": 52,
    "balloon": 96,
    "bench": 42,
}
"""Heights in pixels."""


def extent(label: str) -> tuple[float, float]:
    """How far an object reaches to the left (negative) and right of its centre, in units of its height."""
    sides = [x for shape in SHAPES[label] for x in shape[2::2]]
    return min(sides), max(sides)
