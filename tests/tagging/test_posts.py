"""A post from the values of a line, a row or a Python caller."""

import numpy as np
import pandas as pd
import pytest

from ita.data.visual_context import SEPARATOR, character_alignment, concatenate, global_alignment, local_alignment
from ita.tagging.posts import UnreadablePost, parse_post


def test_a_text_is_cut_and_keeps_its_characters():
    post = parse_post({"text": " It's  Bob\n", "id": 3})
    assert post.text == " It's  Bob\n" and post.tokens == ["It", "'", "s", "Bob"]
    assert [post.text[start:end] for start, end in post.offsets] == post.tokens
    assert post.image is None and post.context is None


def test_tokens_are_looked_up_in_the_text():
    post = parse_post({"text": "a  a b", "tokens": ["a", "a", "b"]})
    assert (post.text, post.offsets) == ("a  a b", [(0, 1), (3, 4), (5, 6)])
    assert parse_post({"tokens": ["a", "b c"]}).text == "a b c"
    assert parse_post({"tokens": '["a b", "c"]'}).tokens == ["a b", "c"]
    assert parse_post({"tokens": "a [b"}).tokens == ["a", "[b"]
    assert parse_post({"tokens": np.array(["a", "b"], object), "context": np.array(["c"], object)}).tokens == ["a", "b"]


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT, np.nan])
def test_empty_cells_of_pandas_are_no_values(missing):
    post = parse_post({"text": "a", "tokens": missing, "image": missing, "context": missing})
    assert (post.tokens, post.image, post.context) == (["a"], None, None)
    with pytest.raises(UnreadablePost, match="expected 'tokens' or 'text'"):
        parse_post({"text": missing})


def test_images():
    def image(value):
        return parse_post({"text": "a", "image": value}).image

    assert image(" a.jpg ") == "a.jpg" and image("") is None and image(b"") is None
    assert image(memoryview(b"x")) == image({"bytes": b"x", "path": "a.jpg"}) == b"x"
    assert image({"bytes": None, "path": "a.jpg"}) == "a.jpg"


def test_a_context_is_one_text_or_several():
    def segments(value):
        return parse_post({"text": "a", "context": value}).context.segments()

    assert segments("a man") == ["a man"] and segments(["a man", "a dog"]) == ["a man", "a dog"]
    assert segments('["a man", "a dog"]') == ["a man", "a dog"] and segments("[a man]") == ["[a man]"]


def test_the_context_that_inspect_prints_is_read_as_it_was_made():
    objects = [{"label": "tennis racket", "attributes": [{"label": "red", "score": 0.9}]}]
    context = concatenate(
        [
            local_alignment(objects, 0.1, 3, 100),
            global_alignment(["a man", "a <EOS> dog", "two men"], 5),
            character_alignment("BIG\nSIGN"),
        ]
    )
    read = parse_post({"tokens": ["a"], "context": context.segments()}).context
    assert read.words == context.words
    assert [kind == SEPARATOR for kind in read.kinds] == [kind == SEPARATOR for kind in context.kinds]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"words": ["a"]}, "expected 'tokens' or 'text'"),
        ({"text": 1}, "expected 'text' to be a string, found int"),
        ({"text": " "}, "expected at least one word"),
        ({"tokens": []}, "expected at least one word"),
        ({"tokens": ["a", ""]}, "expected 'tokens' to be a list of non-empty strings"),
        ({"tokens": [1]}, "expected 'tokens' to be a list of non-empty strings"),
        ({"text": "a b", "tokens": ["b", "a"]}, "'a' does not"),
        ({"text": "a", "context": {"b": 1}}, "expected 'context' to be a string or a list of strings"),
        ({"text": "a", "context": [1]}, "expected 'context' to be a string or a list of strings"),
        ({"text": "a", "image": 7}, "expected 'image' to be a path, a URL or bytes, found int"),
        ({"text": "a \ud83d"}, r"'text' has at character 2 the surrogate U\+D83D alone"),
        ({"text": "a", "x": {"y": ["\udc00"]}}, "'x' has at character 0 the surrogate"),
        ({"tokens": ["a", "b\udcff"]}, "'tokens' has at character 1 the byte 0xFF, which is not UTF-8"),
    ],
)
def test_what_cannot_be_read(values, message):
    with pytest.raises(UnreadablePost, match=message):
        parse_post(values)
