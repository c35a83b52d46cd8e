"""Label versions of public and other data sets."""

import re
from dataclasses import replace

import pytest

from ita.data.formats import read_posts
from ita.data.label_versions import RELABELLED_TEST_SPANS, common_version, label_version
from ita.data.records import Post


def test_other_labels_on_known_posts_are_noticed(data):
    original = (data / "twitter2015" / "test.txt").read_bytes()
    unix, windows = (read_posts(text, "f", "umt") for text in (original, original.replace(b"\n", b"\r\n")))
    assert label_version("other bytes", windows) == label_version("other bytes", unix) == "UMT Twitter-2015"
    missing = RELABELLED_TEST_SPANS - 5207
    changed = []
    for post in unix:
        tags = list(post.tags)
        if missing and set(tags) == {"O"}:
            tags[0], missing = "B-LOC", missing - 1
        changed.append(replace(post, tags=tags))
    assert label_version("other bytes", changed) == "relabelled Twitter-2015"
    assert label_version("other bytes", [*changed[:-1], unix[0]]).startswith("own")
    unix[0].tags[0] = "B-LOC"
    assert label_version("other bytes", unix).startswith("UMT Twitter-2015, altered")


def test_other_posts_are_named_by_their_words_and_tags():
    posts = [Post(["a"], ["O"], "1")]
    version = label_version("hash", posts)
    assert re.fullmatch(r"own \([0-9a-f]{8}\)", version)
    assert label_version("other hash", [Post(["a"], ["O"], "2")]) == version, "neither bytes nor image ids matter"
    assert label_version("hash", [Post(["a"], ["B-PER"], "1")]) != version
    assert label_version("hash", [Post(["b"], ["O"], "1")]) != version


@pytest.mark.parametrize(
    ("versions", "name"),
    [
        (("UMT", "UMT", "UMT"), "UMT"),
        (("UMT", "UMT", "relabelled"), "train: UMT; dev: UMT; test: relabelled"),
        (("UMT", "own (1)", "UMT"), "train: UMT; dev: own (1); test: UMT"),
    ],
)
def test_versions_of_all_splits(versions, name):
    assert common_version(dict(zip(("train", "dev", "test"), versions, strict=True))) == name


def test_own_splits_get_one_name():
    first = common_version({"train": "own (1)", "dev": "own (2)", "test": "own (3)"})
    assert re.fullmatch(r"own \([0-9a-f]{8}\)", first)
    assert first != common_version({"train": "own (1)", "dev": "own (2)", "test": "own (4)"})
