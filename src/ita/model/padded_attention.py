"""Attention over padded rows, for layers whose queries and keys come from different sequences."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


class PaddedAttention:
    """Multi-head attention of padded rows; takes the place of the packed backends in :class:`ita.model.bert.Layer`.

    Args:
        heads: number of heads, which divides H.
        key_mask: (B, S), or (B, T, S) with a row for each query, True where a key is seen; None where all are.
    """

    def __init__(self, heads: int, key_mask: Tensor | None = None) -> None:
        self.heads = heads
        self.mask = key_mask
        if key_mask is not None:
            self.mask = key_mask[:, None, None, :] if key_mask.dim() == 2 else key_mask[:, None]

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, rate: float) -> Tensor:
        """(B, T, H) queries, (B, S, H) keys and values -> (B, T, H); ``rate`` is the dropout of the probabilities."""
        q, k, v = (x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (query, key, value))
        output = functional.scaled_dot_product_attention(q, k, v, attn_mask=self.mask, dropout_p=rate)
        return torch.flatten(output.transpose(1, 2), 2)
