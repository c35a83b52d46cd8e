"""A grid of cells in place of objects: the last feature map of an image backbone, as many taggers read images.

The paper's baseline BERT-CRF_ImgFeat (Table 4) reads the 7 x 7 cells of 2048 numbers of a ResNet-152.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ita.config import Detect
from ita.model.device import compute_dtype, resolve_device
from ita.vision.batching import map_by_shape, map_in_threads
from ita.vision.detectors.backbones import load_backbone
from ita.vision.pretrained import model_metadata
from ita.vision.types import DecodedImage, Regions


class GridDetector:
    """Features of each cell of an image; it detects no objects."""

    def __init__(self, detect: Detect) -> None:
        """Loads the model.

        Args:
            detect: ``model`` is a hub id or local folder of timm (timm/resnet152.tv_in1k) or of a backbone of
                transformers, or a file with the weights of a plain ResNet of timm or torchvision.

        Raises:
            UserError: when it cannot be loaded.
        """
        self.detect = detect
        self.device = resolve_device(detect.device)
        self.dtype = compute_dtype(self.device, detect.precision, 0)
        self.backbone = load_backbone(detect)
        self.backbone.model = self.backbone.model.to(self.device).eval().requires_grad_(False)
        self.metadata: dict[str, Any] = {
            **model_metadata(detect, self.backbone.model, [self.backbone.weights]),
            "device": str(self.device),
            "precision": str(self.dtype),
        }

    @torch.inference_mode()
    def regions(self, images: Sequence[DecodedImage]) -> list[Regions]:
        """Features (N, D) of each image, of the cells row by row (N = 49, D = 2048 for a ResNet-152).

        They are rounded to half precision, in which taggers hold them: the table then takes half the space.
        """
        inputs = map_in_threads(self.backbone.preprocess, [image.image for image in images])

        def forward(indices: list[int]) -> Tensor:
            pixels = torch.stack([inputs[index] for index in indices]).to(self.device)
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                return self.backbone.cells(self.backbone.model, pixels).half().float().cpu()

        features = map_by_shape([pixels.shape for pixels in inputs], self.detect.batch_size, forward)
        return [Regions([], cells, image.image.size) for cells, image in zip(features, images, strict=True)]
