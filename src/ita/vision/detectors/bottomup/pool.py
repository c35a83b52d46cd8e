"""RoIPool (Girshick 2015): the largest value of each bin of a region."""

from __future__ import annotations

import torch
from torch import Tensor

STRIDE = 16
"""Pixels per cell."""


def roi_pool(features: Tensor, regions: Tensor, resolution: int) -> Tensor:
    """Maxima of bins of whole cells, 0 for empty bins.

    A bin is the union of four blocks whose sides are powers of two, so four reads from tables of such blocks' maxima
    give its maximum, however large it is.

    Args:
        features: (D, H, W).
        regions: (r, 4) in pixels of the image.
        resolution: P, bins along each side.

    Returns:
        (r, D, P, P), channels last in memory.
    """
    depth, height, width = features.shape
    if not len(regions):
        return features.new_zeros(0, depth, resolution, resolution)
    top, bottom = bins(regions[:, 1::2], height, resolution)
    left, right = bins(regions[:, 0::2], width, resolution)
    high, wide = powers(bottom - top), powers(right - left)
    maxima = blocks(features.permute(1, 2, 0).contiguous(), int(high.max()) + 1, int(wide.max()) + 1)
    table = maxima.view(-1, maxima.shape[-1])

    def read(y: Tensor, x: Tensor) -> Tensor:
        kind = high[:, :, None] * maxima.shape[1] + wide[:, None, :]
        place = (kind * height + y.clamp(0, height - 1)[:, :, None]) * width + x.clamp(0, width - 1)[:, None, :]
        return table[place]

    lower, further = bottom - (1 << high), right - (1 << wide)
    found = read(top, left)
    for y, x in ((top, further), (lower, left), (lower, further)):
        found = torch.maximum(found, read(y, x))
    empty = (bottom <= top)[:, :, None] | (right <= left)[:, None, :]
    return found.masked_fill_(empty[..., None], 0).permute(0, 3, 1, 2)


def bins(spans: Tensor, cells: int, resolution: int) -> tuple[Tensor, Tensor]:
    """First cell (r, P) of each bin of the spans (r, 2) along an axis, and the one behind its last."""
    start, end = half_away(spans / STRIDE).unbind(1)
    size = ((end - start + 1).clamp(min=1) / resolution)[:, None]
    numbers = torch.arange(resolution, device=spans.device, dtype=spans.dtype)
    first, behind = (numbers * size).floor(), ((numbers + 1) * size).ceil()
    return tuple((edge + start[:, None]).clamp(0, cells).long() for edge in (first, behind))  # type: ignore[return-value]


def half_away(x: Tensor) -> Tensor:
    """Rounded as in C: halves away from zero. ``torch.round`` would take them to the even side, another cell."""
    whole = x.trunc()
    return whole + ((x - whole).abs() >= 0.5) * x.sign()


def powers(sizes: Tensor) -> Tensor:
    """Exponent of the largest power of two that is no larger; 0 for sizes below 1."""
    return torch.frexp(sizes.clamp(min=1).double()).exponent.long() - 1


def blocks(plane: Tensor, high: int, wide: int) -> Tensor:
    """Maxima (high, wide, H, W, D) of blocks of 2^i x 2^j cells that begin at each cell of a plane (H, W, D)."""
    rows = [plane]
    for i in range(high - 1):
        rows.append(torch.maximum(rows[-1], shifted(rows[-1], 1 << i, 0)))
    table = [torch.stack(rows)]
    for j in range(wide - 1):
        table.append(torch.maximum(table[-1], shifted(table[-1], 1 << j, 2)))
    return torch.stack(table, 1)


def shifted(values: Tensor, by: int, axis: int) -> Tensor:
    """Each cell's neighbour some cells further on, or the last one; blocks that reach over the side are not read."""
    count = values.shape[axis]
    return values.index_select(axis, torch.arange(count, device=values.device).add_(by).clamp_(max=count - 1))
