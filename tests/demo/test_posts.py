"""Synthetic posts: well-formed, repeatable, with names that say nothing about their types."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter, defaultdict

import pytest

from ita.config import Demo
from ita.demo.posts import TYPES, Post, format_umt, lexicon, stratified_sample, words_of
from tests.support.demo import generate, share

DIGESTS = {
    "train": "9712ccafef23c5e3203ba7da31311a7e61f0592efb14ead05a34a8e3c2012a0e",
    "valid": "c9b48ef11a60b4f3121c6d11257031c0206c83529460cb801d71529e6261bfca",
    "test": "66f99abde8f722bf06db95c6bd9c839cfbef54edd5d94ab43f42d8694034732e",
}
"""SHA-256 of the posts that the default settings make."""


@pytest.fixture(scope="module")
def posts() -> list[Post]:
    """The posts that the default settings make."""
    return generate(Demo())


@pytest.mark.parametrize("split", DIGESTS)
def test_the_posts_are_always_the_same(posts: list[Post], split: str) -> None:
    text = format_umt(post for post in posts if post.split == split)
    assert hashlib.sha256(text.encode()).hexdigest() == DIGESTS[split]


def test_tags_are_iob2(posts: list[Post]) -> None:
    allowed = {"O", *(f"{prefix}-{entity_type}" for prefix in "BI" for entity_type in TYPES)}
    for post in posts:
        assert 6 <= len(post.tokens) <= 16
        assert set(post.tags) <= allowed
        assert all(token and not re.search(r"\s", token) for token in post.tokens)
        for previous, tag in zip(("O", *post.tags), post.tags, strict=False):
            assert not tag.startswith("I-") or previous[2:] == tag[2:]
        assert sum(tag.startswith("B-") for tag in post.tags) <= 2
    assert any("\ufe0f" in post.tokens for post in posts)
    assert 0.15 < share([any(tag.startswith("I-") for tag in post.tags) for post in posts]) < 0.5


def test_names_of_the_test_posts_are_new(posts: list[Post]) -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for post in posts:
        names[post.split] |= {word for word, tag in zip(post.tokens, post.tags, strict=True) if tag != "O"}
    assert len(names["test"]) > 60
    assert not names["train"] & names["test"]
    assert not names["train"] & names["valid"]
    words = {word for post in posts for word, tag in zip(post.tokens, post.tags, strict=True) if tag == "O"}
    assert not words & (names["train"] | names["valid"] | names["test"])


def test_no_name_begins_with_a_common_word(posts: list[Post]) -> None:
    names = {word.lower() for post in posts for word, tag in zip(post.tokens, post.tags, strict=True) if tag != "O"}
    words = lexicon()
    assert not [name for name in names if any(name[:end] in words for end in range(2, len(name) + 1))]


def test_shares(posts: list[Post]) -> None:
    assert share([post.image == "missing" for post in posts]) == pytest.approx(0.05, abs=0.01)
    assert share([post.image == "unrelated" for post in posts]) == pytest.approx(0.10, abs=0.01)
    assert [post.split for post in posts if post.image == "broken"] == ["train"]
    assert share([post.decidable == "picture" for post in posts]) == pytest.approx(0.5, abs=0.01)
    assert share([set(post.tags) == {"O"} for post in posts]) == pytest.approx(0.12, abs=0.01)
    types = Counter(post.type for post in posts if post.decidable == "picture")
    assert set(types) == set(TYPES)
    assert max(types.values()) - min(types.values()) <= 8


def test_an_unrelated_image_shows_another_kind(posts: list[Post]) -> None:
    unrelated = [post for post in posts if post.image == "unrelated"]
    assert len(unrelated) > 50
    assert all(post.scene != post.type for post in unrelated)
    assert all(post.scene == post.type for post in posts if post.image == "ok" and post.type != "none")


def test_words_do_not_determine_the_types_that_images_do(posts: list[Post]) -> None:
    train = [post for post in posts if post.split == "train" and post.decidable == "picture"]
    test = [post for post in posts if post.split == "test" and post.decidable == "picture"]
    by_template: dict[str, Counter[str]] = defaultdict(Counter)
    for post in train:
        by_template[post.template][post.type] += 1
    assert {post.template for post in test} <= set(by_template)
    guesses = [by_template[post.template].most_common(1)[0][0] for post in test]
    assert share([guess == post.type for guess, post in zip(guesses, test, strict=True)]) < 0.4


@pytest.mark.parametrize("size", [0, 1, 7, 100])
def test_stratified_sample(size: int) -> None:

    sample = stratified_sample(random.Random(1), size, {"a": 0.5, "b": 0.3, "c": 0.2})
    assert len(sample) == size
    assert all(abs(sample.count(key) - share * size) < 1 for key, share in {"a": 0.5, "b": 0.3, "c": 0.2}.items())


def test_words_of() -> None:
    assert words_of(("look at {X} , Greetings", "RT @ {user} :")) == {"look", "at", "greetings", "rt"}
