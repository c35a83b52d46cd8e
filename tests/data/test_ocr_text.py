"""Statistics of the characters, counted by hand."""

import pytest

from ita.data.ocr_text import statistics
from ita.data.visual_context import count_words


def post(split, image_id):
    return {"split": split, "image_id": image_id, "post_id": "any"}


def read(image_id, text):
    return {"image_id": image_id, "text": text}


def test_posts_by_split():
    posts = [
        post("train", "two"),
        post("train", "two"),  # a picture that was posted twice counts for both
        post("train", "blank"),
        post("train", None),
        post("dev", "gone"),
        post("test", "five"),
        post("test", "two"),
        post("test", "blank"),
    ]
    ocr = [read("two", "Hello\n World \n\x0c"), read("blank", " \n\x0c"), read("five", "a b c d e"), read("other", "x")]
    rows = statistics(iter(posts), iter(ocr))
    assert [tuple(row.values()) for row in rows] == [
        ("train", 4, 2, 50.0, 2.0, 2.0),
        ("dev", 1, 0, 0.0, None, None),
        ("test", 3, 2, pytest.approx(200 / 3), 3.5, 3.5),
        ("all", 8, 4, 50.0, 2.75, 2.0),
    ]
    assert list(rows[0]) == ["split", "posts", "with_text", "share", "mean_tokens", "median_tokens"]
    assert statistics(reversed(posts), reversed(ocr)) == rows


def test_nothing_at_all():
    assert [row["posts"] for row in statistics([], [])] == [0, 0, 0, 0]
    assert {row["share"] for row in statistics([], [])} == {0.0}


def test_tokens_are_the_words_of_the_context():
    assert count_words("SALE  $99,\n now!") == 3
    assert count_words("\u200b a") == 1, "what can not be printed is no word of the context either"
    assert count_words("") == 0
