"""The encoder's vectors of the words of a batch, with as little padding as the device allows.

Encoders of the BERT family are run on packed pieces: every linear layer, activation and normalisation sees the N
pieces of a batch one after another, and only attention sees rows. Their weights and modules are those of transformers;
what differs is that nothing is computed for padding, nor in the last layer for pieces that represent no word: of those
only keys and values are needed there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ita.corpus.batches import Batch, Padding

FAMILY = {"bert", "roberta", "xlm-roberta", "camembert"}
"""Model types whose layers are BERT's: attention, then feed-forward, each normalised after the residual sum."""
OFFSETS = {"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm", "xmod", "longformer"}
"""Model types whose first positions are taken by the padding index."""


def packable(config: Any) -> bool:
    """Whether an encoder of this configuration can be run on packed pieces."""
    usual = getattr(config, "position_embedding_type", "absolute") in (None, "absolute")
    return config.model_type in FAMILY and usual and not config.is_decoder and not config.add_cross_attention


def position_offset(config: Any) -> int:
    """Number of the first position."""
    return (config.pad_token_id or 0) + 1 if config.model_type in OFFSETS else 0


def word_vectors(encoder: Any, batch: Batch, padding: str) -> Tensor:
    """Last-layer vectors (M, H) of the pieces that represent words.

    Args:
        encoder: a transformers model that returns ``last_hidden_state``.
        batch: N pieces in R rows, M of them read.
        padding: what is padded: ``none`` (attention over rows of any length, as jagged tensors), ``attention`` (only
            queries, keys and values, each view to its own longest row), or ``all`` (the encoder's own forward pass).
    """
    if padding == "all":
        return _padded(encoder, batch)
    return _packed(encoder, batch, jagged if padding == "none" else grouped)


def _padded(encoder: Any, batch: Batch) -> Tensor:
    """The encoder's own forward pass, one per group of rows."""
    offset = position_offset(encoder.config)
    vectors = []
    sizes = [len(group.pieces.slots) for group in batch.groups]
    for group, ids, positions in zip(batch.groups, batch.ids.split(sizes), batch.positions.split(sizes), strict=True):
        index, inside = group.pieces.index, group.pieces.inside
        # Said only where the encoder would derive them from the number of the padding piece.
        places = {"position_ids": torch.where(inside, positions[index] + offset, offset - 1)} if offset else {}
        hidden = encoder(input_ids=ids[index], attention_mask=inside.long(), **places).last_hidden_state
        vectors.append(hidden.flatten(0, 1)[group.pieces.slots])
    return torch.cat(vectors)[batch.read]


def _packed(encoder: Any, batch: Batch, attend: Any) -> Tensor:
    """BERT (Devlin et al. 2019) on packed pieces; modules and names are those of transformers' BertModel."""
    table, layers = encoder.embeddings, encoder.encoder.layer
    x = table.word_embeddings(batch.ids) + table.position_embeddings(batch.positions + position_offset(encoder.config))
    x = dropout(table.LayerNorm(x + table.token_type_embeddings.weight[0]), table.dropout)
    for layer in layers:
        attention, output = layer.attention.self, layer.attention.output
        last = layer is layers[-1]
        # The last layer is asked only for the pieces that are read.
        residual = x[batch.read] if last else x
        rate = attention.dropout.p if attention.training else 0.0
        heads = attention.num_attention_heads
        y = attend(attention.query(residual), attention.key(x), attention.value(x), batch, last, heads, rate)
        x = output.LayerNorm(dropout(output.dense(y), output.dropout) + residual)
        x = layer.output.LayerNorm(dropout(layer.output.dense(layer.intermediate(x)), layer.output.dropout) + x)
    return x


def grouped(
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
    parts = zip(
        query.split([len(padding.slots) for padding in queries]), key.split(sizes), value.split(sizes), strict=True
    )
    outputs = []
    for (q, k, v), asked, known in zip(parts, queries, keys, strict=True):
        q, k, v = _Pad.apply(q, asked), _Pad.apply(k, known), _Pad.apply(v, known)
        q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
        mask = None if known.full else known.inside[:, None, None, :]
        outputs.append(_Unpad.apply(_attention(q, k, v, mask, rate).transpose(1, 2).flatten(2), asked))
    return torch.cat(outputs)


def jagged(
    query: Tensor, key: Tensor, value: Tensor, batch: Batch, words_only: bool, heads: int, rate: float
) -> Tensor:
    """Attention of packed rows by PyTorch's variable-length kernel; arguments as for :func:`grouped`."""

    def nested(x: Tensor, bounds: Any) -> Tensor:
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


def dropout(x: Tensor, module: nn.Dropout) -> Tensor:
    """What ``module`` does, faster on a CPU."""
    if not (module.training and module.p):
        return x
    return x * keep(x, module.p) if x.device.type == "cpu" else module(x)


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
