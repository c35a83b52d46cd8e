"""Scores against seqeval and against counts by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score

from ita.data.metrics import f1, report

TAG = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
PAIRS = st.lists(st.lists(st.tuples(TAG, TAG), min_size=1, max_size=6), min_size=1, max_size=4)


@given(PAIRS)
@settings(max_examples=200, deadline=None)
def test_training_f1_equals_seqeval_on_any_tags(pairs):
    gold = [[one for one, _ in post] for post in pairs]
    predicted = [[other for _, other in post] for post in pairs]
    assert f1(gold, predicted) == pytest.approx(100 * f1_score(gold, predicted, zero_division=0))


def test_lenient_and_strict_differ_on_an_orphan():
    scores = report([["O", "B-PER", "I-PER", "O"]], [["O", "I-PER", "I-PER", "O"]])
    assert scores["default"]["f1"] == 100.0
    assert scores["strict"]["f1"] == 0.0


def test_report_by_type():
    gold = [["B-PER", "O", "B-LOC"], ["B-PER", "I-PER", "O"]]
    predicted = [["B-PER", "O", "B-PER"], ["B-PER", "O", "O"]]
    scores = report(gold, predicted)["default"]
    assert (scores["precision"], scores["recall"]) == (pytest.approx(100 / 3), pytest.approx(100 / 3))
    assert scores["types"]["LOC"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert scores["types"]["PER"]["support"] == 2
    assert scores["types"]["PER"]["f1"] == pytest.approx(40.0)
