"""Labels of subwords and UMT's evaluator, by hand; the golden set compares them with the official code."""

import pytest

from ita.data.label_schemes import upstream_chunks, upstream_scores, word_tags


def test_an_extra_label_at_a_word_costs_precision():
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "O"]]
    predicted = [["B-PER", "I-PER", "X", "B-LOC"], ["[SEP]", "O"]]
    scores = upstream_scores(gold, predicted)
    assert scores["precision"] == pytest.approx(100 * 2 / 4), "X and [SEP] are entities"
    assert (scores["recall"], scores["support"]) == (100.0, 2)
    assert scores["f1"] == pytest.approx(100 * 2 * 2 / (4 + 2))
    assert upstream_scores(gold, gold)["f1"] == 100.0


def test_nothing_found_scores_zero():
    assert upstream_scores([], []) == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert upstream_scores([["O"]], [["X"]])["precision"] == 0.0
    assert upstream_scores([["B-PER"]], [["O"]]) == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}


def test_extra_labels_side_by_side_are_one_entity():
    assert upstream_chunks(["X", "X", "O", "X"]) == [("X", 0, 2), ("X", 3, 4)]
    assert upstream_chunks(["B-PER", "B-PER", "I-LOC"]) == [("PER", 0, 1), ("PER", 1, 2), ("LOC", 2, 3)]


def test_words_without_subwords_are_outside():
    assert word_tags(["[CLS]", "B-PER", "X", "X", "[SEP]"], [1, -1, 3]) == ["B-PER", "O", "O"]
    assert word_tags(["[CLS]", "B-PER", "X", "X", "[SEP]"], [1, -1, 3], extra=None) == ["B-PER", "O", "X"]
