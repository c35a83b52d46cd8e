"""The BERT family: padded subwords -> vectors of the first subwords of words.

As in ``ita.model.bert``, linear layers see the N subwords of a batch one after another, without padding, and the last
layer goes on with first subwords alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ita.model.bert import EncoderConfig, position_offset
from ita.model.export.graph import Graph

Weights = Mapping[str, NDArray[np.float32]]
"""Name of a weight in ``Bert`` -> array."""
HIDDEN_BIAS = -1e30
"""Added to the attention scores of padding."""


class PackedRows(NamedTuple):
    """How R padded rows of length T and N packed subwords go into each other; names of values."""

    slots: str
    """(N,) slot of each subword among the R * T."""
    pad_index: str
    """(R * T,) subword that fills each slot; padding repeats one."""
    bias: str
    """(R, 1, 1, T) 0 for a subword, ``HIDDEN_BIAS`` for padding."""
    rows: str
    """(1,) R."""
    length: str
    """(1,) T."""


def add_packed_rows(graph: Graph, attention_mask: str) -> tuple[PackedRows, str]:
    """Packing of the rows of a mask (R, T), and the position (N,) of each subword in its row."""
    is_subword = graph.cast(attention_mask, "bool")
    count = graph.cast(is_subword, "int64")
    flat = graph.add("Reshape", count, graph.ints(-1))
    slots = graph.add("Reshape", graph.add("NonZero", flat), graph.ints(-1))
    one, zero = graph.scalar(1, np.int64), graph.scalar(0, np.int64)
    number = graph.add("Sub", graph.add("CumSum", flat, zero), one)
    pad_index = graph.add("Max", number, zero)
    in_row = graph.add("Sub", graph.add("CumSum", count, one), one)
    positions = graph.add("Gather", graph.add("Reshape", in_row, graph.ints(-1)), slots)
    bias = graph.add("Where", is_subword, graph.scalar(0), graph.scalar(HIDDEN_BIAS))
    bias = graph.add("Unsqueeze", bias, graph.ints(1, 2))
    rows = PackedRows(slots, pad_index, bias, graph.size(attention_mask, 0), graph.size(attention_mask, 1))
    return rows, positions


def add_encoder(
    graph: Graph, weights: Weights, config: EncoderConfig, input_ids: str, attention_mask: str, first_slots: str
) -> str:
    """Last-layer vectors (M, H) of first subwords.

    Args:
        graph: gets the nodes.
        weights: of the encoder.
        config: its sizes.
        input_ids: (R, T).
        attention_mask: (R, T), 1 for a subword and 0 for padding.
        first_slots: (M,) slots of first subwords among the R * T.
    """
    rows, positions = add_packed_rows(graph, attention_mask)
    ids = graph.add("Gather", graph.add("Reshape", input_ids, graph.ints(-1)), rows.slots)
    x = _embeddings(graph, weights, config, ids, positions)
    for number in range(config.num_hidden_layers):
        layer = f"encoder.layer.{number}."
        attended = _attention(graph, weights, f"{layer}attention.self.", config, x, rows)
        # Back to packed subwords, or in the last layer to first subwords.
        last = number == config.num_hidden_layers - 1
        attended = graph.add("Gather", attended, first_slots if last else rows.slots)
        if last:
            x = graph.add("Gather", x, graph.add("Gather", rows.pad_index, first_slots))
        x = _output(graph, weights, f"{layer}attention.output.", config, attended, x)
        inner = _dense(graph, weights, f"{layer}intermediate.dense", x)
        x = _output(graph, weights, f"{layer}output.", config, _activation(graph, config, inner), x)
    return x


def _embeddings(graph: Graph, weights: Weights, config: EncoderConfig, ids: str, positions: str) -> str:
    """(N, H); all subwords are of the first token type, whose vector is added to the positions' here and now."""
    offset = position_offset(config)
    fixed = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    words = graph.add("Gather", graph.weight(weights["embeddings.word_embeddings.weight"]), ids)
    total = graph.add("Add", words, graph.add("Gather", graph.weight(fixed[offset:]), positions))
    return _normalised(graph, weights, "embeddings.LayerNorm", config, total)


def _attention(graph: Graph, weights: Weights, name: str, config: EncoderConfig, x: str, rows: PackedRows) -> str:
    """Multi-head attention (R * T, H) within rows of packed x (N, H)."""
    heads, head_size = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    parts = [(weights[f"{name}{part}.weight"], weights[f"{name}{part}.bias"]) for part in ("query", "key", "value")]
    # The scale of the scores belongs to the queries.
    scale = np.float32(head_size**-0.5)
    parts[0] = (parts[0][0] * scale, parts[0][1] * scale)
    weight, bias = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    padded = graph.add("Gather", graph.linear(x, weight, bias), rows.pad_index)
    by_head = graph.add("Reshape", padded, graph.shape(rows.rows, rows.length, 3, heads, head_size))
    query, key, value = graph.add_many("Split", 3, by_head, axis=2, num_outputs=3)
    query, value = (
        graph.add("Transpose", graph.add("Squeeze", part, graph.ints(2)), perm=[0, 2, 1, 3]) for part in (query, value)
    )
    key = graph.add("Transpose", graph.add("Squeeze", key, graph.ints(2)), perm=[0, 2, 3, 1])
    scores = graph.add("Add", graph.add("MatMul", query, key), rows.bias)
    attended = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
    attended = graph.add("Transpose", attended, perm=[0, 2, 1, 3])
    return graph.add("Reshape", attended, graph.ints(-1, config.hidden_size))


def _output(graph: Graph, weights: Weights, name: str, config: EncoderConfig, x: str, residual: str) -> str:
    """Linear layer, residual sum, normalisation."""
    total = graph.add("Add", _dense(graph, weights, f"{name}dense", x), residual)
    return _normalised(graph, weights, f"{name}LayerNorm", config, total)


def _dense(graph: Graph, weights: Weights, name: str, x: str) -> str:
    return graph.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _normalised(graph: Graph, weights: Weights, name: str, config: EncoderConfig, x: str) -> str:
    scale, bias = graph.weight(weights[f"{name}.weight"]), graph.weight(weights[f"{name}.bias"])
    return graph.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=config.layer_norm_eps)


def _activation(graph: Graph, config: EncoderConfig, x: str) -> str:
    if config.hidden_act == "relu":
        return graph.add("Relu", x)
    return graph.add("Gelu", x, approximate="none" if config.hidden_act == "gelu" else "tanh")
