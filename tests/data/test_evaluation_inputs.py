"""Hashes over what an evaluation reads, and over its results."""

import copy

import numpy as np
import pytest

from ita.data.evaluation_inputs import evaluation_hashes, results_hash
from ita.data.visual_context import EMPTY, VisualContext
from ita.io.features import Features

POSTS = [
    {
        "post_id": "1",
        "split": "test",
        "image_id": "a",
        "tokens": ["Ann", "in", "Rome"],
        "tags": ["B-PER", "O", "B-LOC"],
    },
    {"post_id": "2", "split": "test", "image_id": None, "tokens": ["no", "one"], "tags": ["O", "O"]},
    {"post_id": "3", "split": "train", "image_id": "c", "tokens": ["x"], "tags": ["O"]},
]
CONTEXTS = {"1": VisualContext(("a", "man"), ("ga", "ga")), "2": EMPTY, "3": EMPTY}


def hashes(posts=POSTS, contexts=CONTEXTS, features=None):
    return evaluation_hashes(posts, contexts, features, ["test"])["test"]


def changed(number, **values):
    posts = copy.deepcopy(POSTS)
    posts[number] |= values
    return posts


@pytest.mark.parametrize(
    "posts",
    [
        changed(0, tags=["B-PER", "O", "O"]),
        changed(0, tokens=["Ann", "in", "Roma"]),
        changed(0, post_id="one"),
        changed(1, tokens=["noone"], tags=["O"]),
        POSTS[:1],
        list(reversed(POSTS)),
    ],
)
def test_another_post_word_or_label_changes_both_views(posts):
    other = hashes(posts, {**CONTEXTS, "one": CONTEXTS["1"]})
    assert all(other[view] != hashes()[view] for view in ("t", "it"))


def test_image_text_changes_its_own_view_alone():
    for words in (("a", "woman"), ("a",), ("man", "a")):
        other = hashes(contexts={**CONTEXTS, "1": VisualContext(words, ("ga",) * len(words))})
        assert other["t"] == hashes()["t"] and other["it"] != hashes()["it"]
    word, separator = (VisualContext(("<EOS>",), (kind,)) for kind in ("ga", "sep"))
    assert hashes(contexts={**CONTEXTS, "1": word}) != hashes(contexts={**CONTEXTS, "1": separator})
    moved = {**CONTEXTS, "1": EMPTY, "2": CONTEXTS["1"]}
    assert hashes(contexts=moved)["it"] != hashes()["it"]


def test_without_image_text_the_views_are_the_same():
    nothing = dict.fromkeys(CONTEXTS, EMPTY)
    assert hashes(contexts=nothing)["it"] == hashes(contexts=nothing)["t"] == hashes()["t"]


def test_other_splits_count_for_nothing():
    assert hashes(changed(2, tokens=["y"])) == hashes()


def test_regions_count():
    vectors = np.arange(6, dtype=np.float16).reshape(3, 2)
    regions = hashes(features=Features(vectors, {"a": (0, 2), "c": (2, 3)}))
    assert regions["it"] != hashes()["it"] and regions["t"] == hashes()["t"]
    vectors[1, 1] += 1
    assert hashes(features=Features(vectors, {"a": (0, 2), "c": (2, 3)}))["it"] != regions["it"]


def test_results_count_and_what_made_them_does_not():
    metrics = {"seed": 1, "scores": {"test": {"t": {"default": {"f1": 81.25}}}}, "commit": "abc"}
    assert results_hash(metrics) == results_hash({**metrics, "commit": "def"})
    assert results_hash(metrics) != results_hash({**metrics, "seed": 2})
    assert results_hash(metrics) != results_hash({**metrics, "scores": {"test": {"t": {"default": {"f1": 81.26}}}}})
