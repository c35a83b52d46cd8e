"""Words of raw text."""

import time

import pytest

from ita.data.words import cut_words, marks_of


def words(text, marks="apart"):
    return [text[start:end] for start, end in cut_words(text, marks)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902", 2),
        ("Cafe\u0301 Bob", 2),
        ("\u0e17\u0e35\u0e48", 1),
        ("\u0645\u064f\u062d\u064e\u0645\u064e\u0651\u062f", 1),
        ("\u0ba4\u0bae\u0bbf\u0bb4\u0bcd", 1),
        ("\u0915\u094d\u200d\u0937", 1),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", 1),
        ("\u2764\ufe0f", 1),
        ("\U0001f1fa\U0001f1f8\U0001f1ec\U0001f1e7", 2),
        ("\U0001f44d\U0001f3fd\U0001f44d", 2),
        ("3\ufe0f\u20e3", 1),
    ],
)
def test_what_belongs_together_is_never_cut(text, expected):
    assert len(words(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's a 10,000-m run.", ["It", "'", "s", "a", "10,000", "-", "m", "run", "."]),
        ("RT @Harry_Styles: #NBA", ["RT", "@", "Harry_Styles", ":", "#", "NBA"]),
        ("see https://t.co/a1?b=c, (www.x.org)", ["see", "https://t.co/a1?b=c", ",", "(", "www.x.org", ")"]),
        ("mail a.b@c.org!", ["mail", "a.b@c.org", "!"]),
        ("so :) good:)", ["so", ":)", "good", ":", ")"]),
        ("in 2016, 3.5km", ["in", "2016", ",", "3", ".", "5km"]),
        (" \t\u3000", []),
    ],
)
def test_the_convention_of_twitter_2017(text, expected):
    assert words(text) == expected


def test_marks_that_are_part_of_the_word():
    assert words("RT @bob #NYC_2014 # 1 a@b", "joined") == ["RT", "@bob", "#NYC_2014", "#", "1", "a", "@b"]


def test_marks_are_learned_from_the_posts():
    assert marks_of([["#", "NBA"], ["@", "b", "#c"]]) == "apart"
    assert marks_of([["#NBA"], ["@b", "#", "c"]]) == "joined"
    assert marks_of([["a"], []]) == "apart"


@pytest.mark.parametrize(("folder", "marks"), [("twitter2015", "joined"), ("twitter2017", "apart")])
def test_public_posts_joined_by_a_space_are_cut_as_they_were(data, folder, marks):
    """What differs are the halves of emojis, odd numbers such as '21,', and what Twitter-2015 joins to a URL."""
    from ita.data.formats import read_posts

    posts = read_posts((data / folder / "test.txt").read_bytes(), "test.txt", "umt")
    assert marks_of(post.tokens for post in posts) == marks
    same = sum(words(" ".join(post.tokens), marks) == post.tokens for post in posts)
    assert same > (0.98 if marks == "apart" else 0.8) * len(posts), same / len(posts)


@pytest.mark.parametrize(
    "part",
    ["a-", "a.", "k", "1,", "\U0001f1e6", "a\u0301", "-\u0301", "\U0001f468\u200d", "a@", "a@b.", "http://.", "."],
)
def test_a_huge_word_costs_no_more_than_many_small_ones(part):
    """Nothing is quadratic, nor is memory taken for every character."""
    text = part * (400_000 // len(part))
    start = time.process_time()
    offsets = cut_words(text)
    assert time.process_time() - start < 10
    assert "".join(text[begin:end] for begin, end in offsets) == text
