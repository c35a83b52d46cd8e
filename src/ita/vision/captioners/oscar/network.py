"""Oscar's captioner (Li et al. 2020; in VinVL: Zhang et al. 2021): one BERT over caption, object labels and regions.

A caption grows at its end, by the word that the network puts in place of a [MASK] there. Labels and regions see each
other and never the caption, and a word of the caption sees what stands before it: so the context is encoded once per
image, and a step needs the last word and the [MASK] only. ``BertForImageCaptioning.forward`` computes everything from
the start, as microsoft/Oscar does (oscar/modeling/modeling_bert.py); weights go by the names published there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ita.model.attention import Attend
from ita.model.bert import ACTIVATIONS, EncoderConfig, Layer, table

HIDDEN = -10000.0
"""Added to the score of a key that is not to be seen; in a row that sees nothing upstream's noise is kept this way."""


@dataclass(frozen=True)
class Context:
    """Labels and regions of B images, padded at the end."""

    labels: Tensor
    """(B, L) word pieces of the labels and a final [SEP]; [PAD] behind them."""
    labels_inside: Tensor
    """(B, L) True for a piece, False for padding."""
    regions: Tensor
    """(B, R, F) features of the regions, zero behind them."""
    regions_inside: Tensor
    """(B, R) True for a region, False for padding."""
    start: int
    """Position of the first label, behind those of any caption."""

    @property
    def inside(self) -> Tensor:
        """(B, N) for labels and regions together, N = L + R."""
        return torch.cat([self.labels_inside, self.regions_inside], dim=1)

    def repeated(self, times: int) -> Context:
        """Each image several times in a row."""
        parts = (self.labels, self.labels_inside, self.regions, self.regions_inside)
        labels, labels_inside, regions, regions_inside = (part.repeat_interleave(times, dim=0) for part in parts)
        return Context(labels, labels_inside, regions, regions_inside, self.start)


class Dense(NamedTuple):
    """Captions and context in one input, T = C + L slots of text and R of regions."""

    input_ids: Tensor
    """(B, T)."""
    token_type_ids: Tensor
    """(B, T) 1 for a label, 0 for words of the caption and padding."""
    position_ids: Tensor
    """(B, T)."""
    attention_mask: Tensor
    """(B, T + R, T + R) 1 where the row's slot sees the column's."""
    img_feats: Tensor
    """(B, R, F)."""


def dense(context: Context, words: Tensor) -> Dense:
    """Puts captions in front of their context.

    Args:
        context: of B images.
        words: (B, C) pieces of the caption, [CLS] first.
    """
    device, (rows, length) = words.device, words.shape
    labels = torch.arange(context.start, context.start + context.labels.shape[1], device=device)
    positions = torch.cat([torch.arange(length, device=device), labels]).expand(rows, -1)
    segments = torch.cat([torch.zeros_like(words), context.labels_inside.long()], dim=1)
    inside = context.inside.long()
    mask = torch.zeros(rows, length + inside.shape[1], length + inside.shape[1], dtype=torch.long, device=device)
    mask[:, :length, :length] = torch.ones(length, length, device=device).tril().long()
    mask[:, :length, length:] = inside[:, None]
    mask[:, length:, length:] = inside[:, None] * inside[:, :, None]
    return Dense(torch.cat([words, context.labels], dim=1), segments, positions, mask, context.regions)


class BertForImageCaptioning(nn.Module):
    """The network; values are to be loaded. A decoder that is tied to the word embedding is a copy of it."""

    def __init__(self, shape: EncoderConfig) -> None:
        super().__init__()
        self.config = shape
        self.bert = ImageBert(shape)
        self.cls = nn.Module()
        self.cls.predictions = Predictions(shape)

    def forward(self, given: Dense) -> tuple[Tensor, Tensor]:
        """Everything from the start.

        Returns:
            Logits (B, T, V) of the text and last-layer vectors (B, T + R, H) of text and regions.
        """
        x = self.vectors(given)
        return self.logits(x[:, : given.input_ids.shape[1]]), x

    def vectors(self, given: Dense) -> Tensor:
        """Last-layer vectors (B, T + R, H)."""
        bert = self.bert
        text = bert.embeddings(given.input_ids, given.position_ids, given.token_type_ids)
        x = torch.cat([text, bert.regions(given.img_feats.to(text.dtype))], dim=1)
        mask = ((1.0 - given.attention_mask.to(x.dtype)) * HIDDEN)[:, None]
        heads = self.config.num_attention_heads

        def attend(query: Tensor, key: Tensor, value: Tensor, rate: float) -> Tensor:
            q, k, v = (_split(part, heads) for part in (query, key, value))
            return _merged(functional.scaled_dot_product_attention(q, k, v, attn_mask=mask))

        for layer in bert.layers:
            x = layer(x, x, attend)
        return x

    def logits(self, x: Tensor) -> Tensor:
        """Scores (..., V) of the words in place of vectors (..., H), in the arithmetic of the head."""
        return self.cls.predictions(x)  # type: ignore[operator]


class ImageBert(nn.Module):
    """BERT whose input is text followed by regions."""

    def __init__(self, shape: EncoderConfig) -> None:
        super().__init__()
        about = shape.file
        self.embeddings = Embeddings(shape)
        self.img_embedding = nn.Linear(int(about["img_feature_dim"]), shape.hidden_size)
        if about.get("use_img_layernorm"):
            self.LayerNorm = nn.LayerNorm(shape.hidden_size, eps=float(about.get("img_layer_norm_eps", 1e-12)))
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))
        self.pooler = nn.Module()
        self.pooler.dense = nn.Linear(shape.hidden_size, shape.hidden_size)

    @property
    def layers(self) -> list[Any]:
        """The layers, first to last."""
        return list(self.encoder.layer)  # type: ignore[arg-type]

    def regions(self, features: Tensor) -> Tensor:
        """Vectors (..., H) of features (..., F); regions have neither position nor segment."""
        x = self.img_embedding(features)
        return self.LayerNorm(x) if hasattr(self, "LayerNorm") else x

    def pooled(self, x: Tensor) -> Tensor:
        """The vector (B, H) of each row's first word; published with the weights, and no caption depends on it."""
        return torch.tanh(self.pooler.dense(x[:, 0]))  # type: ignore[operator]


class Embeddings(nn.Module):
    """Word, position and segment."""

    def __init__(self, shape: EncoderConfig) -> None:
        super().__init__()
        self.word_embeddings = table(shape.vocab_size, shape, shape.pad_token_id)
        self.position_embeddings = table(shape.max_position_embeddings, shape, None)
        self.token_type_embeddings = table(shape.type_vocab_size, shape, None)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)

    def forward(self, words: Tensor, positions: Tensor, segments: Tensor) -> Tensor:
        """(..., H) from numbers (...), which may broadcast."""
        x = self.word_embeddings(words) + self.position_embeddings(positions)
        return self.LayerNorm(x + self.token_type_embeddings(segments))


class Predictions(nn.Module):
    """The masked-language-model head."""

    def __init__(self, shape: EncoderConfig) -> None:
        super().__init__()
        self.transform = nn.Module()
        self.transform.dense = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.transform.LayerNorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.decoder = nn.Linear(shape.hidden_size, shape.vocab_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(shape.vocab_size))
        self.act = ACTIVATIONS[shape.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., V)."""
        x = self.act(self.transform.dense(x.to(self.bias.dtype)))  # type: ignore[operator]
        return self.decoder(self.transform.LayerNorm(x)) + self.bias  # type: ignore[operator]


class Prefix:
    """Steps of a search that compute the last word and the [MASK] only.

    Keys and values of an image lie in one buffer: its N labels and regions, then a block of K slots per step, one for
    each beam. All beams of an image read that buffer, so the context is held once and nothing moves when beams part:
    which words a beam consists of is a mask. Keys and values of the [MASK] lie where the next step puts its words.

    Args:
        model: the network.
        context: labels and regions of B images.
        mask: number of the piece [MASK].
        beams: K.
        longest: most words of a caption, [CLS] counted.
    """

    def __init__(self, model: BertForImageCaptioning, context: Context, mask: int, beams: int, longest: int) -> None:
        self.model, self.beams = model, beams
        bert, shape = model.bert, model.config
        self.heads, dtype = shape.num_attention_heads, bert.img_embedding.weight.dtype
        inside = context.inside
        images, self.known = inside.shape
        slots = self.known + (longest + 1) * beams
        width = shape.hidden_size // self.heads
        self.buffer = inside.new_zeros(len(bert.layers), 2, images, self.heads, slots, width, dtype=dtype)
        self.seen = inside.new_zeros(images, beams, slots)
        self.seen[:, :, : self.known] = inside[:, None]
        self.own = torch.eye(beams, dtype=torch.bool, device=inside.device)
        self.mask = torch.full((images, 1, beams), mask, device=inside.device)
        self.length = 0
        if self.known:
            self.read(context)

    def read(self, context: Context) -> None:
        """Keys and values of the context in every layer. Of the last layer nothing else is needed."""
        bert = self.model.bert
        positions = torch.arange(context.start, context.start + context.labels.shape[1], device=self.own.device)
        labels = bert.embeddings(context.labels, positions, context.labels_inside.long())
        x = torch.cat([labels, bert.regions(context.regions.to(labels.dtype))], dim=1)
        hidden = ((~context.inside).to(x.dtype) * HIDDEN)[:, None, None]
        for number, layer in enumerate(bert.layers[:-1]):
            x = layer(x, x, self.attend(number, 0, hidden))
        last = bert.layers[-1].attention.self
        self.keep(len(bert.layers) - 1, 0, last.key(x), last.value(x))

    def keep(self, layer: int, start: int, key: Tensor, value: Tensor) -> Tensor:
        """Writes keys and values (B, n, H) to the buffer; returns all up to these, (2, B, heads, start + n, D)."""
        end = start + key.shape[1]
        self.buffer[layer, 0, :, :, start:end] = _split(key, self.heads)
        self.buffer[layer, 1, :, :, start:end] = _split(value, self.heads)
        return self.buffer[layer, :, :, :, :end]

    def attend(self, layer: int, start: int, mask: Tensor) -> Attend:
        """Attention of one layer to all that the buffer holds up to new keys and values, which it writes to ``start``.

        Args:
            layer: its number.
            start: the first slot.
            mask: (B, 1, queries or 1, keys) True for a key that is seen, or what is added to its score.
        """

        def attention(query: Tensor, key: Tensor, value: Tensor, rate: float) -> Tensor:
            k, v = self.keep(layer, start, key, value)
            return _merged(functional.scaled_dot_product_attention(_split(query, self.heads), k, v, attn_mask=mask))

        return attention

    def __call__(self, words: Tensor, origins: Tensor) -> Tensor:
        """Logits (B, K, V) of the next words.

        Args:
            words: (B, K) last word of each beam.
            origins: (B, K) which beam of the step before each one continues.
        """
        bert = self.model.bert
        start = self.known + self.length * self.beams
        middle, end = start + self.beams, start + 2 * self.beams
        self.seen = self.seen.gather(1, origins[:, :, None].expand_as(self.seen))
        self.seen[:, :, start:middle] = self.own
        sight = self.seen[:, None, :, :end].repeat(1, 2, 1, 1)  # (B, 2, K, keys): of the words, then of the [MASK]s
        sight[:, 1, :, middle:] = self.own
        sight = sight.flatten(1, 2)[:, None]
        positions = torch.tensor([[self.length], [self.length + 1]], device=words.device)
        x = bert.embeddings(torch.cat([words[:, None], self.mask], dim=1), positions, torch.zeros_like(positions))
        x = x.flatten(1, 2)
        for number, layer in enumerate(bert.layers[:-1]):
            x = layer(x, x, self.attend(number, start, sight))
        masks = x[:, self.beams :]  # only they are read
        x = bert.layers[-1](masks, x, self.attend(len(bert.layers) - 1, start, sight[:, :, self.beams :]))
        self.length += 1
        return self.model.logits(x)


class Plain:
    """Steps that compute everything anew but the scores of words at no [MASK]; arguments as for :class:`Prefix`.

    Upstream's default search does this; here it is what :class:`Prefix` has to equal.
    """

    def __init__(self, model: BertForImageCaptioning, context: Context, mask: int, beams: int) -> None:
        self.model, self.mask = model, mask
        self.context = context.repeated(beams)
        self.words = context.labels.new_zeros(len(context.labels), beams, 0)

    def __call__(self, words: Tensor, origins: Tensor) -> Tensor:
        """As :class:`Prefix`."""
        kept = self.words.gather(1, origins[:, :, None].expand_as(self.words))
        self.words = torch.cat([kept, words[:, :, None]], dim=2)
        flat = self.words.flatten(0, 1)
        masked = torch.cat([flat, torch.full_like(flat[:, :1], self.mask)], dim=1)
        x = self.model.vectors(dense(self.context, masked))
        return self.model.logits(x[:, masked.shape[1] - 1]).unflatten(0, words.shape)


def _split(x: Tensor, heads: int) -> Tensor:
    """(B, n, H) -> (B, heads, n, D)."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def _merged(x: Tensor) -> Tensor:
    """(B, heads, n, D) -> (B, n, H)."""
    return x.transpose(1, 2).flatten(2)
