"""Slices of a test set: parts add up, and belong where they should."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ita.significance.counts import counts
from ita.significance.slices import counts_by_surface, has_image, has_ocr, seen_surfaces

TAG = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
WORD = st.sampled_from(["a", "b", "A"])
POSTS = st.lists(st.lists(st.tuples(WORD, TAG, TAG), min_size=1, max_size=6), min_size=1, max_size=4)


@given(POSTS, POSTS)
@settings(max_examples=80, deadline=None)
def test_seen_and_unseen_add_up(posts, train):
    tokens, gold, predicted = ([[item[place] for item in post] for post in posts] for place in range(3))
    seen = seen_surfaces(*([[item[place] for item in post] for post in train] for place in range(2)))
    for types in (None, "PER", ["LOC"]):
        for strict in (False, True):
            parts = counts_by_surface(tokens, gold, predicted, seen, types, strict)
            np.testing.assert_array_equal(
                parts["seen"] + parts["unseen"], counts(gold, predicted, types=types, strict=strict)
            )


def test_a_span_belongs_to_its_own_surface():
    seen = seen_surfaces([["Mia", "Ray", "in", "Rome"]], [["B-PER", "I-PER", "O", "B-LOC"]])
    assert seen == {("Mia Ray", "PER"), ("Rome", "LOC")}
    tokens = [["Mia", "Ray", "Rome"], ["Rome", "Oslo"], ["rome", "x"]]
    gold = [["B-PER", "I-PER", "O"], ["B-PER", "B-LOC"], ["B-LOC", "O"]]
    predicted = [["B-PER", "I-PER", "B-LOC"], ["B-LOC", "B-LOC"], ["B-LOC", "B-LOC"]]
    parts = counts_by_surface(tokens, gold, predicted, seen)
    # Rome as a false place is "seen", Rome as a person was not; case matters.
    assert parts["seen"].tolist() == [[1, 2, 1], [0, 1, 0], [0, 0, 0]]
    assert parts["unseen"].tolist() == [[0, 0, 0], [1, 1, 2], [1, 2, 1]]


def test_posts_by_their_images():
    ids = ["one", None, "two", "three", "four"]
    images = [
        {"image_id": name, "status": status} for name, status in (("one", "ok"), ("two", "failed"), ("four", "ok"))
    ]
    ocr = [{"image_id": "one", "text": " \n"}, {"image_id": "four", "text": "SALE"}, {"image_id": "two", "text": None}]
    assert has_image(ids, images).tolist() == [True, False, False, False, True]
    assert has_ocr(ids, ocr).tolist() == [False, False, False, False, True]
    assert has_image([], []).dtype == bool
