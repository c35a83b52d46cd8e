"""Captioners with attention over regions in an LSTM: UpDown (Anderson et al. 2018) and Att2in2 (Rennie et al. 2017).

Layers and names of weights are those of ruotianluo/ImageCaptioning.pytorch (captioning/models/AttModel.py). All beams
of an image share its regions: what does not depend on the words is computed once per image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]
"""Decoder state between steps: tensors that begin with images and beams, (B, K, ...)."""


@dataclass(frozen=True)
class Options:
    """Options of a model in opt.json, by upstream's names."""

    caption_model: str
    vocab_size: int
    """Number of the last word; 0 begins and ends a caption."""
    input_encoding_size: int
    rnn_size: int
    att_feat_size: int = 2048
    fc_feat_size: int = 2048
    att_hid_size: int = 512
    use_bn: int = 0
    logit_layers: int = 1
    num_layers: int = 1
    N_enc: int = 0
    """Layers of a Transformer's encoder; 0 is ``num_layers``."""
    N_dec: int = 0
    d_model: int = 0
    """Width of a Transformer; 0 is ``input_encoding_size``."""
    d_ff: int = 0
    """Inner width of its feed-forward layers; 0 is ``rnn_size``."""
    num_att_heads: int = 8

    @classmethod
    def of(cls, file: Mapping[str, Any]) -> Options:
        """The options in an opt.json; others in it are about training."""
        return cls(**{name: file[name] for name in cls.__dataclass_fields__ if file.get(name) is not None})


class Context(NamedTuple):
    """Regions of B images, padded at the end."""

    values: Tensor
    """(B, V, H)."""
    keys: Tensor
    """(B, V, A) projections for additive attention."""
    mask: Tensor
    """(B, V) True for a region, False for padding."""
    mean: Tensor
    """(B, 1, H) of the whole image; Att2in2 does not use it."""


class Recurrent(nn.Module):
    """UpDown or Att2in2, without values."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        width = options.rnn_size
        self.embed = nn.Sequential(nn.Embedding(options.vocab_size + 1, options.input_encoding_size), nn.ReLU())
        self.updown = options.caption_model != "att2in2"
        if self.updown:
            self.fc_embed = nn.Sequential(nn.Linear(options.fc_feat_size, width), nn.ReLU())
        self.att_embed = region_embedding(options, width)
        self.ctx2att = nn.Linear(width, options.att_hid_size)
        self.core = (UpDownCore if self.updown else Att2in2Core)(options)
        hidden = [layer for _ in range(options.logit_layers - 1) for layer in hidden_layer(width)]
        last = nn.Linear(width, options.vocab_size + 1)
        self.logit = nn.Sequential(*hidden, last) if hidden else last

    def encode(self, regions: Tensor, mask: Tensor) -> Context:
        """The context of B images.

        Args:
            regions: (B, V, F) region features, zero for padding.
            mask: (B, V) True for a region, False for padding; every image has a region.
        """
        dtype = self.ctx2att.weight.dtype
        values = embed_regions(self.att_embed, regions.to(dtype))
        mean = (regions.sum(1) / mask.sum(1, keepdim=True)).to(dtype)
        mean = self.fc_embed(mean) if self.updown else mean
        return Context(values, self.ctx2att(values), mask, mean[:, None])

    def start(self, context: Context, beams: int) -> State:
        """The state before the first word."""
        images, _, width = context.values.shape
        layers = 2 if self.updown else 1
        return tuple(context.values.new_zeros(images, beams, layers, width) for _ in range(2))

    def step(self, context: Context, words: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (B, K, vocabulary) of the words after (B, K) words, and the state after these."""
        x, state = self.core(self.embed(words), context, state)
        return self.logit(x.to(next(self.logit.parameters()).dtype)), state

    @property
    def head(self) -> nn.Module:
        """The output layers, which give the logits."""
        return self.logit


class UpDownCore(nn.Module):
    """An attention LSTM and a language LSTM."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        width = options.rnn_size
        self.att_lstm = nn.LSTMCell(options.input_encoding_size + 2 * width, width)
        self.lang_lstm = nn.LSTMCell(2 * width, width)
        self.attention = Attention(options)

    def forward(self, words: Tensor, context: Context, state: State) -> tuple[Tensor, State]:
        """Embeddings (B, K, E) of words -> (B, K, H); the state is h and c (B, K, 2, H) of both LSTMs."""
        h, c = state
        mean = context.mean.expand(-1, words.shape[1], -1)
        inputs = torch.cat([h[:, :, 1], mean, words], dim=2)
        attention_h, attention_c = lstm_step(self.att_lstm, inputs, h[:, :, 0], c[:, :, 0])
        inputs = torch.cat([self.attention(attention_h, context), attention_h], dim=2)
        language_h, language_c = lstm_step(self.lang_lstm, inputs, h[:, :, 1], c[:, :, 1])
        h, c = torch.stack([attention_h, language_h], dim=2), torch.stack([attention_c, language_c], dim=2)
        return language_h, (h, c)


class Att2in2Core(nn.Module):
    """An LSTM whose candidate cell, the maximum of two, is the only part that reads the attended regions."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        width = options.rnn_size
        self.a2c = nn.Linear(width, 2 * width)
        self.i2h = nn.Linear(options.input_encoding_size, 5 * width)
        self.h2h = nn.Linear(width, 5 * width)
        self.attention = Attention(options)

    def forward(self, words: Tensor, context: Context, state: State) -> tuple[Tensor, State]:
        """Embeddings (B, K, E) of words -> (B, K, H); the state is h and c (B, K, 1, H)."""
        h, c = state[0][:, :, 0], state[1][:, :, 0]
        attended_1, attended_2 = self.a2c(self.attention(h, context)).chunk(2, dim=2)
        *gates, candidate_1, candidate_2 = (self.i2h(words) + self.h2h(h)).chunk(5, dim=2)
        input_gate, forget_gate, output_gate = (gate.sigmoid() for gate in gates)
        candidate = torch.maximum(candidate_1 + attended_1, candidate_2 + attended_2)
        c = forget_gate * c + input_gate * candidate
        h = output_gate * c.tanh()
        return h, (h[:, :, None], c[:, :, None])


class Attention(nn.Module):
    """Additive attention (Bahdanau et al. 2015)."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.h2att = nn.Linear(options.rnn_size, options.att_hid_size)
        self.alpha_net = nn.Linear(options.att_hid_size, 1)

    def forward(self, queries: Tensor, context: Context) -> Tensor:
        """Weighted means (B, K, H) of the regions' values for queries (B, K, H)."""
        scores = self.alpha_net(torch.tanh(context.keys[:, None] + self.h2att(queries)[:, :, None]))[..., 0]
        weights = scores.float().masked_fill(~context.mask[:, None], -torch.inf).softmax(-1)
        return weights.to(queries.dtype) @ context.values


def region_embedding(options: Options, width: int) -> nn.Sequential:
    """(n, F) -> (n, H); use_bn 1 normalises the features, 2 their embedding, too."""
    layers: list[nn.Module] = [nn.BatchNorm1d(options.att_feat_size)] if options.use_bn else []
    layers += [nn.Linear(options.att_feat_size, width), nn.ReLU()]
    if options.use_bn == 2:
        # Upstream has dropout, which holds no weights, in between.
        layers += [nn.Identity(), nn.BatchNorm1d(width)]
    return nn.Sequential(*layers)


def embed_regions(layers: nn.Sequential, regions: Tensor) -> Tensor:
    """(B, V, F) -> (B, V, H) by layers for rows."""
    return layers(regions.flatten(0, 1)).unflatten(0, regions.shape[:2])


def hidden_layer(width: int) -> tuple[nn.Module, ...]:
    """A hidden layer of a deeper head; the identity is upstream's dropout."""
    return nn.Linear(width, width), nn.ReLU(), nn.Identity()


def lstm_step(lstm: nn.LSTMCell, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """One step on (B, K, X), (B, K, H), (B, K, H) -> h and c (B, K, H)."""
    h, c = lstm(x.flatten(0, 1), (h.flatten(0, 1), c.flatten(0, 1)))
    return h.unflatten(0, x.shape[:2]), c.unflatten(0, x.shape[:2])
