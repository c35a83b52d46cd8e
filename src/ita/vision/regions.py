"""What a detector found in an image, as captioners that read regions instead of pixels take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ita.vision.detectors import DetectedObject


@dataclass(frozen=True)
class Regions:
    """What a detector found in one image, by falling confidence."""

    objects: list[DetectedObject]
    """With boxes in pixels of the original upright image."""
    features: Tensor | None
    """(n, F) float32, one row per object; 2048 wide in the published models."""
    size: tuple[int, int]
    """Width and height of the image."""


def position_features(boxes: Sequence[tuple[float, float, float, float]], size: tuple[int, int]) -> Tensor:
    """Where boxes lie and how large they are, as shares of the image: (n, 6) x1/W, y1/H, x2/W, y2/H, w/W, h/H.

    Args:
        boxes: left, top, right and bottom edge in pixels.
        size: width and height of the image.
    """
    width, height = size
    edges = torch.tensor(list(boxes), dtype=torch.float32).view(-1, 4)
    edges = edges / torch.tensor([width, height, width, height], dtype=torch.float32)
    return torch.cat([edges, edges[:, 2:] - edges[:, :2]], dim=1)
