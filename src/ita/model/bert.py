"""BERT (Devlin et al. 2019) and its family on packed pieces.

Every linear layer, activation and normalisation sees the N pieces of a batch one after another, and only attention
sees rows: nothing is computed for padding. Nor is anything in the last layer for pieces that represent no word: of
those only keys and values are needed there. Weights go by the names that transformers gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ita.corpus.batches import Batch, Bounds, Padding

FAMILY = {"bert", "roberta", "xlm-roberta", "camembert"}
"""Model types with BERT's layers: attention, then feed-forward, each normalised after the residual sum."""
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
}


@dataclass(frozen=True)
class Shape:
    """What config.json says of a model; defaults are BERT's."""

    model_type: str = "bert"
    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    file: Mapping[str, Any] = field(default_factory=dict)
    """The whole of config.json."""

    @classmethod
    def of(cls, file: Mapping[str, Any]) -> Shape:
        """The shape in a config.json."""
        known = {name: file[name] for name in cls.__dataclass_fields__ if file.get(name) is not None and name != "file"}
        return cls(**known, file=file)


def packable(config: Mapping[str, Any]) -> bool:
    """Whether the model of a config.json can be run on packed pieces."""
    return (
        config.get("model_type") in FAMILY
        and config.get("position_embedding_type", "absolute") == "absolute"
        and config.get("hidden_act", "gelu") in ACTIVATIONS
        and not config.get("is_decoder")
        and not config.get("add_cross_attention")
    )


class Bert(nn.Module):
    """The encoder; parameters as ``Shape`` says, values to be loaded or drawn."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.config = shape
        self.embeddings = Embeddings(shape)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))

    def draw(self) -> None:
        """Random weights, as transformers draws them for a new model."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=self.config.initializer_range)
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                nn.init.zeros_(module.weight[module.padding_idx])
            if isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
            if isinstance(module, nn.Linear | nn.LayerNorm):
                nn.init.zeros_(module.bias)

    def forward(self, batch: Batch, jagged: bool = False) -> Tensor:
        """Last-layer vectors (M, H) of the pieces that represent words.

        Args:
            batch: N pieces in R rows, M of them read.
            jagged: attention over rows of any length by PyTorch's variable-length kernel; else queries, keys and values
                are padded, each group of rows to its own longest.
        """
        attend = _jagged if jagged else _grouped
        x = self.embeddings(batch)
        layers = list(self.encoder.layer)  # type: ignore[arg-type]
        for layer in layers:
            x = layer(x, batch, attend, layer is layers[-1])
        return x


class Embeddings(nn.Module):
    """Word, position and token type."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        # Families that count positions from behind the padding index never learn at that index.
        offset = position_offset(shape)
        self.word_embeddings = table(shape.vocab_size, shape, shape.pad_token_id)
        self.position_embeddings = table(shape.max_position_embeddings, shape, shape.pad_token_id if offset else None)
        self.token_type_embeddings = table(shape.type_vocab_size, shape, None)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.offset = offset
        self.rate = shape.hidden_dropout_prob

    def forward(self, batch: Batch) -> Tensor:
        """(N, H)."""
        x = self.word_embeddings(batch.ids) + self.position_embeddings(batch.positions + self.offset)
        return dropout(self.LayerNorm(x + self.token_type_embeddings.weight[0]), self.rate, self.training)


def table(rows: int, shape: Shape, padding: int | None) -> nn.Embedding:
    """An embedding table without values: on the meta device, drawing some would import torch's compiler."""
    return nn.Embedding.from_pretrained(torch.empty(rows, shape.hidden_size), freeze=False, padding_idx=padding)


class Layer(nn.Module):
    """Attention and feed-forward."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention = Attention(shape)
        self.intermediate = nn.Module()
        self.intermediate.dense = nn.Linear(shape.hidden_size, shape.intermediate_size)
        self.output = Output(shape.intermediate_size, shape)
        self.act = ACTIVATIONS[shape.hidden_act]

    def forward(self, x: Tensor, batch: Batch, attend: Callable[..., Tensor], last: bool) -> Tensor:
        """(N, H) -> (N, H), or (M, H) for the last layer, which is asked only for the pieces that are read."""
        asked = x[batch.read] if last else x
        x = self.attention(asked, x, batch, attend, last)
        return self.output(self.act(self.intermediate.dense(x)), x)  # type: ignore[operator]


class Attention(nn.Module):
    """Multi-head attention of rows."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self = nn.Module()
        for name in ("query", "key", "value"):
            setattr(self.self, name, nn.Linear(shape.hidden_size, shape.hidden_size))
        self.output = Output(shape.hidden_size, shape)
        self.heads = shape.num_attention_heads
        self.rate = shape.attention_probs_dropout_prob

    def forward(self, asked: Tensor, x: Tensor, batch: Batch, attend: Callable[..., Tensor], last: bool) -> Tensor:
        """Queries of ``asked``, (N, H) or (M, H); keys and values of ``x`` (N, H)."""
        own: Any = self.self
        rate = self.rate if self.training else 0.0
        return self.output(attend(own.query(asked), own.key(x), own.value(x), batch, last, self.heads, rate), asked)


class Output(nn.Module):
    """Linear layer, dropout, residual sum, normalisation."""

    def __init__(self, inner: int, shape: Shape) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, shape.hidden_size)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.rate = shape.hidden_dropout_prob

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """(n, inner) -> (n, H)."""
        return self.LayerNorm(dropout(self.dense(x), self.rate, self.training) + residual)


def position_offset(config: Any) -> int:
    """Number of the first position: families after RoBERTa count from behind the padding index."""
    return (config.pad_token_id or 0) + 1 if config.model_type in OFFSETS else 0


OFFSETS = {"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm", "xmod", "longformer"}


def _grouped(
    query: Tensor, key: Tensor, value: Tensor, batch: Batch, words_only: bool, heads: int, rate: float
) -> Tensor:
    """Attention of packed rows, padded within each group.

    Args:
        query: (N, H), or (M, H) with ``words_only``.
        key: (N, H).
        value: (N, H).
        batch: the rows.
        words_only: the queries are the M pieces that are read.
        heads: number of heads, which divides H.
        rate: dropout of the attention probabilities.

    Returns:
        One vector per query, like ``query``.
    """
    keys = [group.pieces for group in batch.groups]
    queries = [group.read for group in batch.groups] if words_only else keys
    sizes = [len(padding.slots) for padding in keys]
    asked_sizes = [len(padding.slots) for padding in queries]
    parts = zip(query.split(asked_sizes), key.split(sizes), value.split(sizes), strict=True)
    outputs = []
    for (q, k, v), asked, known in zip(parts, queries, keys, strict=True):
        q, k, v = _Pad.apply(q, asked), _Pad.apply(k, known), _Pad.apply(v, known)
        q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
        mask = None if known.full else known.inside[:, None, None, :]
        outputs.append(_Unpad.apply(_attention(q, k, v, mask, rate).transpose(1, 2).flatten(2), asked))
    return torch.cat(outputs)


def _jagged(
    query: Tensor, key: Tensor, value: Tensor, batch: Batch, words_only: bool, heads: int, rate: float
) -> Tensor:
    """Attention of packed rows by the variable-length kernel; arguments as for :func:`_grouped`."""

    def nested(x: Tensor, bounds: Bounds) -> Tensor:
        rows = torch.nested.nested_tensor_from_jagged(
            x.unflatten(1, (heads, -1)), bounds.offsets, min_seqlen=1, max_seqlen=bounds.longest
        )
        return rows.transpose(1, 2)

    asked = batch.read_bounds if words_only else batch.piece_bounds
    q, k, v = nested(query, asked), nested(key, batch.piece_bounds), nested(value, batch.piece_bounds)
    return functional.scaled_dot_product_attention(q, k, v, dropout_p=rate).transpose(1, 2).values().flatten(1)


def _attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, rate: float) -> Tensor:
    """softmax(q k' / sqrt(D)) v over (R, heads, T, D); with dropout a CPU is faster without the fused kernel."""
    if not rate or q.device.type != "cpu":
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return (scores.softmax(-1) * keep(scores, rate)) @ v


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """Zeroes elements with probability ``rate`` in training and scales the others."""
    if not (training and rate):
        return x
    return x * keep(x, rate) if x.device.type == "cpu" else functional.dropout(x, rate)


def keep(x: Tensor, rate: float) -> Tensor:
    """Factors of dropout for ``x``: 0 with probability ``rate`` (to 1/65536), else 1 / (1 - rate).

    One 64-bit draw serves four elements: torch's own Bernoulli draws take seven times as long on a CPU.
    """
    kept = 65536 - round(rate * 65536)
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    chosen = draws.view(torch.int16)[: x.numel()].view(x.shape) < kept - 32768
    return chosen.to(x.dtype).mul_(65536 / kept)


class _Pad(torch.autograd.Function):
    """Packed items (n, H) -> (R, T, H). Each item has one slot, so the gradient is read, not added up."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: Padding) -> Tensor:
        ctx.padding = padding
        rows, width = padding.index.shape
        full = x if padding.full else x.index_select(0, padding.index.flatten())
        return full.view(rows, width, x.shape[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        grad = grad.reshape(-1, grad.shape[2])
        return grad if ctx.padding.full else grad.index_select(0, ctx.padding.slots), None


class _Unpad(torch.autograd.Function):
    """(R, T, H) -> packed items (n, H); empty slots get no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: Padding) -> Tensor:
        ctx.padding, ctx.shape = padding, x.shape
        flat = x.reshape(-1, x.shape[2])
        return flat.clone() if padding.full else flat.index_select(0, padding.slots)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        if ctx.padding.full:
            return grad.view(ctx.shape), None
        spread = grad.index_select(0, ctx.padding.index.flatten()).view(ctx.shape)
        return spread.mul_(ctx.padding.inside.unsqueeze(2)), None
