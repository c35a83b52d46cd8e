"""The Transformer captioner: an encoder over regions and a decoder over words (Vaswani et al. 2017, pre-norm).

Layers and names of weights are those of ruotianluo/ImageCaptioning.pytorch (captioning/models/TransformerModel.py),
where a step decodes all words anew; here keys and values of the regions and of the words before are kept.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ita.vision.captioners.updown.recurrent import Options, State, embedded, region_embedding

POSITIONS = 5000


class Memory(NamedTuple):
    """Regions of B images as the decoder sees them."""

    keys: list[Tensor]
    """For each layer (B, heads, N, D)."""
    values: list[Tensor]
    inside: Tensor
    """(B, 1, 1, N) True for a region, False for padding."""


class Transformer(nn.Module):
    """The captioner; weights are to be loaded."""

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
        positions.register_buffer("pe", sinusoids(width))
        self.model.tgt_embed = nn.Sequential(words, positions)
        self.model.generator = nn.Module()
        self.model.generator.proj = nn.Linear(width, options.vocab_size + 1)

    def encode(self, regions: Tensor, inside: Tensor) -> Memory:
        """As ``Recurrent.encode``."""
        model: Any = self.model
        seen = inside[:, None, None]
        x = embedded(self.att_embed, regions.to(model.tgt_embed[0].lut.weight.dtype))
        for layer in model.encoder.layers:
            y = layer.sublayer[0].norm(x)
            k, v = layer.self_attn.known(y)
            x = x + layer.self_attn(y, k, v, seen)
            x = x + layer.feed_forward(layer.sublayer[1].norm(x))
        x = model.encoder.norm(x)
        keys, values = zip(*(layer.src_attn.known(x) for layer in model.decoder.layers), strict=True)
        return Memory(list(keys), list(values), seen)

    def start(self, memory: Memory, beams: int) -> State:
        """The state before the first word: keys and values (B, K, layers, 2, t, H) of t words, none so far."""
        images, heads, _, width = memory.keys[0].shape
        return (memory.keys[0].new_zeros(images, beams, len(memory.keys), 2, 0, heads * width),)

    def step(self, memory: Memory, words: Tensor, state: State) -> tuple[Tensor, State]:
        """As ``Recurrent.step``."""
        model: Any = self.model
        (kept,) = state
        embed, places = model.tgt_embed
        x = embed.lut(words) * math.sqrt(embed.lut.embedding_dim) + places.pe[0, kept.shape[4]]
        new = []
        for number, layer in enumerate(model.decoder.layers):
            own, regions = layer.self_attn, layer.src_attn
            y = layer.sublayer[0].norm(x)
            pair = torch.stack([own.linears[1](y), own.linears[2](y)], dim=2)[:, :, :, None]
            pair = torch.cat([kept[:, :, number], pair], dim=3)  # (B, K, 2, t + 1, H)
            new.append(pair)
            k, v = pair.flatten(0, 1).unflatten(3, (own.heads, -1)).transpose(2, 3).unbind(1)
            x = x + own(y.flatten(0, 1)[:, None], k, v, None).view_as(x)
            x = x + regions(layer.sublayer[1].norm(x), memory.keys[number], memory.values[number], memory.inside)
            x = x + layer.feed_forward(layer.sublayer[2].norm(x))
        proj = model.generator.proj
        return proj(model.decoder.norm(x).to(proj.weight.dtype)), (torch.stack(new, dim=2),)

    @property
    def head(self) -> nn.Module:
        """The part that scores words."""
        model: Any = self.model
        return model.generator


class Stack(nn.Module):
    """Layers and a last normalisation."""

    def __init__(self, layers: int, width: int, inner: int, heads: int, attentions: list[str]) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(layers):
            layer = nn.Module()
            for name in attentions:
                setattr(layer, name, Attention(width, heads))
            layer.feed_forward = FeedForward(width, inner)
            layer.sublayer = nn.ModuleList(nn.Module() for _ in range(len(attentions) + 1))
            for part in layer.sublayer:
                part.norm = Norm(width)
            self.layers.append(layer)
        self.norm = Norm(width)


class Attention(nn.Module):
    """Multi-head attention; its linear layers are query, key, value and output."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linears = nn.ModuleList(nn.Linear(width, width) for _ in range(4))

    def known(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, heads, n, D) of (B, n, H)."""
        return self.split(self.linears[1](x)), self.split(self.linears[2](x))

    def split(self, x: Tensor) -> Tensor:
        """(B, n, H) -> (B, heads, n, D)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, inside: Tensor | None) -> Tensor:
        """(B, m, H) of queries (B, m, H), keys and values (B, heads, n, D), and what is seen (B, 1, 1, n)."""
        q = self.split(self.linears[0](x))
        y = functional.scaled_dot_product_attention(q, keys, values, attn_mask=inside)
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
        """(..., H) -> (..., H)."""
        wide = x if x.dtype == torch.float64 else x.float()
        deviation, mean = torch.std_mean(wide, dim=-1, keepdim=True)
        return (self.a_2 * ((wide - mean) / (deviation + 1e-6)) + self.b_2).to(x.dtype)


def sinusoids(width: int) -> Tensor:
    """Positions (1, 5000, H) of Vaswani et al.: sines at even, cosines at odd places."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    angles = torch.arange(POSITIONS)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[None, :, :width]
