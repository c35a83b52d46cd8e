"""Attention of packed rows: each piece sees the pieces of its own row, whatever lies beside it."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ita.model.batching import Batch, Padding
from ita.model.dropout import keep


class Attend(Protocol):
    """Multi-head attention of the rows of one batch."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, rate: float) -> Tensor:
        """One vector per query.

        Args:
            query: (N, H), or (M, H) of the pieces that are read.
            key: (N, H).
            value: (N, H).
            rate: dropout of the attention probabilities.
        """
        ...


class Jagged:
    """Attention by PyTorch's kernel for rows of any length.

    Args:
        batch: the rows.
        heads: number of heads, which divides H.
        words_only: the queries are the M pieces that are read, not all N.
    """

    def __init__(self, batch: Batch, heads: int, words_only: bool = False) -> None:
        self.batch, self.heads = batch, heads
        self.known = batch.piece_bounds
        self.asked = batch.read_bounds if words_only else batch.piece_bounds

    def words(self) -> Jagged:
        """The same for queries of the pieces that are read."""
        return Jagged(self.batch, self.heads, True)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, rate: float) -> Tensor:
        """As :class:`Attend` says."""
        bounds = (self.asked, self.known, self.known)
        q, k, v = (
            torch.nested.nested_tensor_from_jagged(
                x.unflatten(1, (self.heads, -1)), rows.offsets, min_seqlen=1, max_seqlen=rows.longest
            ).transpose(1, 2)
            for x, rows in zip((query, key, value), bounds, strict=True)
        )
        return functional.scaled_dot_product_attention(q, k, v, dropout_p=rate).transpose(1, 2).values().flatten(1)


class Grouped:
    """Attention padded within each group of rows of similar length; arguments as for :class:`Jagged`."""

    def __init__(self, batch: Batch, heads: int, words_only: bool = False) -> None:
        self.batch, self.heads = batch, heads
        self.known = [_slots(group.pieces, heads) for group in batch.groups]
        self.asked = [_slots(group.read, heads) for group in batch.groups] if words_only else self.known

    def words(self) -> Grouped:
        """The same for queries of the pieces that are read."""
        return Grouped(self.batch, self.heads, True)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, rate: float) -> Tensor:
        """As :class:`Attend` says."""
        sizes, asked_sizes = ([slots.items for slots in some] for some in (self.known, self.asked))
        parts = zip(query.split(asked_sizes), key.split(sizes), value.split(sizes), strict=True)
        outputs = []
        for (q, k, v), asked, known in zip(parts, self.asked, self.known, strict=True):
            if not asked.items:  # no word of these posts has a piece
                continue
            q, k, v = _Pad.apply(q, asked), _Pad.apply(k, known), _Pad.apply(v, known)
            outputs.append(_Unpad.apply(_attention(q, k, v, known, rate), asked))
        return torch.cat(outputs)


class _Slots(NamedTuple):
    """R rows of n items as R rectangles of T slots for each head."""

    items: int
    """n."""
    shape: tuple[int, int, int]
    """R, heads, T."""
    fill: Tensor
    """(R * heads * T,) which of the n * heads parts goes into each slot; an empty slot takes some part."""
    take: Tensor
    """(n * heads,) the slot of each part."""
    inside: Tensor
    """(R, 1, T, 1) 1 for an item, 0 for an empty slot."""
    barred: Tensor
    """(R * heads, 1, T) what is added to scores of keys: 0 for an item, minus infinity for an empty slot."""
    full: bool
    """All rows are equally long: there is no empty slot."""


def _slots(padding: Padding, heads: int) -> _Slots:
    rows, width = padding.index.shape
    head = torch.arange(heads, device=padding.index.device)
    fill = padding.index[:, None, :] * heads + head[:, None]
    take = (padding.slots + padding.slots // width * (width * (heads - 1)))[:, None] + head * width
    inside = padding.inside[:, None, :, None].float()
    barred = inside.log().view(rows, 1, width).repeat_interleave(heads, 0)
    return _Slots(
        len(padding.slots), (rows, heads, width), fill.flatten(), take.flatten(), inside, barred, padding.full
    )


def _attention(q: Tensor, k: Tensor, v: Tensor, known: _Slots, rate: float) -> Tensor:
    """softmax(q k' / sqrt(D)) v over (R, heads, T, D); with dropout a CPU is faster without the fused kernel."""
    rows, heads, width = known.shape
    if not rate or q.device.type != "cpu":
        mask = None if known.full else known.barred.view(rows, heads, 1, width).to(q.dtype)
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate)
    keys = k.flatten(0, 1).transpose(1, 2)
    scores = torch.baddbmm(known.barred.to(q.dtype), q.flatten(0, 1), keys, alpha=k.shape[3] ** -0.5)
    return ((scores.softmax(-1) * keep(scores, rate)) @ v.flatten(0, 1)).unflatten(0, (rows, heads))


class _Pad(torch.autograd.Function):
    """Packed items (n, H) -> (R, heads, T, D). Each item has one slot, so the gradient is read, not added up."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slots: _Slots) -> Tensor:
        ctx.slots = slots
        return _spread(x, slots)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _gathered(grad, ctx.slots), None


class _Unpad(torch.autograd.Function):
    """(R, heads, T, D) -> packed items (n, H); empty slots get no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slots: _Slots) -> Tensor:
        ctx.slots = slots
        return _gathered(x, slots)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _spread(grad, ctx.slots).mul_(ctx.slots.inside), None


def _spread(x: Tensor, slots: _Slots) -> Tensor:
    """(n, H) -> (R, heads, T, D)."""
    parts = x.reshape(slots.items * slots.shape[1], x.shape[1] // slots.shape[1])
    return parts.index_select(0, slots.fill).view(*slots.shape, parts.shape[1])


def _gathered(x: Tensor, slots: _Slots) -> Tensor:
    """(R, heads, T, D) -> (n, H)."""
    return x.reshape(-1, x.shape[3]).index_select(0, slots.take).view(slots.items, x.shape[1] * x.shape[3])
