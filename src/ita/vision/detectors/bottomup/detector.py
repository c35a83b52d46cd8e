"""The bottom-up attention detector on images: its files and preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ita.config import Detect
from ita.model.weights import read_checkpoint
from ita.vision.detectors.bottomup.config import (
    ATTRIBUTES,
    CONFIGS,
    OBJECTS,
    BottomUpConfig,
    read_bottomup_config,
    read_names,
)
from ita.vision.detectors.bottomup.network import BottomUp, cell_anchors
from ita.vision.detectors.rcnn.detections import Detections
from ita.vision.detectors.rcnn.detector import RCNNDetector
from ita.vision.pretrained import locate_weights
from ita.vision.types import DecodedImage
from ita.vision.weights import build_module

WEIGHTS = "pytorch_model.bin"
ANCHORS = "proposal_generator.anchor_generator.cell_anchors.0"


class BottomUpDetector(RCNNDetector):
    """The detector before VinVL's: 1600 classes, 400 attributes of which each object gets one, 2048 features."""

    network: BottomUp

    def __init__(self, detect: Detect) -> None:
        """Loads the model.

        Args:
            detect: ``model`` is a hub id (unc-nlp/frcnn-vg-finetuned), or a local folder or file. How many objects the
                network gives is in its configuration (36); those below ``score_threshold`` are then left out.

        Raises:
            UserError: when a file is missing, broken or does not fit the others.
        """
        super().__init__(detect)
        weights = locate_weights(detect, WEIGHTS, [*CONFIGS, OBJECTS, ATTRIBUTES])
        self.config = read_bottomup_config(weights.parent)
        vocabulary = Path(detect.vocabulary).expanduser() if detect.vocabulary else weights.parent
        classes = read_names(vocabulary / OBJECTS, self.config.num_classes)
        attributes = read_names(vocabulary / ATTRIBUTES, self.config.num_attributes)
        # A file may lack the anchors, which follow from the configuration.
        anchors = {ANCHORS: cell_anchors(self.config.anchor_sizes, self.config.aspect_ratios)}
        network = build_module(lambda: BottomUp(self.config), {**anchors, **read_checkpoint(weights)}, weights)
        files = [weights, vocabulary / OBJECTS, vocabulary / ATTRIBUTES]
        self.set_model(network, classes, attributes, files)

    def preprocess(self, images: Sequence[DecodedImage]) -> list[Tensor]:
        """Each image as the network reads it: (3, H, W) BGR float32, resized without smoothing, normalised."""
        return [self.preprocess_image(image) for image in images]

    def preprocess_image(self, image: DecodedImage) -> Tensor:
        """One image as the network reads it: (3, H, W)."""
        pixels = torch.from_numpy(np.array(image.image)).to(self.device).flip(-1).float().permute(2, 0, 1)
        width, height = network_size(image.image.size, self.config)
        pixels = functional.interpolate(
            pixels[None].contiguous(), (height, width), mode="bilinear", align_corners=False
        )[0]
        mean, std = (
            pixels.new_tensor(values)[:, None, None] for values in (self.config.pixel_mean_bgr, self.config.pixel_std)
        )
        return (pixels - mean) / std

    def stack(self, inputs: Sequence[Tensor]) -> Tensor:
        """(3, H, W) each -> (B, 3, H, W)."""
        return torch.stack(list(inputs))

    def infer(self, batch: Tensor, image_sizes: Sequence[tuple[int, int]]) -> list[Detections]:
        """Detections of each image of a batch (B, 3, H, W), as many as the settings allow."""
        return [self.above_threshold(detections) for detections in self.network(batch, image_sizes)]

    def above_threshold(self, detections: Detections) -> Detections:
        """Those of the objects, which come by falling score, that reach the threshold, within the bounds."""
        above = int((detections.scores >= self.detect.score_threshold).sum())
        count = min(max(above, self.detect.min_objects), self.detect.max_objects)
        return Detections(*(getattr(detections, field.name)[:count] for field in fields(Detections)))


def network_size(size: tuple[int, int], config: BottomUpConfig) -> tuple[int, int]:
    """Width and height after resizing: the shorter side ``min_size`` long unless the longer one became too long."""
    width, height = size
    scale = config.min_size / min(size)
    new_width, new_height = (config.min_size, scale * height) if width <= height else (scale * width, config.min_size)
    longer = max(new_width, new_height)
    if longer > config.max_size:
        scale = config.max_size / longer
        new_width, new_height = new_width * scale, new_height * scale
    return max(1, int(new_width + 0.5)), max(1, int(new_height + 0.5))
