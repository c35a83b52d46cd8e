"""Repair of tags, spans, BIOES."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ita.data.tags import Span, from_bioes, illegal_transitions, repair, spans, tag_set, to_bioes

TAGS = st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), max_size=8)


@pytest.mark.parametrize(
    ("tags", "repaired"),
    [
        ("O I-PER I-PER O", "O B-PER I-PER O"),
        ("I-PER I-LOC", "B-PER B-LOC"),
        ("B-PER I-LOC I-LOC", "B-PER B-LOC I-LOC"),
        ("B-PER I-PER O B-LOC", "B-PER I-PER O B-LOC"),
    ],
)
def test_repair_by_hand(tags, repaired):
    fixed, changed = repair(tags.split())
    assert fixed == repaired.split()
    assert changed == sum(a != b for a, b in zip(tags.split(), repaired.split(), strict=True))


@given(TAGS)
def test_repair_gives_valid_tags_with_the_same_spans(tags):
    fixed, changed = repair(tags)
    assert spans(fixed) == spans(tags)
    assert changed == sum(a != b for a, b in zip(tags, fixed, strict=True))
    for previous, tag in zip(["O", *fixed], fixed, strict=False):
        assert not tag.startswith("I-") or previous[2:] == tag[2:]


def test_illegal_transitions_by_hand():
    tags = ["I-PER", "I-PER", "O", "I-LOC", "B-PER", "I-LOC", "I-PER", "O", "O", "I-LOC"]
    assert illegal_transitions(tags) == ["start I-PER", "O I-LOC", "B-PER I-LOC", "I-LOC I-PER", "O I-LOC"]
    assert not illegal_transitions(["B-PER", "I-PER", "B-PER", "O", "B-LOC", "I-LOC"])
    assert not illegal_transitions([])


@given(TAGS)
def test_illegal_transitions_are_what_is_repaired(tags):
    fixed, changed = repair(tags)
    assert len(illegal_transitions(tags)) == changed
    assert not illegal_transitions(fixed)


def test_spans_by_hand():
    tags = ["B-PER", "I-PER", "B-PER", "O", "I-LOC", "I-PER"]
    assert spans(tags) == [Span(0, 2, "PER"), Span(2, 3, "PER"), Span(4, 5, "LOC"), Span(5, 6, "PER")]
    assert spans([]) == []


@given(TAGS)
def test_bioes_and_back(tags):
    fixed, _ = repair(tags)
    bioes = to_bioes(fixed)
    assert from_bioes(bioes) == fixed
    assert set(bioes) <= set(tag_set(["PER", "LOC"]))
    for start, end, entity_type in spans(fixed):
        assert bioes[end - 1] == ("S-" if end - start == 1 else "E-") + entity_type


def test_orphans_of_a_model_stay_orphans():
    assert from_bioes(["E-PER", "I-LOC", "S-PER", "O"]) == ["I-PER", "I-LOC", "B-PER", "O"]


def test_tag_sets_have_a_fixed_order():
    names = ["O", "B-LOC", "I-LOC", "E-LOC", "S-LOC", "B-PER", "I-PER", "E-PER", "S-PER"]
    assert tag_set(["PER", "LOC", "PER"]) == names
