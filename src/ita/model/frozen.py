"""A trained BERT for inference on a CPU: the same numbers as ``ita.model.bert``, or nearly so in 16 or 8 bits, sooner.

What differs: weights are kept in the order that oneDNN's matrix products read them in; queries, keys and values come
from one product; activation and residual sum are done inside the products (not in 8 bits); attention takes rows of
equal length together, so that nothing is padded, copied or masked. Nothing here can be trained.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ita.model.batching import Batch
from ita.model.bert import Bert, Layer
from ita.model.frozen_linear import Precision, Products, products


class FrozenBert(nn.Module):
    """The encoder; takes the place of a :class:`Bert` in a tagger.

    Args:
        bert: the trained encoder on a CPU, which must not be used any more: its linear layers lose their weights.
        precision: arithmetic of the matrix products with weights.
    """

    def __init__(self, bert: Bert, precision: Precision) -> None:
        super().__init__()
        self.config = bert.config
        self.embeddings = bert.embeddings.eval()
        kind = products(precision)
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        layers: Any = bert.encoder.layer
        self.layers = nn.ModuleList(FrozenLayer(layer, kind, self.dtype) for layer in layers)

    def forward(
        self, batch: Batch, varlen: bool = False, region_vectors: Tensor | None = None, embedded: bool = False
    ) -> Tensor:
        """Last-layer vectors (M, H); see :meth:`Bert.forward`, whose ``varlen`` has no meaning here."""
        if not len(batch.first_subwords):
            return torch.zeros(0, self.config.hidden_size)
        x = self.embeddings(batch, region_vectors, embedded).to(self.dtype)
        attention = RunAttention(batch, self.config.num_attention_heads)
        for layer in self.layers[:-1]:
            x = layer(x, attention)
        output: Tensor = self.layers[-1](x, attention, batch.first_subwords)
        return output.float()


class RunAttention:
    """Multi-head attention; consecutive rows of equal length are one call."""

    def __init__(self, batch: Batch, heads: int) -> None:
        self.heads = heads
        lengths = batch.input_bounds.cumulative.diff().tolist()
        self.runs = [(len(list(run)), length) for length, run in groupby(lengths)]
        self.sizes = [rows * length for rows, length in self.runs]

    def __call__(self, projected: Tensor) -> Tensor:
        """Queries, keys and values side by side (N, 3 H) -> (N, H)."""
        outputs = []
        for (rows, length), part in zip(self.runs, projected.split(self.sizes), strict=True):
            q, k, v = part.view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind()
            attended = functional.scaled_dot_product_attention(q, k, v)
            outputs.append(attended.transpose(1, 2).reshape(rows * length, -1))
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


class FrozenLayer(nn.Module):
    """Attention and feed-forward, as :class:`ita.model.bert.Layer`."""

    def __init__(self, layer: Layer, kind: Products, dtype: torch.dtype) -> None:
        super().__init__()
        projections: Any = layer.attention.self
        intermediate: Any = layer.intermediate.dense
        parts = [getattr(projections, name) for name in ("query", "key", "value")]
        weight, bias = (torch.cat([getattr(part, name).detach() for part in parts]) for name in ("weight", "bias"))
        self.projections = kind(weight, bias)
        self.attention_output = frozen(layer.attention.output.dense, kind)
        self.intermediate = frozen(intermediate, kind, layer.activation)
        self.output = frozen(layer.output.dense, kind)
        self.norms = nn.ModuleList(output.LayerNorm.to(dtype) for output in (layer.attention.output, layer.output))
        for part in parts:
            release(part)

    def forward(self, x: Tensor, attention: RunAttention, kept: Tensor | None = None) -> Tensor:
        """(N, H) -> (N, H), or (M, H) of those inputs that are ``kept`` (M,)."""
        attended = attention(self.projections(x))
        if kept is not None:
            # Their queries were not left out, which would save 1 % of a layer: so one product makes all projections.
            attended, x = attended[kept], x[kept]
        x = self.norms[0](self.attention_output(attended, x))
        output: Tensor = self.norms[1](self.output(self.intermediate(x), x))
        return output


def frozen(linear: nn.Linear, kind: Products, activation: str | None = None) -> nn.Module:
    """The product of a linear layer, which loses its weights."""
    product = kind(linear.weight.detach(), linear.bias.detach(), activation)
    release(linear)
    return product


def release(linear: nn.Linear) -> None:
    """Frees the weights of a layer."""
    linear.weight = linear.bias = None  # type: ignore[assignment]
