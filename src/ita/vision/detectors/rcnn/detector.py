"""A Faster R-CNN detector on images: device, batches, boxes in pixels of the image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ita.config import Detect
from ita.model.device import compute_dtype, resolve_device
from ita.vision.batching import map_by_shape
from ita.vision.detectors.rcnn.detections import Detections
from ita.vision.pretrained import model_metadata
from ita.vision.types import DecodedImage, DetectedObject, Regions


class RCNNDetector(ABC):
    """Base of the two detectors: what surrounds their networks."""

    network: Any

    def __init__(self, detect: Detect) -> None:
        """Chooses device and arithmetic.

        Raises:
            UserError: when the device is not there.
        """
        self.detect = detect
        self.device = resolve_device(detect.device)
        self.dtype = compute_dtype(self.device, detect.precision, 0)

    def set_model(self, network: Any, classes: list[str], attributes: list[str], files: Sequence[Path]) -> None:
        """Moves a loaded network to the device.

        Args:
            network: with loaded weights.
            classes: names by index.
            attributes: names by index.
            files: of the model, for the metadata.
        """
        self.classes = classes
        self.attributes = attributes
        self.network = network.to(self.device).eval()
        if self.detect.precision != "fp32":
            # Even in float32 this moves the last two digits; who asks for fp32 gets upstream's operations in its order.
            self.network.prepare(self.dtype)
        self.metadata = {
            **model_metadata(self.detect, self.network, files),
            "device": str(self.device),
            "precision": str(self.dtype),
        }

    @torch.inference_mode()
    def regions(self, images: Sequence[DecodedImage]) -> list[Regions]:
        """Objects and features of each image.

        Images that have the same size after resizing share a pass of at most ``batch_size``: without padding a result
        does not depend on what else is in the batch. So the more images are handed over, the fuller the passes are.
        """
        inputs = self.preprocess(images)

        def forward(indices: list[int]) -> list[Regions]:
            batch = self.stack([inputs[index] for index in indices])
            network_size = (batch.shape[2], batch.shape[3])
            return [
                self.to_regions(detections, network_size, images[index].image.size)
                for index, detections in zip(indices, self.infer(batch, [network_size] * len(batch)), strict=True)
            ]

        return map_by_shape([pixels.shape for pixels in inputs], self.detect.batch_size, forward)

    @abstractmethod
    def preprocess(self, images: Sequence[DecodedImage]) -> list[Tensor]:
        """Resized images, whose shapes decide about the batches."""

    @abstractmethod
    def stack(self, inputs: Sequence[Tensor]) -> Tensor:
        """Resized images of equal shape -> input of the network (B, 3, H, W)."""

    @abstractmethod
    def infer(self, batch: Tensor, image_sizes: Sequence[tuple[int, int]]) -> list[Detections]:
        """Detections of each image of a batch (B, 3, H, W)."""

    def to_regions(self, detections: Detections, network_size: tuple[int, int], size: tuple[int, int]) -> Regions:
        """Objects of one image with names, and boxes in its own pixels.

        Args:
            detections: n objects.
            network_size: height and width of the network's input.
            size: width and height of the image.
        """
        ratio = detections.boxes.new_tensor([size[0] / network_size[1], size[1] / network_size[0]] * 2)
        rows = zip(
            detections.labels.tolist(),
            detections.scores.tolist(),
            (detections.boxes * ratio).tolist(),
            detections.attributes.tolist(),
            detections.attribute_scores.tolist(),
            strict=True,
        )
        objects = [
            DetectedObject(
                self.classes[label],
                score,
                tuple(box),
                tuple(
                    (self.attributes[index], attribute_score)
                    for index, attribute_score in zip(attributes, attribute_scores, strict=True)
                    if attribute_score > 0
                ),
            )
            for label, score, box, attributes, attribute_scores in rows
        ]
        return Regions(objects, detections.features.cpu(), size)
