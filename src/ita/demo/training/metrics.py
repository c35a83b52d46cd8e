"""Detection and captioning metrics on scenes that were held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from ita.demo.ground_truth import ObjectAnnotation, object_annotations, reference_captions
from ita.demo.training.dataset import RenderedScene
from ita.vision import boxes
from ita.vision.types import DetectedObject, ImageCaption, Regions

IOU_THRESHOLD = 0.5


def detection_metrics(examples: Sequence[RenderedScene], detections: Sequence[Regions]) -> dict[str, float]:
    """Precision, recall and F1 of objects, and the accuracy of the most confident attribute of true positives."""
    true_positives = predicted = gold = 0
    with_attributes = correct_attributes = 0
    for example, regions in zip(examples, detections, strict=True):
        scene_objects = object_annotations(example.scene)
        predicted += len(regions.objects)
        gold += len(scene_objects)
        for detected, annotation in match_objects(regions.objects, scene_objects):
            true_positives += 1
            if detected.attributes:
                with_attributes += 1
                correct_attributes += detected.attributes[0][0] in annotation.attributes
    precision, recall = true_positives / max(predicted, 1), true_positives / max(gold, 1)
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(precision + recall, 1e-9),
        "attribute_accuracy": correct_attributes / max(with_attributes, 1),
    }


def match_objects(
    detected_objects: Sequence[DetectedObject], scene_objects: Sequence[ObjectAnnotation]
) -> Iterator[tuple[DetectedObject, ObjectAnnotation]]:
    """True positives: pairs of the same class whose IoU is at least IOU_THRESHOLD.

    Args:
        detected_objects: the most confident first; each takes the best object that is not matched yet.
        scene_objects: what there is to be detected.
    """
    unmatched = dict(enumerate(scene_objects))
    for detected in detected_objects:
        ious = {
            index: float(boxes.iou(torch.tensor([detected.box]), torch.tensor([annotation.box])))
            for index, annotation in unmatched.items()
            if annotation.label == detected.label
        }
        best = max(ious, key=lambda index: ious[index], default=None)
        if best is not None and ious[best] >= IOU_THRESHOLD:
            yield detected, unmatched.pop(best)


def caption_metrics(examples: Sequence[RenderedScene], captions: Sequence[Sequence[ImageCaption]]) -> dict[str, float]:
    """Share of images whose best caption is word for word a true one, and share of all captions that are."""
    best, every = [], []
    for example, image_captions in zip(examples, captions, strict=True):
        references = {caption for phrasings in reference_captions(example.scene) for caption in phrasings}
        matches = [caption.text in references for caption in image_captions]
        best.append(matches[0] if matches else False)
        every += matches
    return {"exact_match": sum(best) / len(best), "exact_match_of_all": sum(every) / max(len(every), 1)}
