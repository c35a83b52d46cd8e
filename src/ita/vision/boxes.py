"""Boxes (x1, y1, x2, y2) in pixels: IoU, NMS and box deltas, as detectors of the Faster R-CNN family share them.

``offset`` is 1 in the legacy "+1" box convention (Caffe's: a box covers pixel x2, its width is x2 - x1 + 1) and 0 where
a box ends before x2. These functions are ours because torchvision's do not load beside a CPU build of torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

NMS_BLOCK = 1024
"""Boxes compared with each other at a time: bounds the memory of NMS at a few megabytes."""
SCALE_CLAMP = math.log(1000 / 16)
"""Largest logarithmic growth of a side that box deltas may ask for."""


def iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Intersection over union (..., n, m) of boxes (..., n, 4) and (..., m, 4), with offset 0."""
    boxes1, boxes2 = boxes1.unsqueeze(-2), boxes2.unsqueeze(-3)
    sides = torch.minimum(boxes1[..., 2:], boxes2[..., 2:]) - torch.maximum(boxes1[..., :2], boxes2[..., :2])
    intersection = sides.clamp_(min=0).prod(-1)
    return intersection / (area(boxes1) + area(boxes2) - intersection)


def area(boxes: Tensor) -> Tensor:
    """Area (...) of boxes (..., 4), with offset 0."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def nms_mask(suppresses: Tensor) -> Tensor:
    """Which boxes greedy non-maximum suppression keeps, all boxes at once.

    Every round settles at least one more box behind those that are settled, so the rounds end, and the fixed point is
    the result of going through the boxes one by one. Three to six rounds are usual.

    Args:
        suppresses: (..., n, n), True where box i suppresses box j if i is kept; only for i < j, boxes by falling score.

    Returns:
        (..., n), True for boxes that are kept.
    """
    keep = suppresses.new_ones(suppresses.shape[:-1])
    while True:
        updated = ~(suppresses & keep.unsqueeze(-1)).any(-2)
        if torch.equal(updated, keep):
            return keep
        keep = updated


def nms(
    boxes: Tensor, scores: Tensor, iou_threshold: float, classes: Tensor | None = None, top_n: int | None = None
) -> Tensor:
    """Greedy non-maximum suppression as torchvision defines it (``batched_nms`` with classes), in blocks of boxes.

    Args:
        boxes: (n, 4).
        scores: (n,); among equal scores the first box comes first.
        iou_threshold: a box suppresses boxes of lower score whose IoU with it exceeds this.
        classes: (n,); boxes suppress only boxes of the same class. None: all are of one class.
        top_n: stop after this many boxes.

    Returns:
        Indices of the boxes that are kept, by falling score.
    """
    order = scores.sort(descending=True, stable=True).indices
    boxes = boxes[order]
    classes = classes[order] if classes is not None else None

    def suppresses(rows: Tensor, columns: Tensor) -> Tensor:
        overlapping = iou(boxes[rows], boxes[columns]) > iou_threshold
        return overlapping if classes is None else overlapping & (classes[rows, None] == classes[columns])

    keep: list[Tensor] = []
    for block in torch.arange(len(order), device=order.device).split(NMS_BLOCK):
        for earlier in keep:
            block = block[~suppresses(earlier, block).any(0)]
        keep.append(block[nms_mask(suppresses(block, block).triu(1))])
        if top_n is not None and sum(map(len, keep)) >= top_n:
            break
    return order[torch.cat(keep)[:top_n]] if keep else order


def decode_deltas(deltas: Tensor, boxes: Tensor, weights: Sequence[float], offset: int) -> Tensor:
    """Boxes (..., 4) that box deltas make of given boxes (Girshick et al. 2014, appendix C).

    Args:
        deltas: (..., 4), shift of the centre in widths and heights, and logarithmic growth of both, times the weights.
        boxes: (..., 4), anchors or proposals.
        weights: of the four deltas.
        offset: see above.
    """
    size = boxes[..., 2:] - boxes[..., :2] + offset
    centre = boxes[..., :2] + 0.5 * size
    scale = deltas.new_tensor(weights)
    centre = deltas[..., :2] / scale[:2] * size + centre
    half = 0.5 * (torch.exp((deltas[..., 2:] / scale[2:]).clamp(max=SCALE_CLAMP)) * size)
    return torch.cat([centre - half, centre + half - offset], -1)


def clip(boxes: Tensor, image_size: tuple[int, int], offset: int) -> Tensor:
    """Boxes (..., 4) clipped to an image of a height and width."""
    height, width = image_size
    limits = boxes.new_tensor([width, height, width, height]) - offset
    return torch.minimum(boxes.clamp(min=0), limits)
