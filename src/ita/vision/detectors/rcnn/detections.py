"""What a Faster R-CNN network with attributes returns for an image."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Detections:
    """Objects of one image, n of them, in pixels of the network's input."""

    boxes: Tensor
    """(n, 4)."""
    labels: Tensor
    """(n,), index of the class."""
    scores: Tensor
    """(n,)."""
    features: Tensor
    """(n, F), pooled at the proposal of each."""
    attributes: Tensor
    """(n, k), indices of the best attributes of each by falling score."""
    attribute_scores: Tensor
    """(n, k); the attribute beside a score of 0 means nothing."""
