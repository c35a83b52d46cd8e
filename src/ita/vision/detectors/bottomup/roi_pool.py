"""RoIPool (Girshick 2015): the largest value of each bin of a region."""

from __future__ import annotations

import torch
from torch import Tensor

from ita.vision.detectors.rcnn.rpn import STRIDE


def roi_pool(features: Tensor, regions: Tensor, resolution: int) -> Tensor:
    """Maxima of bins of whole cells, 0 for empty bins.

    A bin is the union of four blocks whose sides are powers of two, so four reads from tables of such blocks' maxima
    give its maximum, however large it is.

    From features (D, H, W) and regions (r, 4) in pixels of the image to (r, D, P, P), channels last in memory, for a
    ``resolution`` of P bins along each side.
    """
    depth, height, width = features.shape
    if not len(regions):
        return features.new_zeros(0, depth, resolution, resolution)
    top, bottom = bin_bounds(regions[:, 1::2], height, resolution)
    left, right = bin_bounds(regions[:, 0::2], width, resolution)
    rows_log2, columns_log2 = floor_log2(bottom - top), floor_log2(right - left)
    maxima = block_maxima(features.permute(1, 2, 0).contiguous(), int(rows_log2.max()) + 1, int(columns_log2.max()) + 1)
    table = maxima.view(-1, maxima.shape[-1])

    def block_at(y: Tensor, x: Tensor) -> Tensor:
        sizes = rows_log2[:, :, None] * maxima.shape[1] + columns_log2[:, None, :]
        index = (sizes * height + y.clamp(0, height - 1)[:, :, None]) * width + x.clamp(0, width - 1)[:, None, :]
        return table[index]

    last_top, last_left = bottom - (1 << rows_log2), right - (1 << columns_log2)
    pooled = block_at(top, left)
    for y, x in ((top, last_left), (last_top, left), (last_top, last_left)):
        pooled = torch.maximum(pooled, block_at(y, x))
    empty = (bottom <= top)[:, :, None] | (right <= left)[:, None, :]
    return pooled.masked_fill_(empty[..., None], 0).permute(0, 3, 1, 2)


def bin_bounds(spans: Tensor, cells: int, resolution: int) -> tuple[Tensor, Tensor]:
    """First cell (r, P) of each bin of the spans (r, 2) along an axis, and the one behind its last."""
    start, end = round_half_away(spans / STRIDE).unbind(1)
    size = ((end - start + 1).clamp(min=1) / resolution)[:, None]
    bins = torch.arange(resolution, device=spans.device, dtype=spans.dtype)
    first = ((bins * size).floor() + start[:, None]).clamp(0, cells).long()
    behind = (((bins + 1) * size).ceil() + start[:, None]).clamp(0, cells).long()
    return first, behind


def round_half_away(x: Tensor) -> Tensor:
    """Rounded as in C: halves away from zero. ``torch.round`` would take them to the even side, another cell."""
    whole = x.trunc()
    return whole + ((x - whole).abs() >= 0.5) * x.sign()


def floor_log2(sizes: Tensor) -> Tensor:
    """Exponent of the largest power of two that is no larger; 0 for sizes below 1."""
    return torch.frexp(sizes.clamp(min=1).double()).exponent.long() - 1


def block_maxima(plane: Tensor, row_sizes: int, column_sizes: int) -> Tensor:
    """Maxima (row_sizes, column_sizes, H, W, D) of blocks of 2^i x 2^j cells that begin at each cell of a plane.

    Args:
        plane: (H, W, D).
        row_sizes: number of heights 2^i.
        column_sizes: number of widths 2^j.
    """
    rows = [plane]
    for i in range(row_sizes - 1):
        rows.append(torch.maximum(rows[-1], shifted(rows[-1], 1 << i, 0)))
    table = [torch.stack(rows)]
    for j in range(column_sizes - 1):
        table.append(torch.maximum(table[-1], shifted(table[-1], 1 << j, 2)))
    return torch.stack(table, 1)


def shifted(values: Tensor, by: int, axis: int) -> Tensor:
    """Each cell's neighbour ``by`` cells further on, or the last one; blocks that reach over the side are not read."""
    count = values.shape[axis]
    return values.index_select(axis, torch.arange(count, device=values.device).add_(by).clamp_(max=count - 1))
