"""From the best path to entities and the probability of each, inside the graph.

P(y_s..y_e | w) of the tags of an entity is p(y_s | w) times p(y_t | y_{t-1}, w) of its later words, as in
``ita.model.crf.CRF.span_log_posterior``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ita.model.export.graph import Graph
from ita.model.export.recursions import Backward, ChainScores, Forward


class Entities(NamedTuple):
    """Names of (W, B) values; 0 where no entity starts."""

    ends: str
    """Word after the last one of the entity that starts here."""
    posteriors: str
    """Probability of the entity that starts here."""


def continuation(tag_names: Sequence[str]) -> NDArray[np.bool_]:
    """(K, K) whether a word with the second tag goes on with the entity of the word before it, which has the first.

    As ``ita.data.tags.spans`` reads what ``from_bioes`` gives: leniently, for an unconstrained CRF is free to follow
    'S-PER' by 'I-PER'.
    """
    return np.array(
        [[name[0] in "IE" and name[2:] == previous[2:] for name in tag_names] for previous in tag_names], np.bool_
    )


def add_entities(
    graph: Graph,
    emissions: str,
    is_word: str,
    forward: Forward,
    backward: Backward,
    scores: ChainScores,
    tag_names: Sequence[str],
) -> Entities:
    """Entities of the best path of emissions (W, B, K), of which ``is_word`` (W, B) are words."""
    continues, log_probs = _word_log_probs(graph, emissions, is_word, forward, backward, scores, tag_names)
    # Every word that does not continue an entity begins a group; groups are counted and summed up post by post.
    begins = graph.add("Not", continues)
    number = graph.add("CumSum", graph.cast(begins, "int64"), graph.scalar(0, np.int64))
    group = graph.add("Sub", number, graph.scalar(1, np.int64))
    shape = graph.add("Shape", group)
    ones = graph.add("Expand", graph.scalar(1, np.int64), shape)
    size = _sum_by_group(graph, ones, group, graph.add("Expand", graph.scalar(0, np.int64), shape))
    log_posterior = _sum_by_group(graph, log_probs, group, graph.add("Expand", graph.scalar(0), shape))
    is_entity = graph.weight(np.array([name != "O" for name in tag_names]))
    starts = graph.add("And", begins, graph.add("And", is_word, graph.add("Gather", is_entity, backward.tags)))
    words = graph.add("Squeeze", graph.size(group, 0), graph.ints(0))
    word = graph.add("Range", graph.scalar(0, np.int64), words, graph.scalar(1, np.int64))
    end = graph.add("Add", graph.add("Unsqueeze", word, graph.ints(1)), size)
    return Entities(
        graph.add("Where", starts, end, graph.scalar(0, np.int64)),
        graph.add("Where", starts, graph.add("Exp", log_posterior), graph.scalar(0)),
    )


def _word_log_probs(
    graph: Graph,
    emissions: str,
    is_word: str,
    forward: Forward,
    backward: Backward,
    scores: ChainScores,
    tag_names: Sequence[str],
) -> tuple[str, str]:
    """(W, B) whether a word continues an entity, and the log-probability that it adds to its entity's."""
    tags = graph.add("Unsqueeze", backward.tags, graph.ints(2))

    def of_tags(values: str) -> str:
        return graph.add("Squeeze", graph.add("GatherElements", values, tags, axis=2), graph.ints(2))

    right = graph.add("Add", backward.messages, emissions)
    marginal = of_tags(graph.add("LogSoftmax", graph.add("Add", forward.messages, right), axis=2))
    # p(y_t | y_{t-1}, w): the share of a tag in the sum that the backward loop took over all tags.
    at_word = of_tags(graph.add("Sub", right, backward.scales))
    before = of_tags(backward.messages)
    previous, current = _without_last(graph, backward.tags), _without_first(graph, backward.tags)
    pair = graph.add("Add", graph.add("Mul", previous, graph.scalar(len(tag_names), np.int64)), current)
    step = graph.add("Gather", graph.weight(scores.transitions.reshape(-1)), pair)
    step = graph.add("Sub", graph.add("Add", step, _without_first(graph, at_word)), _without_last(graph, before))
    continues = graph.add("Gather", graph.weight(continuation(tag_names).reshape(-1)), pair)
    continues = graph.add("And", continues, _without_first(graph, is_word))
    none = graph.add("Expand", graph.scalar(False, np.bool_), graph.shape(1, graph.size(is_word, 1)))
    conditional = graph.add("Where", continues, step, _without_first(graph, marginal))
    first = graph.add("Slice", marginal, graph.ints(0), graph.ints(1), graph.ints(0))
    return graph.add("Concat", none, continues, axis=0), graph.add("Concat", first, conditional, axis=0)


def _without_first(graph: Graph, values: str) -> str:
    return graph.add("Slice", values, graph.ints(1), graph.ints(2**31), graph.ints(0))


def _without_last(graph: Graph, values: str) -> str:
    return graph.add("Slice", values, graph.ints(0), graph.ints(-1), graph.ints(0))


def _sum_by_group(graph: Graph, values: str, group: str, zeros: str) -> str:
    """(W, B): for each word the sum of the values (W, B) of all words of its group and post."""
    sums = graph.add("ScatterElements", zeros, group, values, axis=0, reduction="add")
    return graph.add("GatherElements", sums, group, axis=0)
