"""VinVL's detector on images: its files and preprocessing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ita.config import Detect
from ita.model.weights import read_checkpoint
from ita.vision.batching import map_in_threads
from ita.vision.detectors.rcnn.detections import Detections
from ita.vision.detectors.rcnn.detector import RCNNDetector
from ita.vision.detectors.vinvl.config import CONFIG, LABELS, VinvlConfig, find_label_map, read_names, read_vinvl_config
from ita.vision.detectors.vinvl.network import AttrRCNN
from ita.vision.detectors.vinvl.postprocessing import PostprocessConfig
from ita.vision.pretrained import locate_weights
from ita.vision.types import DecodedImage
from ita.vision.weights import build_module

WEIGHTS = "vinvl_vg_x152c4.pth"


class VinvlDetector(RCNNDetector):
    """The detector that made the object tags of the paper: 1594 classes, 524 attributes, features of 2048 numbers.

    By default it does what the command in VinVL's README does: filter 1, boxes are the proposals, at least 10 objects.
    """

    network: AttrRCNN

    def __init__(self, detect: Detect) -> None:
        """Loads the model.

        Args:
            detect: ``model`` is a hub id (michelecafagna26/vinvl_vg_x152c4), or a local folder or file; of filters
                see ``ita.vision.detectors.vinvl.postprocessing``.

        Raises:
            UserError: when a file is missing, broken or does not fit the others.
        """
        super().__init__(detect)
        weights = locate_weights(detect, WEIGHTS, [LABELS, CONFIG])
        label_map = find_label_map(weights.parent)
        self.config = read_vinvl_config(weights.parent)
        self.postprocess = PostprocessConfig(
            detect.filter,
            detect.regression and not detect.whole_image,
            detect.score_threshold,
            detect.min_objects,
            detect.max_objects,
            detect.whole_image,
        )
        classes = read_names(label_map, "label", self.config.num_classes)
        attributes = read_names(label_map, "attribute", self.config.num_attributes)
        network = build_module(lambda: AttrRCNN(self.config), read_checkpoint(weights), weights)
        self.set_model(network, classes, attributes, [weights, label_map])

    def preprocess(self, images: Sequence[DecodedImage]) -> list[Tensor]:
        """RGB bytes (H, W, 3) of each image, resized."""
        return map_in_threads(lambda image: resized(image, self.config), images)

    def stack(self, inputs: Sequence[Tensor]) -> Tensor:
        """RGB bytes (H, W, 3) -> (B, 3, H, W) BGR float32 without the mean."""
        pixels = torch.stack(list(inputs)).to(self.device).flip(-1).float()
        return (pixels - pixels.new_tensor(self.config.pixel_mean_bgr)).permute(0, 3, 1, 2).contiguous()

    def infer(self, batch: Tensor, image_sizes: Sequence[tuple[int, int]]) -> list[Detections]:
        """Detections of each image of a batch (B, 3, H, W)."""
        return self.network(batch, image_sizes, self.postprocess)


def resized(image: DecodedImage, config: VinvlConfig) -> Tensor:
    """RGB bytes (H, W, 3) of an image, its shorter side ``min_size`` long unless the longer one became too long."""
    size = network_size(image.image.size, config)
    pixels = image.image if image.image.size == size else image.image.resize(size, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(pixels))


def network_size(size: tuple[int, int], config: VinvlConfig) -> tuple[int, int]:
    """Width and height after resizing; the longer side is cut to whole pixels, not rounded, as upstream does."""
    width, height = size
    shorter, longer = min(size), max(size)
    side = config.min_size
    if longer / shorter * side > config.max_size:
        # A strip a thousand times as long as wide keeps a pixel of width.
        side = max(1, round(config.max_size * shorter / longer))
    return (side, int(side * height / width)) if width < height else (int(side * width / height), side)
