"""Linearisation of objects, captions and texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ita.config import Context
from ita.data.visual_context import (
    EMPTY,
    SEPARATOR,
    VisualContext,
    character_alignment,
    compose,
    concatenate,
    count_words,
    cyclic_permutation,
    global_alignment,
    image_context,
    join,
    join_texts,
    local_alignment,
    separator,
    split_words,
    truncate,
)

WORD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda word: word.isprintable() and len(word.split()) == 1 and word.split()[0] == word
)
CONTEXTS = st.builds(
    lambda texts: join(VisualContext(words, ["ga"] * len(words)) for words in texts),
    st.lists(st.lists(WORD, max_size=3), max_size=4),
)


def objects(*items):
    return [
        {"label": label, "attributes": [{"label": name, "score": score} for name, score in attributes]}
        for label, attributes in items
    ]


def test_attributes_come_before_their_object():
    rows = objects(("car", [("red", 0.9), ("parked", 0.2), ("old", 0.1)]), ("tennis racket", []))
    assert local_alignment(rows, 0.1, 3, 100).words == ["red", "parked", "car", "tennis", "racket"]
    assert local_alignment(rows, 0.1, 1, 100).words == ["red", "car", "tennis", "racket"]
    assert local_alignment(rows, 0.1, 0, 100) == VisualContext(["car", "tennis", "racket"], ["la"] * 3)


def test_an_attribute_without_a_score_is_read():
    rows = objects(("car", [("red", None), ("old", 0.05)])) + [{"label": "dog", "attributes": None}]
    assert local_alignment(rows, 0.1, 3, 100).words == ["red", "car", "dog"]


def test_the_number_of_tags_is_limited():
    rows = objects(*[("a", [("b", 0.5)])] * 60)
    assert local_alignment(rows, 0.1, 3, 100).words == ["b", "a"] * 50
    assert local_alignment(rows, 0.1, 3, 99).words == ["b", "a"] * 49


def test_captions_are_joined_by_the_separator():
    context = global_alignment(["a man", "", "a dog"], 5)
    assert context == VisualContext(["a", "man", "<EOS>", "a", "dog"], ["ga", "ga", SEPARATOR, "ga", "ga"])
    assert context.word_count == 4
    assert global_alignment(["a", "b", "c"], 2).words == ["a", "<EOS>", "b"]


def test_words_lose_unprintable_characters_only():
    assert split_words("a\u200bb \x00 c\nd\u00a0e", "any").words == ["ab", "c", "d", "e"]


def test_empty_contexts_get_no_separator():
    assert concatenate([]) == join([]) == join([EMPTY, character_alignment(" \n")]) == VisualContext([], [])
    assert join([EMPTY, split_words("a", "la"), EMPTY, split_words("b", "oca")]).kinds == ["la", SEPARATOR, "oca"]


def test_budget_counts_words_and_not_separators():
    context = global_alignment(["a b", "c d"], 5)
    assert truncate(context, 3) == (VisualContext(["a", "b", "<EOS>", "c"], ["ga", "ga", SEPARATOR, "ga"]), 1)
    assert truncate(context, 2) == (VisualContext(["a", "b"], ["ga", "ga"]), 2)
    assert truncate(context, 0) == (VisualContext([], []), 4)
    assert truncate(context, None) == (context, 0)


@pytest.mark.parametrize("budget", [1, 2])
def test_a_budget_drops_separators_at_the_end(budget):
    context = concatenate([split_words("a", "ga"), separator()])
    assert truncate(context, budget) == (split_words("a", "ga"), 0)
    assert truncate(context, None) == (context, 0)


@given(CONTEXTS, st.integers(0, 8))
def test_a_budget_leaves_the_first_words(context, budget):
    start, truncated = truncate(context, budget)
    assert start.word_count == min(budget, context.word_count) == context.word_count - truncated
    assert list(start.words) == list(context.words[: len(start.words)])
    assert list(start.kinds) == list(context.kinds[: len(start.kinds)])
    assert not start.kinds or start.kinds[-1] != SEPARATOR


@given(CONTEXTS)
def test_segments_make_the_same_context_again(context):
    assert join_texts(context.segments(), "ga") == context


def test_the_name_of_the_separator_in_a_text_is_a_word():
    context = join([split_words("a <EOS> b", "oca"), split_words("c", "oca")])
    assert context.word_count == 4
    assert context.segments() == ["a <EOS> b", "c"]


def test_runs_are_the_text_of_each_kind():
    context = concatenate([split_words("red car", "la"), global_alignment(["a man", "a dog"], 2)])
    assert context.runs() == [("la", "red car"), ("ga", "a man"), ("ga", "a dog")]
    assert context.segments() == ["red car a man", "a dog"]


def test_rows_of_an_image_are_read_by_rank():
    context = Context(captions=1, attributes=0)
    captions = [{"rank": 1, "caption": "second"}, {"rank": 0, "caption": "first"}]
    assert image_context("ga", context, captions).words == ["first"]
    rows = [{"rank": 1, "label": "dog", "attributes": []}, {"rank": 0, "label": "cat", "attributes": []}]
    assert image_context("la", context, rows).words == ["cat", "dog"]
    assert image_context("oca", context, [{"text": "BIG\nSIGN"}]).words == ["BIG", "SIGN"]


@pytest.mark.parametrize(
    ("separate_kinds", "words"), [(False, ["SIGN", "red", "car"]), (True, ["SIGN", "<EOS>", "red", "car"])]
)
def test_kinds_are_put_together_in_the_order_of_the_settings(separate_kinds, words):
    by_kind = {"la": split_words("red car old", "la"), "ga": EMPTY, "oca": split_words("SIGN", "oca")}
    context = Context(kinds=["oca", "ga", "la"], budget={"la": 2}, separate_kinds=separate_kinds)
    composed, truncated = compose(context, by_kind)
    assert composed.words == words
    assert truncated == 1


@pytest.mark.parametrize("count", [2, 3, 50])
def test_nobody_keeps_its_own_context(count):
    order = cyclic_permutation(count, seed=3)
    position, visited = 0, set()
    while position not in visited:
        visited.add(position)
        position = order[position]
    assert visited == set(range(count)), "one cycle through all"


def test_permutations_depend_on_the_seed_alone():
    assert cyclic_permutation(50, 3) == cyclic_permutation(50, 3) != cyclic_permutation(50, 4)
    assert cyclic_permutation(0, 3) == []


def test_counted_words_are_the_words_of_the_context():
    assert count_words("SALE  $99,\n now!") == 3
    assert count_words("\u200b a") == 1, "what cannot be printed is no word of the context either"
    assert count_words("") == 0
