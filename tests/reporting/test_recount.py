"""Scores counted anew have the bits of seqeval's."""

import random

import pytest

from ita.data.metrics import report
from ita.data.tags import spans
from ita.reporting.verification.recount import differences, lenient_entities, recount

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]


@pytest.mark.parametrize("seed", range(5))
def test_random_tags_orphans_included(seed):
    draw = random.Random(seed)
    lengths = [draw.randint(1, 9) for _ in range(60)]
    gold, predicted = ([draw.choices(TAGS, k=length) for length in lengths] for _ in range(2))
    assert recount(list(zip(gold, predicted, strict=True))) == report(gold, predicted)
    for tags in gold:
        assert lenient_entities(tags) == set(spans(tags))


def test_nothing_predicted_and_types_of_one_side():
    gold, predicted = [["B-PER", "O"], ["O"]], [["O", "O"], ["B-LOC"]]
    assert recount(list(zip(gold, predicted, strict=True))) == report(gold, predicted)
    scores = recount([(["B-PER"], ["O"])])
    assert scores["default"]["f1"] == 0.0 and scores["default"]["support"] == 1


def test_differences_are_named():
    expected = {"t": {"f1": 50.0, "support": 2}}
    assert differences({"t": {"f1": 50.0 + 1e-12, "support": 2, "seconds": 1}}, expected) == []
    assert differences({"t": {"f1": 50.1}}, expected) == [
        "t.f1: found 50.1, recomputed 50.0",
        "t.support: found None, recomputed 2",
    ]
