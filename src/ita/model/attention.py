"""Variable-length attention over packed rows: each input sees the inputs of its own row and nothing else.

Two backends: PyTorch's variable-length kernel, and padding within length buckets for devices without one.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ita.model.batching import Batch, PaddedRows
from ita.model.dropout import dropout_factors


class AttentionBackend(Protocol):
    """Multi-head attention within the rows of one batch."""

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, dropout: float, /) -> Tensor:
        """One vector per query.

        Args:
            queries: (N, H), or (M, H) of the first subwords alone.
            keys: (N, H).
            values: (N, H).
            dropout: probability of dropping an attention weight.
        """
        ...


class VarlenAttention:
    """Attention by PyTorch's kernel for rows of any length.

    Args:
        batch: the rows.
        heads: number of heads, which divides H.
        first_subwords_only: queries are the M first subwords, not all N inputs.
    """

    def __init__(self, batch: Batch, heads: int, first_subwords_only: bool = False) -> None:
        self.batch, self.heads = batch, heads
        self.key_bounds = batch.input_bounds
        self.query_bounds = batch.first_subword_bounds if first_subwords_only else batch.input_bounds

    def for_first_subwords(self) -> VarlenAttention:
        """The same with first subwords as queries."""
        return VarlenAttention(self.batch, self.heads, True)

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, dropout: float) -> Tensor:
        """See :class:`AttentionBackend`."""
        bounds = (self.query_bounds, self.key_bounds, self.key_bounds)
        q, k, v = (
            torch.nested.nested_tensor_from_jagged(
                x.unflatten(1, (self.heads, -1)), rows.cumulative, min_seqlen=1, max_seqlen=rows.longest
            ).transpose(1, 2)
            for x, rows in zip((queries, keys, values), bounds, strict=True)
        )
        output = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        return output.transpose(1, 2).values().flatten(1)


class PaddedBucketAttention:
    """Attention padded within each bucket of rows; arguments as for :class:`VarlenAttention`."""

    def __init__(self, batch: Batch, heads: int, first_subwords_only: bool = False) -> None:
        self.batch, self.heads = batch, heads
        self.keys = [_head_layout(bucket.inputs, heads) for bucket in batch.buckets]
        self.queries = self.keys
        if first_subwords_only:
            self.queries = [_head_layout(bucket.first_subwords, heads) for bucket in batch.buckets]

    def for_first_subwords(self) -> PaddedBucketAttention:
        """The same with first subwords as queries."""
        return PaddedBucketAttention(self.batch, self.heads, True)

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, dropout: float) -> Tensor:
        """See :class:`AttentionBackend`."""
        query_sizes, key_sizes = ([layout.items for layout in layouts] for layouts in (self.queries, self.keys))
        parts = zip(queries.split(query_sizes), keys.split(key_sizes), values.split(key_sizes), strict=True)
        outputs = []
        for (q, k, v), query_layout, key_layout in zip(parts, self.queries, self.keys, strict=True):
            if not query_layout.items:  # no word of these posts has a subword
                continue
            q, k, v = _Pad.apply(q, query_layout), _Pad.apply(k, key_layout), _Pad.apply(v, key_layout)
            outputs.append(_Unpad.apply(_attention(q, k, v, key_layout, dropout), query_layout))
        return torch.cat(outputs)


class _HeadLayout(NamedTuple):
    """How R rows of n packed items are padded to length T for each head."""

    items: int
    """n."""
    shape: tuple[int, int, int]
    """R, heads, T."""
    pad_index: Tensor
    """(R * heads * T,) which of the n * heads parts goes into each slot; padding repeats a part."""
    unpad_index: Tensor
    """(n * heads,) the slot of each part."""
    mask: Tensor
    """(R, 1, T, 1) 1 for an item, 0 for padding."""
    bias: Tensor
    """(R * heads, 1, T) additive attention bias of keys: 0 for an item, minus infinity for padding."""
    unpadded: bool
    """All rows are equally long: there is no padding."""


def _head_layout(padded: PaddedRows, heads: int) -> _HeadLayout:
    rows, width = padded.pad_index.shape
    head = torch.arange(heads, device=padded.pad_index.device)
    pad_index = padded.pad_index[:, None, :] * heads + head[:, None]
    slots = padded.unpad_index
    unpad_index = (slots + slots // width * (width * (heads - 1)))[:, None] + head * width
    mask = padded.mask[:, None, :, None].float()
    bias = mask.log().view(rows, 1, width).repeat_interleave(heads, 0)
    shape = (rows, heads, width)
    return _HeadLayout(len(slots), shape, pad_index.flatten(), unpad_index.flatten(), mask, bias, padded.unpadded)


def _attention(q: Tensor, k: Tensor, v: Tensor, keys: _HeadLayout, dropout: float) -> Tensor:
    """softmax(q k' / sqrt(D)) v over (R, heads, T, D); with dropout a CPU is faster without the fused kernel."""
    rows, heads, width = keys.shape
    if not dropout or q.device.type != "cpu":
        bias = None if keys.unpadded else keys.bias.view(rows, heads, 1, width).to(q.dtype)
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout)
    k_transposed = k.flatten(0, 1).transpose(1, 2)
    scores = torch.baddbmm(keys.bias.to(q.dtype), q.flatten(0, 1), k_transposed, alpha=k.shape[3] ** -0.5)
    return ((scores.softmax(-1) * dropout_factors(scores, dropout)) @ v.flatten(0, 1)).unflatten(0, (rows, heads))


class _Pad(torch.autograd.Function):
    """Packed items (n, H) -> (R, heads, T, D). Each item has one slot, so the gradient is gathered, not summed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layout: _HeadLayout) -> Tensor:
        ctx.layout = layout
        return _pad(x, layout)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _unpad(grad, ctx.layout), None


class _Unpad(torch.autograd.Function):
    """(R, heads, T, D) -> packed items (n, H); padding gets no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layout: _HeadLayout) -> Tensor:
        ctx.layout = layout
        return _unpad(x, layout)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _pad(grad, ctx.layout).mul_(ctx.layout.mask), None


def _pad(x: Tensor, layout: _HeadLayout) -> Tensor:
    """(n, H) -> (R, heads, T, D)."""
    parts = x.reshape(layout.items * layout.shape[1], x.shape[1] // layout.shape[1])
    return parts.index_select(0, layout.pad_index).view(*layout.shape, parts.shape[1])


def _unpad(x: Tensor, layout: _HeadLayout) -> Tensor:
    """(R, heads, T, D) -> (n, H)."""
    return x.reshape(-1, x.shape[3]).index_select(0, layout.unpad_index).view(layout.items, x.shape[1] * x.shape[3])
