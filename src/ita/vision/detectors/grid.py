"""A grid of cells in place of objects: the last feature map of a ResNet, as many taggers read images.

The paper's baseline BERT-CRF_ImgFeat (Table 4) reads 7 x 7 cells of 2048 numbers of a ResNet-152.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy
import torch
from PIL import Image
from torch import Tensor

from ita.config import Detect
from ita.model.device import arithmetic, resolve
from ita.vision import pretrained
from ita.vision import weights as checkpoints
from ita.vision.detectors.resnet import HEAD, ResNet, shape_of
from ita.vision.types import DecodedImage, Regions

WEIGHTS = "model.safetensors"
SHORTER, SIDE = 256, 224
"""The shorter side becomes 256 pixels long, and the square of 224 in the middle is seen."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, RGB from 0 to 1."""


class GridDetector:
    """What a ResNet sees in each cell of an image; it finds no objects."""

    def __init__(self, settings: Detect) -> None:
        """Loads the model.

        Args:
            settings: ``model`` is a hub id with weights by timm's names (timm/resnet152.tv_in1k), or a local folder or
                file by timm's or torchvision's.

        Raises:
            UserError: when it can not be had, or is no plain ResNet.
        """
        self.device = resolve(settings.device)
        self.dtype = arithmetic(self.device, settings.precision, 0)
        file = pretrained.locate(settings, WEIGHTS, [])
        weights = {name: value for name, value in checkpoints.read(file).items() if not name.startswith(HEAD)}
        with torch.device("meta"):
            network = ResNet(shape_of(weights, file))
        network = network.to_empty(device="cpu")
        # Some files lack what only training uses: how many batches normalisation has seen.
        counters = {name: torch.tensor(0) for name in network.state_dict() if name.endswith("num_batches_tracked")}
        checkpoints.fill(network, {**counters, **weights}, file)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.metadata: dict[str, Any] = {
            **pretrained.facts(settings, self.network, [file]),
            "device": str(self.device),
            "precision": str(self.dtype),
        }

    @torch.inference_mode()
    def regions(self, pictures: Sequence[DecodedImage]) -> list[Regions]:
        """Features (49, C) of each picture, of the cells row by row.

        They are rounded to half precision, in which taggers hold them: the table then takes half the space.
        """
        pixels = torch.stack(pretrained.in_threads(prepared, [picture.image for picture in pictures])).to(self.device)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            cells = self.network(pixels)
        features = cells.flatten(2).transpose(1, 2).half().float().cpu()
        return [Regions([], one, picture.image.size) for one, picture in zip(features, pictures, strict=True)]


def prepared(image: Image.Image) -> Tensor:
    """What the network reads of a picture: (3, 224, 224) RGB float32, normalised.

    The pixels are those that torchvision's ``Resize(256)`` (Pillow's bilinear filter, which smooths) and
    ``CenterCrop(224)`` give, without those that the crop would remove: a picture may be very long.
    """
    sizes = [SHORTER * side // min(image.size) for side in image.size]
    starts = [round((size - SIDE) / 2) for size in sizes]
    scales = [side / size for side, size in zip(image.size, sizes, strict=True)]
    edges = [(start + shift) * scale for shift in (0, SIDE) for start, scale in zip(starts, scales, strict=True)]
    image = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=(edges[0], edges[1], edges[2], edges[3]))
    pixels = torch.from_numpy(numpy.array(image)).permute(2, 0, 1).float() / 255
    return (pixels - pixels.new_tensor(MEAN)[:, None, None]) / pixels.new_tensor(STD)[:, None, None]
