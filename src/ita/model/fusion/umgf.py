"""UMGF: Unified Multi-modal Graph Fusion (Zhang et al., AAAI 2021), the part between encoder and CRF.

Subwords and image objects are nodes of a graph. Each fusion layer attends within a modality, then exchanges gated sums
between subwords and objects. Source: TransformersWsz/UMGF, ddp_mmner.py, ``MMNerModel``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ita.model.fusion import Fusion
from ita.model.padded_attention import PaddedAttention

NORM_EPSILON = 1e-5
"""Of the fusion part; BERT keeps its own."""


class UMGF(Fusion):
    """Text states and object features -> fused features.

    Args:
        config: of the encoder.
        region_dim: D, width of an object's features.
        object_size: of the linear layer that they pass first (upstream: ResNet's last, 2048); None: D.
        width: F of the graph's nodes (upstream: 512).
        inner: of the feed-forward layers (upstream: 256).
        heads: attention heads (upstream: 8).
        layers: fusion layers (upstream: 6).
        dropout: upstream: 0.4.
    """

    def __init__(
        self,
        config: Any,
        region_dim: int,
        *,
        object_size: int | None = None,
        width: int = 512,
        inner: int = 256,
        heads: int = 8,
        layers: int = 6,
        dropout: float = 0.4,
    ) -> None:
        super().__init__(config, region_dim)
        object_size = object_size or region_dim
        self.width = config.hidden_size + width
        self.text = nn.Linear(config.hidden_size, width)
        self.crop = nn.Linear(region_dim, object_size)
        self.objects = nn.Sequential(
            nn.Linear(object_size, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width), nn.ReLU(),
            nn.Dropout(dropout),
        )  # fmt: skip
        self.layers = nn.ModuleList(FusionLayer(width, inner, heads, dropout) for _ in range(layers))

    def forward(
        self,
        states: Tensor,
        mask: Tensor,
        objects: Tensor,
        object_mask: Tensor | None = None,
        links: Tensor | None = None,
    ) -> Tensor:
        """Fuses a batch.

        Args:
            states: (B, T, H) of the encoder's last layer.
            mask: (B, T) True for a subword, False for padding.
            objects: (B, V, D) features of the image objects.
            object_mask: (B, V) True for an object, False for padding; None where all are objects.
            links: (B, T, V) weights of the edges between subwords and objects; None links every subword with every
                object, as the released code does.

        Returns:
            (B, T, H + F): the encoder's states, then the fused ones.
        """
        x = self.text(states)
        o = self.objects(self.crop(objects))
        if links is None:
            links = mask.unsqueeze(2).expand(-1, -1, o.shape[1]).to(x.dtype)
        if object_mask is not None:
            links = links * object_mask.unsqueeze(1)
        for layer in self.layers:
            x, o = layer(x, o, mask, object_mask, links)
        return torch.cat([states, x], dim=2)


class FusionLayer(nn.Module):
    """One layer of the graph, each sum normalised after it."""

    def __init__(self, width: int, inner: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = nn.Dropout(dropout)
        self.text_query, self.text_key, self.text_value, self.text_output = (nn.Linear(width, width) for _ in range(4))
        self.object_query, self.object_key = (nn.Linear(width, width) for _ in range(2))
        self.objects_to_text_gate, self.text_to_objects_gate = (nn.Linear(2 * width, width) for _ in range(2))
        self.text_ffn, self.object_ffn = (
            nn.Sequential(nn.Linear(width, inner), nn.ReLU(), nn.Linear(inner, width)) for _ in range(2)
        )
        self.text_norms, self.object_norms = (
            nn.ModuleList(nn.LayerNorm(width, eps=NORM_EPSILON) for _ in range(3)) for _ in range(2)
        )

    def forward(
        self, x: Tensor, o: Tensor, mask: Tensor, object_mask: Tensor | None, links: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Subwords x (B, T, F), objects o (B, V, F), masks (B, T) and (B, V), links (B, T, V) -> the next x and o."""
        x = self._add(self.text_norms[0], x, self._text_attention(x, mask))
        o = self._add(self.object_norms[0], o, self._object_attention(o, object_mask))
        to_text, to_objects = self._messages(x, o, links)
        x = self._add(self.text_norms[1], x, to_text)
        o = self._add(self.object_norms[1], o, to_objects)
        return (
            self._add(self.text_norms[2], x, self.text_ffn(x)),
            self._add(self.object_norms[2], o, self.object_ffn(o)),
        )

    def _add(self, norm: nn.Module, residual: Tensor, update: Tensor) -> Tensor:
        output: Tensor = norm(residual + self.dropout(update))
        return output

    def _text_attention(self, x: Tensor, mask: Tensor) -> Tensor:
        attend = PaddedAttention(self.heads, mask)
        output: Tensor = self.text_output(attend(self.text_query(x), self.text_key(x), self.text_value(x), 0.0))
        return output

    def _object_attention(self, o: Tensor, object_mask: Tensor | None) -> Tensor:
        """Without projections of values and output (upstream)."""
        return PaddedAttention(self.heads, object_mask)(self.object_query(o), self.object_key(o), o, 0.0)

    def _messages(self, x: Tensor, o: Tensor, links: Tensor) -> tuple[Tensor, Tensor]:
        """Gated sums over links: (B, T, F) for subwords and (B, V, F) for objects.

        A gate is sigmoid(W [x_i ; o_j]): the projections of x and o are computed apart, then added pair by pair. The
        sum over subwords is no mean (upstream), so what objects receive grows with the length of the post.
        """
        width = x.shape[2]
        gates = []
        for gate in (self.objects_to_text_gate, self.text_to_objects_gate):
            of_text = functional.linear(x, gate.weight[:, :width], gate.bias)
            of_objects = functional.linear(o, gate.weight[:, width:])
            gates.append(torch.sigmoid(of_text.unsqueeze(2) + of_objects.unsqueeze(1)) * links.unsqueeze(3))
        return (gates[0] * o.unsqueeze(1)).sum(2), (gates[1] * x.unsqueeze(2)).sum(1)
