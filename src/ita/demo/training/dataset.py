"""Scenes to learn from, drawn as the demo draws its own but with other seeds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

from PIL import Image

from ita.demo import pictures
from ita.log import progress
from ita.vision.types import DecodedImage


class Lesson(NamedTuple):
    """A scene and its picture."""

    scene: pictures.Scene
    picture: DecodedImage


def draw(part: str, count: int) -> list[Lesson]:
    """Scenes of all kinds in turn.

    Args:
        part: ``train`` or ``test``; its name is part of every seed, so no scene is in both.
        count: how many.
    """
    kinds: Sequence[str] = (*pictures.SUBJECTS,)
    lessons = []
    for number in progress(range(count), count, f"drawing {part}", "scene"):
        rng = random.Random(f"eyes/{part}/{number}")
        scene = pictures.imagine(rng, kinds[number % len(kinds)])
        # Through the bytes of a file, for its losses are to be seen too.
        with Image.open(BytesIO(pictures.encode(rng, pictures.paint(scene)))) as stored:
            lessons.append(Lesson(scene, DecodedImage(f"{part}{number}", stored.convert("RGB"))))
    return lessons
