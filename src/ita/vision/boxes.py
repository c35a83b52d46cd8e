"""Boxes (x1, y1, x2, y2) in pixels: what detectors of the Faster R-CNN family share.

``edge`` is 1 where a box that ends at x2 covers pixel x2 (Caffe's convention, width x2 - x1 + 1), and 0 where it ends
before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

BLOCK = 1024
"""Boxes compared with each other at a time: bounds the memory of suppression at a few megabytes."""
LARGEST = math.log(1000 / 16)
"""Largest logarithm of the growth of a side."""


def iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union (..., n, m) of boxes (..., n, 4) and (..., m, 4), without an edge."""
    one, other = one.unsqueeze(-2), other.unsqueeze(-3)
    corner = torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(one[..., :2], other[..., :2])
    common = corner.clamp_(min=0).prod(-1)
    return common / (area(one) + area(other) - common)


def area(boxes: Tensor) -> Tensor:
    """(..., 4) -> (...)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def greedy(removes: Tensor) -> Tensor:
    """What is left when boxes are taken one after another and each removes some that come later.

    Every round settles at least one more box behind those that are settled, so the rounds end, and where they end is
    what taking one after another gives. Three to six rounds are usual.

    Args:
        removes: (..., n, n), True where box i would remove box j; only for i < j.

    Returns:
        (..., n), True for boxes that stay.
    """
    left = removes.new_ones(removes.shape[:-1])
    while True:
        after = ~(removes & left.unsqueeze(-1)).any(-2)
        if torch.equal(after, left):
            return left
        left = after


def nms(
    boxes: Tensor, scores: Tensor, threshold: float, groups: Tensor | None = None, most: int | None = None
) -> Tensor:
    """Greedy non-maximum suppression, as torchvision defines it, in blocks instead of box by box.

    Args:
        boxes: (n, 4).
        scores: (n,); of equal ones the first goes first.
        threshold: a box is removed by a better one when their overlap exceeds this.
        groups: (n,); only boxes of the same group remove each other.
        most: stop after as many.

    Returns:
        Indices of the boxes that stay, by falling score.
    """
    order = scores.sort(descending=True, stable=True).indices
    boxes = boxes[order]
    groups = groups[order] if groups is not None else None

    def removes(one: Tensor, other: Tensor) -> Tensor:
        close = iou(boxes[one], boxes[other]) > threshold
        return close if groups is None else close & (groups[one, None] == groups[other])

    stay: list[Tensor] = []
    for block in torch.arange(len(order), device=order.device).split(BLOCK):
        for earlier in stay:
            block = block[~removes(earlier, block).any(0)]
        stay.append(block[greedy(removes(block, block).triu(1))])
        if most is not None and sum(map(len, stay)) >= most:
            break
    return order[torch.cat(stay)[:most]] if stay else order


def decode_deltas(deltas: Tensor, boxes: Tensor, weights: Sequence[float], edge: int) -> Tensor:
    """Boxes moved and scaled as a network predicts (Girshick et al. 2014, appendix C).

    Args:
        deltas: (..., 4), shift of the centre in widths and heights, and logarithm of the growth, times the weights.
        boxes: (..., 4), what is moved.
        weights: four.
        edge: see above.
    """
    size = boxes[..., 2:] - boxes[..., :2] + edge
    centre = boxes[..., :2] + 0.5 * size
    scale = deltas.new_tensor(weights)
    centre = deltas[..., :2] / scale[:2] * size + centre
    half = 0.5 * (torch.exp((deltas[..., 2:] / scale[2:]).clamp(max=LARGEST)) * size)
    return torch.cat([centre - half, centre + half - edge], -1)


def clip(boxes: Tensor, size: tuple[int, int], edge: int) -> Tensor:
    """Boxes (..., 4) cut off at the sides of an image of some height and width."""
    height, width = size
    most = boxes.new_tensor([width, height, width, height]) - edge
    return torch.minimum(boxes.clamp(min=0), most)
