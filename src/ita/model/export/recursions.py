"""The loops of the CRF over the words of all posts at once: two ``Scan`` nodes, forward and back.

Sums are log-sums with each maximum taken off, so that no score overflows and forbidden transitions stay exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto

from ita.model.export.graph import Graph, value


class ChainScores(NamedTuple):
    """Scores of a CRF, constraints applied."""

    transitions: NDArray[np.float32]
    """(K, K), (from, to)."""
    start: NDArray[np.float32]
    """(K,)."""
    end: NDArray[np.float32]
    """(K,)."""


class Forward(NamedTuple):
    """Names of what the forward loop computes."""

    messages: str
    """(W, B, K) log alpha up to a constant per word, without the word's emission."""
    scales: str
    """(W, B, 1) the constant taken off at each word for the next."""
    best_scores: str
    """(W, B, K) score of the best path that ends in a tag."""


class Backward(NamedTuple):
    """Names of what the backward loop computes."""

    messages: str
    """(W, B, K) log beta up to a constant per word, without the word's emission."""
    scales: str
    """(W, B, 1) the constant taken off at each word for the one before it."""
    tags: str
    """(W, B) the best path; anything in padding."""


def add_forward(graph: Graph, emissions: str, scores: ChainScores, to_from: str) -> Forward:
    """The forward loop over emissions (W, B, K); ``to_from`` is the name of the transitions (K, K) in that order."""
    posts = graph.size(emissions, 1)
    tags = len(scores.start)
    first = graph.add("Expand", graph.weight(scores.start), graph.shape(posts, tags))
    body = _forward_body(tags, to_from)
    names = graph.add_many("Scan", 5, first, first, emissions, body=body, num_scan_inputs=1)
    return Forward(*names[2:])


def _forward_body(tags: int, to_from: str) -> GraphProto:
    body = Graph("forward_")
    state = body.add("Add", "alpha", "emission")
    scale = body.add("ReduceMax", state, body.ints(1), keepdims=1)
    body.rename(_log_sum(body, body.add("Sub", state, scale), to_from), "next_alpha")
    score = body.add("Add", "best", "emission")
    sums = body.add("Add", body.add("Unsqueeze", score, body.ints(1)), to_from)
    body.rename(body.add("ReduceMax", sums, body.ints(2), keepdims=0), "next_best")
    body.rename("alpha", "alpha_here")
    body.rename(scale, "alpha_scale")
    body.rename(score, "best_score")
    shape = ("posts", tags)
    return body.proto(
        "forward",
        [value(name, "float", *shape) for name in ("alpha", "best", "emission")],
        [
            *(value(name, "float", *shape) for name in ("next_alpha", "next_best", "alpha_here")),
            value("alpha_scale", "float", "posts", 1),
            value("best_score", "float", *shape),
        ],
    )


def _log_sum(body: Graph, state: str, scores: str) -> str:
    """(B, K): for each row of ``scores`` (K, K) the log-sum of it and the state (B, K)."""
    sums = body.add("Add", body.add("Unsqueeze", state, body.ints(1)), scores)
    return body.add("ReduceLogSumExp", sums, body.ints(2), keepdims=0)


def add_backward(
    graph: Graph, emissions: str, is_word: str, forward: Forward, scores: ChainScores, to_from: str
) -> Backward:
    """The loop from the last word to the first: log beta and the best path.

    Args:
        graph: gets the nodes.
        emissions: (W, B, K).
        is_word: (W, B) True for a word, False for padding.
        forward: what the forward loop found.
        scores: of the CRF.
        to_from: name of the transitions (K, K), (to, from).
    """
    posts = graph.size(emissions, 1)
    tags = len(scores.start)
    last = graph.add("Expand", graph.weight(scores.end), graph.shape(posts, tags))
    body = _backward_body(tags, graph.weight(scores.transitions), to_from)
    reverse = {"scan_input_directions": [1, 1, 1], "scan_output_directions": [1, 1, 1]}
    inputs = (last, last, emissions, forward.best_scores, is_word)
    names = graph.add_many("Scan", 5, *inputs, body=body, num_scan_inputs=3, **reverse)
    return Backward(*names[2:])


def _backward_body(tags: int, from_to: str, to_from: str) -> GraphProto:
    """One step; until the last word of a post its states stay those of the end."""
    body = Graph("backward_")
    word = body.add("Unsqueeze", "is_word", body.ints(1))
    state = body.add("Add", "beta", "emission")
    scale = body.add("ReduceMax", state, body.ints(1), keepdims=1)
    log_sum = _log_sum(body, body.add("Sub", state, scale), from_to)
    body.rename(body.add("Where", word, log_sum, "beta"), "next_beta")
    # From here the best path goes on: to the end, or to the tag of the next word.
    tag = body.add("ArgMax", body.add("Add", "best_score", "onward"), axis=1, keepdims=0)
    body.rename(body.add("Where", word, body.add("Gather", to_from, tag), "onward"), "next_onward")
    body.rename("beta", "beta_here")
    body.rename(scale, "beta_scale")
    body.rename(tag, "tag")
    shape = ("posts", tags)
    return body.proto(
        "backward",
        [
            *(value(name, "float", *shape) for name in ("beta", "onward", "emission", "best_score")),
            value("is_word", "bool", "posts"),
        ],
        [
            *(value(name, "float", *shape) for name in ("next_beta", "next_onward", "beta_here")),
            value("beta_scale", "float", "posts", 1),
            value("tag", "int64", "posts"),
        ],
    )


def add_log_partition(
    graph: Graph, emissions: str, lengths: str, is_word: str, forward: Forward, scores: ChainScores
) -> str:
    """log Z (B,): log-sum over all K^W sequences."""
    last_word = graph.add("Sub", lengths, graph.scalar(1, np.int64))
    posts = graph.add("Range", graph.scalar(0, np.int64), graph.add("Size", lengths), graph.scalar(1, np.int64))
    columns = [graph.add("Unsqueeze", column, graph.ints(1)) for column in (last_word, posts)]
    index = graph.add("Concat", *columns, axis=1)
    final = graph.add("GatherND", graph.add("Add", forward.messages, emissions), index)
    final = graph.add("Add", final, graph.weight(scores.end))
    final = graph.cast(graph.add("ReduceLogSumExp", final, graph.ints(1), keepdims=0), "double")
    # What was taken off before the last word: a sum of up to W large numbers.
    scales = graph.add("Squeeze", forward.scales, graph.ints(2))
    later = graph.add("Slice", is_word, graph.ints(1), graph.ints(2**31), graph.ints(0))
    none = graph.add("Expand", graph.scalar(False, np.bool_), graph.shape(1, graph.size(lengths, 0)))
    kept = graph.add("Concat", later, none, axis=0)
    removed = graph.cast(graph.add("Where", kept, scales, graph.scalar(0)), "double")
    return graph.cast(graph.add("Add", final, graph.add("ReduceSum", removed, graph.ints(0), keepdims=0)), "float")
