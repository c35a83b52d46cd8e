"""The Transformer captioner: an encoder over regions and a decoder over words (Vaswani et al. 2017, pre-norm).

Layers and names of weights are those of ruotianluo/ImageCaptioning.pytorch (captioning/models/TransformerModel.py),
where a step decodes all words anew; here keys and values of the regions and of earlier words are cached.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ita.vision.captioners.updown.recurrent import Options, State, embed_regions, region_embedding

MAX_POSITIONS = 5000


class Memory(NamedTuple):
    """Regions of B images for the cross-attention of the decoder."""

    keys: list[Tensor]
    """For each layer (B, heads, V, D)."""
    values: list[Tensor]
    """As keys."""
    mask: Tensor
    """(B, 1, 1, V) True for a region, False for padding."""


class Transformer(nn.Module):
    """The captioner, without values."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        width = options.d_model or options.input_encoding_size
        inner, heads = options.d_ff or options.rnn_size, options.num_att_heads
        self.att_embed = region_embedding(options, width)
        self.model = nn.Module()
        self.model.encoder = Stack(options.N_enc or options.num_layers, width, inner, heads, ["self_attn"])
        self.model.decoder = Stack(options.N_dec or options.num_layers, width, inner, heads, ["self_attn", "src_attn"])
        words = nn.Module()
        words.lut = nn.Embedding(options.vocab_size + 1, width)
        positions = nn.Module()
        positions.register_buffer("pe", sinusoidal_positions(width))
        self.model.tgt_embed = nn.Sequential(words, positions)
        self.model.generator = nn.Module()
        self.model.generator.proj = nn.Linear(width, options.vocab_size + 1)

    def encode(self, regions: Tensor, mask: Tensor) -> Memory:
        """As ``Recurrent.encode``."""
        model: Any = self.model
        mask = mask[:, None, None]
        x = embed_regions(self.att_embed, regions.to(model.tgt_embed[0].lut.weight.dtype))
        for layer in model.encoder.layers:
            y = layer.sublayer[0].norm(x)
            keys, values = layer.self_attn.keys_values(y)
            x = x + layer.self_attn(y, keys, values, mask)
            x = x + layer.feed_forward(layer.sublayer[1].norm(x))
        x = model.encoder.norm(x)
        keys, values = zip(*(layer.src_attn.keys_values(x) for layer in model.decoder.layers), strict=True)
        return Memory(list(keys), list(values), mask)

    def start(self, memory: Memory, beams: int) -> State:
        """The state before the first word: cached keys and values (B, K, layers, 2, t, H) of t words, none yet."""
        images, heads, _, head_width = memory.keys[0].shape
        return (memory.keys[0].new_zeros(images, beams, len(memory.keys), 2, 0, heads * head_width),)

    def step(self, memory: Memory, words: Tensor, state: State) -> tuple[Tensor, State]:
        """As ``Recurrent.step``."""
        model: Any = self.model
        (cache,) = state
        embedding, positions = model.tgt_embed
        x = embedding.lut(words) * math.sqrt(embedding.lut.embedding_dim) + positions.pe[0, cache.shape[4]]
        layer_caches = []
        for number, layer in enumerate(model.decoder.layers):
            self_attention, cross_attention = layer.self_attn, layer.src_attn
            y = layer.sublayer[0].norm(x)
            new = torch.stack([self_attention.linears[1](y), self_attention.linears[2](y)], dim=2)
            layer_cache = torch.cat([cache[:, :, number], new[:, :, :, None]], dim=3)  # (B, K, 2, t + 1, H)
            layer_caches.append(layer_cache)
            split = layer_cache.flatten(0, 1).unflatten(3, (self_attention.heads, -1)).transpose(2, 3)
            keys, values = split.unbind(1)
            x = x + self_attention(y.flatten(0, 1)[:, None], keys, values, None).view_as(x)
            y = layer.sublayer[1].norm(x)
            x = x + cross_attention(y, memory.keys[number], memory.values[number], memory.mask)
            x = x + layer.feed_forward(layer.sublayer[2].norm(x))
        projection = model.generator.proj
        return projection(model.decoder.norm(x).to(projection.weight.dtype)), (torch.stack(layer_caches, dim=2),)

    @property
    def head(self) -> nn.Module:
        """The output layer, which gives the logits."""
        model: Any = self.model
        return model.generator


class Stack(nn.Module):
    """Layers and a final normalisation."""

    def __init__(self, layers: int, width: int, inner: int, heads: int, attentions: list[str]) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(layers):
            layer = nn.Module()
            for name in attentions:
                setattr(layer, name, Attention(width, heads))
            layer.feed_forward = FeedForward(width, inner)
            layer.sublayer = nn.ModuleList(nn.Module() for _ in range(len(attentions) + 1))
            for sublayer in layer.sublayer:
                sublayer.norm = Norm(width)
            self.layers.append(layer)
        self.norm = Norm(width)


class Attention(nn.Module):
    """Multi-head attention; its linear layers are for queries, keys, values and output."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linears = nn.ModuleList(nn.Linear(width, width) for _ in range(4))

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, heads, n, D) of (B, n, H)."""
        return self.split_heads(self.linears[1](x)), self.split_heads(self.linears[2](x))

    def split_heads(self, x: Tensor) -> Tensor:
        """(B, n, H) -> (B, heads, n, D)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Attention of (B, m, H) to keys and values.

        Args:
            x: (B, m, H) what queries are made of.
            keys: (B, heads, n, D).
            values: (B, heads, n, D).
            mask: (B, 1, 1, n) True for a key that is attended to; None for all.

        Returns:
            (B, m, H).
        """
        queries = self.split_heads(self.linears[0](x))
        y = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        return self.linears[3](y.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(width, inner)
        self.w_2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., H)."""
        return self.w_2(self.w_1(x).relu())


class Norm(nn.Module):
    """Layer normalisation by the unbiased deviation, epsilon added outside the root."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a_2 = nn.Parameter(torch.ones(width))
        self.b_2 = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., H); statistics in fp32 at least."""
        precise = x if x.dtype == torch.float64 else x.float()
        deviation, mean = torch.std_mean(precise, dim=-1, keepdim=True)
        return (self.a_2 * ((precise - mean) / (deviation + 1e-6)) + self.b_2).to(x.dtype)


def sinusoidal_positions(width: int) -> Tensor:
    """Positions (1, 5000, H) of Vaswani et al.: sines at even, cosines at odd indices."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    angles = torch.arange(MAX_POSITIONS)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[None, :, :width]
