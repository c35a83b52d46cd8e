"""Object detectors of transformers' Auto classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ita.config import Detect
from ita.model import hub
from ita.model.device import compute_dtype, resolve_device
from ita.vision.batching import map_by_shape
from ita.vision.pretrained import SETTING
from ita.vision.types import DecodedImage, DetectedObject, Regions

if TYPE_CHECKING:
    from torch import Tensor

UNUSED_CLASS = "n/a"
"""DETR's list of COCO classes has holes of this name."""


class TransformersDetector:
    """Any model of ``AutoModelForObjectDetection``: DETR, RT-DETR, YOLOS, ... They know classes, no attributes."""

    def __init__(self, detect: Detect) -> None:
        """Loads the model.

        Raises:
            UserError: when it cannot be loaded, or is not a detector.
        """
        self.detect = detect
        self.device = resolve_device(detect.device)
        self.dtype = compute_dtype(self.device, detect.precision, 0)
        source = hub.find(detect.model, detect.revision, detect.local_files_only, SETTING)
        # Pillow's resizing wherever a model has it: torchvision's differs a little and is not there on every machine.
        self.processor = hub.load("AutoImageProcessor", source, SETTING, backend="pil")
        model = hub.load("AutoModelForObjectDetection", source, SETTING, use_safetensors=True)
        self.model = model.to(self.device).eval()
        self.metadata = {**hub.identity(source, model), "device": str(self.device), "precision": str(self.dtype)}

    def regions(self, images: Sequence[DecodedImage]) -> list[Regions]:
        """Objects of each image whose score reaches the threshold; boxes are clipped to the image.

        Images are preprocessed one by one and those of equal shape share a forward pass: without padding a result does
        not depend on what else is in the batch.
        """
        inputs = [dict(self.processor(images=image.image, return_tensors="pt")) for image in images]

        def forward(indices: list[int]) -> list[Regions]:
            sizes = [images[index].image.size for index in indices]
            detections = self.infer([inputs[index] for index in indices], sizes)
            return [
                Regions(self.objects(detection, size), size=size)
                for detection, size in zip(detections, sizes, strict=True)
            ]

        return map_by_shape([values["pixel_values"].shape for values in inputs], self.detect.batch_size, forward)

    def infer(self, inputs: Sequence[dict[str, Tensor]], sizes: Sequence[tuple[int, int]]) -> list[dict[str, Tensor]]:
        """Scores, labels and boxes of each image of a batch, as the processor gives them.

        Args:
            inputs: of the model, of equal shape.
            sizes: width and height of each image in pixels.
        """
        import torch

        batch = {name: torch.cat([values[name] for values in inputs]).to(self.device) for name in inputs[0]}
        half = self.dtype != torch.float32
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            output = self.model(**batch)
        # Eight bits are too few for a position within an image or for ranking scores.
        output.logits, output.pred_boxes = output.logits.float(), output.pred_boxes.float()
        target_sizes = [(height, width) for width, height in sizes]
        return self.processor.post_process_object_detection(output, threshold=0.0, target_sizes=target_sizes)

    def objects(self, detection: dict[str, Any], size: tuple[int, int]) -> list[DetectedObject]:
        """The best objects of one image.

        Args:
            detection: scores (N,), labels (N,) and boxes (N, 4) as the processor gives them.
            size: width and height of the image in pixels.
        """
        scores, order = detection["scores"].sort(descending=True, stable=True)
        order = order[scores >= self.detect.score_threshold].cpu()
        names = self.model.config.id2label
        objects = []
        for score, label, box in zip(
            *(detection[name].cpu()[order].tolist() for name in ("scores", "labels", "boxes")), strict=True
        ):
            name = names[label].lower()
            if name != UNUSED_CLASS:
                x1, y1, x2, y2 = (min(max(edge, 0.0), float(size[i % 2])) for i, edge in enumerate(box))
                objects.append(DetectedObject(name, score, (x1, y1, x2, y2)))
        return objects[: self.detect.max_objects]
