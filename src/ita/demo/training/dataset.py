"""Training and test examples: scenes drawn as the demo draws its own, but from other seeds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import NamedTuple

from PIL import Image

from ita.demo import pictures
from ita.log import progress
from ita.vision.types import DecodedImage


class RenderedScene(NamedTuple):
    """A scene and its image."""

    scene: pictures.Scene
    image: DecodedImage


def render_scenes(split: str, count: int) -> list[RenderedScene]:
    """Scenes of all kinds in turn.

    Args:
        split: ``train`` or ``test``; its name is part of every seed, so that no scene is in both.
        count: number of scenes.
    """
    kinds = tuple(pictures.SUBJECTS)
    examples = []
    for number in progress(range(count), count, f"drawing {split}", "scene"):
        # The text of the seed belongs to the shipped weights: another text draws other scenes.
        rng = random.Random(f"eyes/{split}/{number}")
        scene = pictures.sample_scene(rng, kinds[number % len(kinds)])
        # Encoded and decoded again, so that the models are trained on the losses of compression too.
        with Image.open(BytesIO(pictures.encode(rng, pictures.draw_scene(scene)))) as image:
            examples.append(RenderedScene(scene, DecodedImage(f"{split}{number}", image.convert("RGB"))))
    return examples


def batches(permutation: Callable[[], list[int]], size: int) -> Iterator[list[int]]:
    """Endless batches of indices; a new permutation begins when the last one has too few left for a full batch.

    Args:
        permutation: draws an order of all examples.
        size: most indices of a batch.
    """
    order: list[int] = []
    while True:
        if len(order) < size:
            order = permutation()
        yield [order.pop() for _ in range(min(size, len(order)))]
