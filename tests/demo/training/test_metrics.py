"""Detection and captioning metrics against scenes whose scores are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ita.demo.ground_truth import object_annotations, reference_captions
from ita.demo.training.dataset import RenderedScene
from ita.demo.training.metrics import caption_metrics, detection_metrics, match_objects
from ita.vision.types import DetectedObject, ImageCaption, Regions


def perfect(example: RenderedScene) -> list[DetectedObject]:
    """The objects of a scene as a detector without errors finds them."""
    return [
        DetectedObject(annotation.label, 0.9, annotation.box, ((annotation.attributes[0], 0.8),))
        for annotation in object_annotations(example.scene)
    ]


def scores(examples: list[RenderedScene], objects: list[list[DetectedObject]]) -> dict[str, float]:
    """Metrics of detections."""
    return detection_metrics(examples, [Regions(image_objects) for image_objects in objects])


def changed(
    images: list[list[DetectedObject]], change: Callable[[DetectedObject], dict[str, Any]]
) -> list[list[DetectedObject]]:
    """Objects with other values in some fields."""
    return [[replace(item, **change(item)) for item in objects] for objects in images]


def test_detection_metrics(examples: list[RenderedScene]) -> None:
    examples = examples[:10]
    truth = [perfect(example) for example in examples]
    assert scores(examples, truth) == dict.fromkeys(("precision", "recall", "f1", "attribute_accuracy"), 1.0)
    twice = scores(examples, [objects * 2 for objects in truth])
    assert (twice["precision"], twice["recall"]) == (0.5, 1.0), "each object is matched once"
    shifted = changed(truth, lambda item: {"box": tuple(value + 200 for value in item.box)})
    assert scores(examples, shifted)["f1"] == 0.0
    assert scores(examples, changed(truth, lambda item: {"label": "sofa"}))["f1"] == 0.0
    misdescribed = scores(examples, changed(truth, lambda item: {"attributes": (("sad", 0.9),)}))
    assert (misdescribed["f1"], misdescribed["attribute_accuracy"]) == (1.0, 0.0)
    nothing = scores(examples, [[] for _ in examples])
    assert nothing == dict.fromkeys(("precision", "recall", "f1", "attribute_accuracy"), 0.0)


def test_the_most_confident_object_takes_the_best_match(examples: list[RenderedScene]) -> None:
    annotation = object_annotations(examples[0].scene)[0]
    x1, y1, x2, y2 = annotation.box
    loose = DetectedObject(annotation.label, 0.9, (x1, y1, x2 + 0.5 * (x2 - x1), y2), ())
    tight = DetectedObject(annotation.label, 0.8, annotation.box, ())
    assert list(match_objects([loose, tight], [annotation])) == [(loose, annotation)]
    too_loose = DetectedObject(annotation.label, 0.9, (x1, y1, x2 + 1.1 * (x2 - x1), y2), ())
    assert list(match_objects([too_loose, tight], [annotation])) == [(tight, annotation)]


def test_caption_metrics(examples: list[RenderedScene]) -> None:
    examples = examples[:10]
    true = [[ImageCaption(reference_captions(example.scene)[0][0])] for example in examples]
    assert caption_metrics(examples, true) == {"exact_match": 1.0, "exact_match_of_all": 1.0}
    half = [[*captions, ImageCaption("a sofa")] for captions in true]
    assert caption_metrics(examples, half) == {"exact_match": 1.0, "exact_match_of_all": 0.5}
    reversed_order = [list(reversed(captions)) for captions in half]
    assert caption_metrics(examples, reversed_order) == {"exact_match": 0.0, "exact_match_of_all": 0.5}
    assert caption_metrics(examples, [[] for _ in examples]) == {"exact_match": 0.0, "exact_match_of_all": 0.0}
