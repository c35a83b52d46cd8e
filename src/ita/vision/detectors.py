"""Detectors: pictures -> objects with labels, confidences, boxes and, where the model has them, attributes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ita import hub
from ita.device import arithmetic, resolve
from ita.settings import Detect
from ita.vision.images import Picture

if TYPE_CHECKING:
    from torch import Tensor

SETTING = "detect.model"


@dataclass(frozen=True)
class DetectedObject:
    """One object of an image."""

    label: str
    """Class, lower case."""
    score: float | None = None
    """Confidence, 0 to 1; None where the source gives none."""
    box: tuple[float, float, float, float] | None = None
    """Left, top, right and bottom edge in pixels of the upright image."""
    attributes: tuple[tuple[str, float | None], ...] = ()
    """Labels and confidences, by falling confidence."""


@dataclass(frozen=True)
class Regions:
    """What a detector found in one image."""

    objects: list[DetectedObject]
    """Boxes in pixels of the upright image."""
    features: Tensor | None = None
    """(n, F) float32 on the CPU, a row per object, or per cell where there are no objects; None of detectors that keep
    none."""
    size: tuple[int, int] | None = None
    """Width and height of the upright image in pixels."""

    def ranked(self) -> Regions:
        """The same by falling confidence, which VinVL's filter 0 does not give."""
        order = sorted(range(len(self.objects)), key=lambda index: -(self.objects[index].score or 0))
        if order == list(range(len(order))):
            return self
        features = None if self.features is None else self.features[order]
        return Regions([self.objects[index] for index in order], features, self.size)


class Detector(Protocol):
    """Finds objects."""

    facts: dict[str, Any]
    """What identifies the model, for the output's metadata."""

    def regions(self, pictures: Sequence[Picture]) -> list[Regions]:
        """What is in each picture."""
        ...


def opened(settings: Detect) -> Detector:
    """The detector of the back end.

    Raises:
        UserError: when its model can not be had.
    """
    if settings.backend == "vinvl":
        from ita.vision.vinvl.detector import VinvlDetector

        return VinvlDetector(settings)
    if settings.backend == "bottomup":
        from ita.vision.bottomup.detector import BottomUpDetector

        return BottomUpDetector(settings)
    if settings.backend == "grid":
        from ita.vision.grid import GridDetector

        return GridDetector(settings)
    return TransformersDetector(settings)


class TransformersDetector:
    """Any model of ``AutoModelForObjectDetection``: DETR, RT-DETR, YOLOS, ... They know classes, no attributes."""

    def __init__(self, settings: Detect) -> None:
        """Loads the model.

        Raises:
            UserError: when it can not be had, or is not a detector.
        """
        self.settings = settings
        self.device = resolve(settings.device)
        self.dtype = arithmetic(self.device, settings.precision, 0)
        found = hub.find(settings.model, settings.revision, settings.local_files_only, SETTING)
        # Pillow's resizing wherever a model has it: torchvision's differs a little and is not there on every machine.
        self.processor = hub.load("AutoImageProcessor", found, SETTING, backend="pil")
        model = hub.load("AutoModelForObjectDetection", found, SETTING, use_safetensors=True)
        self.model = model.to(self.device).eval()
        self.facts = {**hub.facts(found, model), "device": str(self.device), "precision": str(self.dtype)}

    def regions(self, pictures: Sequence[Picture]) -> list[Regions]:
        """Objects of each picture with at least the score asked for; boxes are cut off at the edges of the picture.

        Pictures are prepared one by one and those of equal size share a forward pass: without padding a result does
        not depend on what else is in the batch.
        """
        import torch

        inputs = [dict(self.processor(images=picture.image, return_tensors="pt")) for picture in pictures]
        alike = defaultdict(list)
        for index, one in enumerate(inputs):
            alike[one["pixel_values"].shape].append(index)
        results: dict[int, Regions] = {}
        for group in alike.values():
            batch = {name: torch.cat([inputs[i][name] for i in group]).to(self.device) for name in inputs[group[0]]}
            half = self.dtype != torch.float32
            with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=half):
                output = self.model(**batch)
            # Eight bits are too few for a position within a picture or for ranking scores.
            output.logits, output.pred_boxes = output.logits.float(), output.pred_boxes.float()
            sizes = [pictures[i].image.size[::-1] for i in group]
            found = self.processor.post_process_object_detection(output, threshold=0.0, target_sizes=sizes)
            for index, one in zip(group, found, strict=True):
                size = pictures[index].image.size
                results[index] = Regions(self.objects(one, size), size=size)
        return [results[index] for index in range(len(pictures))]

    def objects(self, found: dict[str, Any], size: tuple[int, int]) -> list[DetectedObject]:
        """The best objects of one picture.

        Args:
            found: scores (N,), labels (N,) and boxes (N, 4) as the processor gives them.
            size: width and height of the picture in pixels.
        """
        scores, order = found["scores"].sort(descending=True, stable=True)
        order = order[scores >= self.settings.score_threshold].cpu()
        names = self.model.config.id2label
        objects = []
        for score, label, box in zip(
            found["scores"].cpu()[order].tolist(),
            found["labels"].cpu()[order].tolist(),
            found["boxes"].cpu()[order].tolist(),
            strict=True,
        ):
            name = names[label].lower()
            if name == "n/a":  # DETR's list of COCO classes has holes of this name
                continue
            x1, y1, x2, y2 = (min(max(edge, 0.0), float(size[i % 2])) for i, edge in enumerate(box))
            objects.append(DetectedObject(name, score, (x1, y1, x2, y2)))
        return objects[: self.settings.max_objects]
