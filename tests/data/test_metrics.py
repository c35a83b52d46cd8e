"""Reports by seqeval against counts by hand."""

import pytest

from ita.data.metrics import report


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
