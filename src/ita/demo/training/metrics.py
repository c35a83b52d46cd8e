"""How well the demo's eyes see scenes that they have not learned from."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ita.demo import ground_truth
from ita.demo.training.dataset import Lesson
from ita.vision import boxes
from ita.vision.types import ImageCaption, Regions

OVERLAP = 0.5


def of_objects(lessons: Sequence[Lesson], found: Sequence[Regions]) -> dict[str, float]:
    """Precision, recall and F1 of objects, and how often the surest attribute of one that was found is true of it.

    An object is found when one of its class overlaps it by at least half; the surest first, each thing once.
    """
    true = given = right = told = 0
    wanted = 0
    for lesson, regions in zip(lessons, found, strict=True):
        seen = ground_truth.things(lesson.scene)
        wanted, given = wanted + len(seen), given + len(regions.objects)
        left = dict(enumerate(seen))
        for one in regions.objects:
            near = {
                index: float(boxes.iou(torch.tensor([one.box]), torch.tensor([thing.box])))
                for index, thing in left.items()
                if thing.label == one.label
            }
            best = max(near, key=lambda index: near[index], default=None)
            if best is None or near[best] < OVERLAP:
                continue
            thing = left.pop(best)
            true += 1
            if one.attributes:
                told += 1
                right += one.attributes[0][0] in thing.attributes
    precision, recall = true / max(given, 1), true / max(wanted, 1)
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(precision + recall, 1e-9),
        "attribute_accuracy": right / max(told, 1),
    }


def of_captions(lessons: Sequence[Lesson], written: Sequence[Sequence[ImageCaption]]) -> dict[str, float]:
    """Share of pictures whose best caption, and of all captions those, that are true word by word."""
    first, every = [], []
    for lesson, captions in zip(lessons, written, strict=True):
        true = {text for phrase in ground_truth.descriptions(lesson.scene) for text in phrase}
        hits = [caption.text in true for caption in captions]
        first.append(hits[0] if hits else False)
        every += hits
    return {"exact_match": sum(first) / len(first), "exact_match_of_all": sum(every) / max(len(every), 1)}
