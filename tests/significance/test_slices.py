"""Slices of a test set: seen and unseen entities add up, and every span is counted in the right slice."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ita.significance.counts import GOLD, TRUE_POSITIVES, count_spans, span_sets
from ita.significance.slices import (
    count_mentions,
    count_seen_and_unseen,
    has_image,
    has_ocr_text,
    seen_entities,
)

TAG = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
WORD = st.sampled_from(["a", "b", "A"])
POSTS = st.lists(st.lists(st.tuples(WORD, TAG, TAG), min_size=1, max_size=6), min_size=1, max_size=4)


@given(POSTS, POSTS)
@settings(max_examples=80, deadline=None)
def test_seen_and_unseen_add_up(posts, train):
    tokens, gold, predicted = ([[item[column] for item in post] for post in posts] for column in range(3))
    seen = seen_entities(*([[item[column] for item in post] for post in train] for column in range(2)))
    parts = count_seen_and_unseen(tokens, span_sets(gold, predicted), seen)
    np.testing.assert_array_equal(parts["seen"] + parts["unseen"], count_spans(gold, predicted))


def test_a_span_belongs_to_its_own_surface():
    seen = seen_entities([["Mia", "Ray", "in", "Rome"]], [["B-PER", "I-PER", "O", "B-LOC"]])
    assert seen == {("Mia Ray", "PER"), ("Rome", "LOC")}
    tokens = [["Mia", "Ray", "Rome"], ["Rome", "Oslo"], ["rome", "x"]]
    gold = [["B-PER", "I-PER", "O"], ["B-PER", "B-LOC"], ["B-LOC", "O"]]
    predicted = [["B-PER", "I-PER", "B-LOC"], ["B-LOC", "B-LOC"], ["B-LOC", "B-LOC"]]
    parts = count_seen_and_unseen(tokens, span_sets(gold, predicted), seen)
    # Rome as a false place is "seen", Rome as a person was not; case matters.
    assert parts["seen"].tolist() == [[1, 2, 1], [0, 1, 0], [0, 0, 0]]
    assert parts["unseen"].tolist() == [[0, 0, 0], [1, 1, 2], [1, 2, 1]]


def test_mentions_by_hand():
    seen = {("Rome", "LOC"), ("Mia", "PER"), ("Jordan", "PER"), ("Jordan", "LOC")}
    tokens = [["Rome", "Rome", "Mia"], ["Jordan", "Oslo", "mia"], ["Oslo", "x", "Jordan"]]
    gold = [["B-LOC", "B-ORG", "B-PER"], ["B-LOC", "B-LOC", "B-PER"], ["B-LOC", "O", "B-ORG"]]
    predicted = [["B-LOC", "B-LOC", "B-PER"], ["B-PER", "B-LOC", "B-PER"], ["O", "B-LOC", "B-ORG"]]
    # Rome is a place and a company in these posts, Jordan a place and a company; Oslo is always a place.
    assert count_mentions(tokens, span_sets(gold, predicted), seen) == {
        "seen": (2, 3),
        "unseen_type": (1, 2),
        "unseen_words": (2, 3),
        "confusable": (2, 4),
    }


@given(POSTS, POSTS)
@settings(max_examples=80, deadline=None)
def test_mentions_add_up_and_agree_with_the_slices_of_f1(posts, train):
    tokens, gold, predicted = ([[item[column] for item in post] for post in posts] for column in range(3))
    seen = seen_entities(*([[item[column] for item in post] for post in train] for column in range(2)))
    mentions = count_mentions(tokens, span_sets(gold, predicted), seen)
    parts = count_seen_and_unseen(tokens, span_sets(gold, predicted), seen)

    def sums(part):
        return parts[part][:, TRUE_POSITIVES].sum(), parts[part][:, GOLD].sum()

    assert mentions["seen"] == sums("seen")
    unseen = zip(mentions["unseen_type"], mentions["unseen_words"], strict=True)
    assert tuple(map(sum, unseen)) == sums("unseen")
    assert all(0 <= found <= spans for found, spans in mentions.values())
    assert mentions["confusable"][1] <= sum(map(len, gold))


def test_posts_by_their_images():
    ids = ["one", None, "two", "three", "four"]
    images = [
        {"image_id": name, "status": status} for name, status in (("one", "ok"), ("two", "failed"), ("four", "ok"))
    ]
    ocr = [{"image_id": "one", "text": " \n"}, {"image_id": "four", "text": "SALE"}, {"image_id": "two", "text": None}]
    assert has_image(ids, images).tolist() == [True, False, False, False, True]
    assert has_ocr_text(ids, ocr).tolist() == [False, False, False, False, True]
    assert has_image([], []).dtype == bool
