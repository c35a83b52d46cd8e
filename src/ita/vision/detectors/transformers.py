"""Object detectors of transformers' Auto classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ita.config import Detect
from ita.model import hub
from ita.model.device import arithmetic, resolve
from ita.vision.types import DecodedImage, DetectedObject, Regions

if TYPE_CHECKING:
    pass

SETTING = "detect.model"


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
        self.metadata = {**hub.facts(found, model), "device": str(self.device), "precision": str(self.dtype)}

    def regions(self, pictures: Sequence[DecodedImage]) -> list[Regions]:
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
