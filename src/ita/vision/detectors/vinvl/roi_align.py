"""RoIAlign (He et al. 2017), as the detectors of 2018 to 2021 have it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ita.vision.detectors.rcnn.rpn import STRIDE


def roi_align(features: Tensor, regions: Tensor, resolution: int) -> Tensor:
    """Average of bilinear samples in each bin, as many as it spans cells, without the later half-pixel shift.

    Such an average is a product of one matrix per axis, so two matrix products do it.

    Args:
        features: (D, H, W).
        regions: (r, 4) in pixels of the image.
        resolution: P, bins along each side.

    Returns:
        (r, D, P, P), channels last in memory.
    """
    _, height, width = features.shape
    rows = axis_weights(regions[:, 1::2], height, resolution).to(features.dtype)
    columns = axis_weights(regions[:, 0::2], width, resolution).to(features.dtype)
    plane = features.permute(1, 2, 0).reshape(height, -1)
    pooled_rows = (rows.view(-1, height) @ plane).view(len(regions), resolution, width, -1)
    return (columns.unsqueeze(1) @ pooled_rows).permute(0, 3, 1, 2)


def axis_weights(spans: Tensor, cells: int, resolution: int) -> Tensor:
    """Weight (r, P, cells) of each cell of an axis in each bin of the spans (r, 2) along it, in pixels."""
    start, end = (spans / STRIDE).unbind(1)
    length = (end - start).clamp(min=1.0)
    samples = (length / resolution).ceil()
    bins = torch.arange(resolution, device=spans.device)
    steps = torch.arange(math.ceil(cells / resolution) + 1, device=spans.device)
    fraction = (steps + 0.5) / samples[:, None]
    position = start[:, None, None] + (length / resolution)[:, None, None] * (bins[:, None] + fraction[:, None, :])
    # True for samples that exist and lie on the feature map.
    valid = (steps < samples[:, None])[:, None, :] & (position >= -1) & (position <= cells)
    position = position.clamp(0, cells - 1)
    bilinear = (1 - (position[..., None] - torch.arange(cells, device=spans.device)).abs()).clamp_(min=0)
    return (bilinear * valid[..., None]).sum(2) / samples[:, None, None]
