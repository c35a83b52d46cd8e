"""Counts per post against seqeval and against counts by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score

from ita.significance.counts import count_boundaries, count_spans, micro_f1, span_sets, type_accuracy

TAG = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
POSTS = st.lists(st.lists(st.tuples(TAG, TAG), min_size=1, max_size=7), min_size=1, max_size=4)


def gold_and_predicted(posts):
    return [[gold for gold, _ in post] for post in posts], [[predicted for _, predicted in post] for post in posts]


@pytest.mark.filterwarnings("ignore::seqeval.metrics.v1.UndefinedMetricWarning")
@given(POSTS)
@settings(max_examples=150, deadline=None)
def test_micro_f1_equals_seqevals_default_mode(posts):
    gold, predicted = gold_and_predicted(posts)
    counts = count_spans(gold, predicted)
    assert counts.shape == (len(gold), 3)
    assert micro_f1(counts) == pytest.approx(100 * f1_score(gold, predicted, zero_division=0))


@given(POSTS)
@settings(max_examples=100, deadline=None)
def test_counts_of_types_add_up(posts):
    gold, predicted = gold_and_predicted(posts)
    total = count_spans(gold, predicted)
    np.testing.assert_array_equal(total, sum(count_spans(gold, predicted, kind) for kind in ("PER", "LOC")))
    boundaries = count_boundaries(span_sets(gold, predicted))
    np.testing.assert_array_equal(boundaries[:, 1:], total[:, 1:])
    assert (boundaries[:, 0] >= total[:, 0]).all()


def test_counts_by_hand():
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "O"], ["B-PER", "O"]]
    predicted = [["B-PER", "I-PER", "O", "B-PER"], ["O", "I-LOC"], ["O", "O"]]
    counts = count_spans(gold, predicted)
    assert counts.tolist() == [[1, 2, 2], [0, 1, 0], [0, 0, 1]]
    assert count_spans(gold, predicted, "LOC").tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]
    boundaries = count_boundaries(span_sets(gold, predicted))
    assert boundaries.tolist() == [[2, 2, 2], [0, 1, 0], [0, 0, 1]]
    assert type_accuracy(counts, boundaries) == 50.0
    assert type_accuracy(counts[2:], boundaries[2:]) is None
    assert micro_f1(counts) == pytest.approx(200 / 6)
    assert isinstance(micro_f1(counts), float)


def test_scores_of_many_runs_at_once():
    random = np.random.default_rng(0)
    runs = random.integers(0, 3, size=(2, 4, 9, 3))
    runs[..., 1:] += runs[..., :1]
    scores = micro_f1(runs)
    assert scores.shape == (2, 4)
    assert scores[1, 2] == pytest.approx(micro_f1(runs[1, 2]))
    assert micro_f1(np.zeros((2, 5, 3), dtype=int)).tolist() == [0.0, 0.0]
    assert micro_f1(count_spans([], [])) == 0.0


def test_tags_of_other_posts_are_refused():
    with pytest.raises(ValueError, match="gold tags of 1 posts, predicted tags of 2"):
        count_spans([["O"]], [["O"], ["O"]])
    with pytest.raises(ValueError, match="post 1: 2 gold tags, 1 predicted"):
        count_spans([["O"], ["O", "O"]], [["O"], ["O"]])
