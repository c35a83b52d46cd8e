"""Counts per post against seqeval and against counts by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from ita.significance import counts as scoring
from ita.significance.counts import counts, f1, precision, recall, span_only, strict_spans, typing_accuracy

TAG = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
PAIRS = st.lists(st.lists(st.tuples(TAG, TAG), min_size=1, max_size=7), min_size=1, max_size=4)
SCORES = ((precision, precision_score), (recall, recall_score), (f1, f1_score))


def both(pairs):
    return [[one for one, _ in post] for post in pairs], [[other for _, other in post] for post in pairs]


@pytest.mark.filterwarnings("ignore::seqeval.metrics.v1.UndefinedMetricWarning")
@given(PAIRS)
@settings(max_examples=150, deadline=None)
def test_micro_scores_equal_seqevals_in_both_modes(pairs):
    gold, predicted = both(pairs)
    for strict in (False, True):
        mode = {"mode": "strict", "scheme": IOB2} if strict else {}
        ours = counts(gold, predicted, strict=strict)
        assert ours.shape == (len(gold), 3)
        if not ours[:, 1:].any():
            continue  # seqeval's strict mode fails without any entity
        for score, theirs in SCORES:
            assert score(ours) == pytest.approx(100 * theirs(gold, predicted, zero_division=0, **mode))


@given(PAIRS)
@settings(max_examples=100, deadline=None)
def test_counts_add_up(pairs):
    gold, predicted = both(pairs)
    for strict in (False, True):
        whole = counts(gold, predicted, strict=strict)
        parts = [counts(gold, predicted, types=kind, strict=strict) for kind in ("PER", "LOC")]
        np.testing.assert_array_equal(whole, sum(parts))
        np.testing.assert_array_equal(whole, counts(gold, predicted, types=["LOC", "PER"], strict=strict))
        bounded = span_only(scoring.pairs(gold, predicted, strict))
        np.testing.assert_array_equal(bounded[:, 1:], whole[:, 1:])
        assert (bounded[:, 0] >= whole[:, 0]).all()


def test_counts_by_hand():
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "O"], ["B-PER", "O"]]
    predicted = [["B-PER", "I-PER", "O", "B-PER"], ["O", "I-LOC"], ["O", "O"]]
    assert counts(gold, predicted).tolist() == [[1, 2, 2], [0, 1, 0], [0, 0, 1]]
    assert counts(gold, predicted, types="LOC").tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert counts(gold, predicted, strict=True).tolist() == [[1, 2, 2], [0, 0, 0], [0, 0, 1]]
    bounded = span_only(scoring.pairs(gold, predicted))
    assert bounded.tolist() == [[2, 2, 2], [0, 1, 0], [0, 0, 1]]
    assert typing_accuracy(counts(gold, predicted), bounded) == 50.0
    assert typing_accuracy(counts(gold[2:], predicted[2:]), bounded[2:]) is None
    assert f1(counts(gold, predicted)) == pytest.approx(200 / 6)
    assert isinstance(f1(counts(gold, predicted)), float)


def test_scores_of_many_runs_at_once():
    random = np.random.default_rng(0)
    runs = random.integers(0, 3, size=(2, 4, 9, 3))
    runs[..., 1:] += runs[..., :1]
    for score in (precision, recall, f1):
        scores = score(runs)
        assert scores.shape == (2, 4)
        assert scores[1, 2] == pytest.approx(score(runs[1, 2]))
    assert f1(np.zeros((2, 5, 3), dtype=int)).tolist() == [0.0, 0.0]
    assert f1(counts([], [])) == 0.0


def test_strict_spans_of_invalid_tags():
    assert strict_spans(["I-PER", "B-PER", "I-LOC", "I-LOC", "B-LOC", "I-LOC"]) == [(1, 2, "PER"), (4, 6, "LOC")]


def test_tags_of_other_posts_are_refused():
    with pytest.raises(ValueError, match="gold tags of 1 posts, predicted tags of 2"):
        counts([["O"]], [["O"], ["O"]])
    with pytest.raises(ValueError, match="post 1: 2 gold tags, 1 predicted"):
        counts([["O"], ["O", "O"]], [["O"], ["O"]])
