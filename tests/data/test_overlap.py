"""Test posts of public data sets are recognised among others, whatever a copy did to them."""

import json

import numpy as np
import pytest

from ita.commands import overlap as command
from ita.data import overlap
from ita.data.formats import read_posts
from ita.data.overlap import PUBLIC, hashes_of, public_overlap, public_test_splits, text_hash

TWEET = "RT @Gabriele _ Corno : Interplanetary spring by Tatiana #inspiration http://t.co/Yg1g6boFEq"


@pytest.mark.parametrize(
    "copy",
    [
        "RT @ Gabriele _ Corno : Interplanetary spring by Tatiana # inspiration",
        "rt @gabriele_corno: interplanetary spring by tatiana #inspiration https://t. co/other",
        "RT @Gabriele_Corno: Interplanetary ... spring by Tatiana #inspiration http:…",
    ],
)
def test_copies_of_a_tweet_have_one_hash(copy):
    assert text_hash(copy.split()) == text_hash(TWEET.split()) is not None
    assert text_hash((copy + " today").split()) != text_hash(TWEET.split())


def test_short_texts_are_not_compared():
    assert text_hash(["Hi", "I", "am", "Riley"]) is None
    assert len(hashes_of([["a"], TWEET.split(), TWEET.split()])) == 1


def test_public_overlap_counts_posts_of_each_data_set(monkeypatch):
    posts = [[f"a long enough text with the number {number}"] for number in range(5)]
    splits = {
        "one": hashes_of(posts[:3]),
        "two": hashes_of(posts[4:]),
        "three": hashes_of([["of something else alone"]]),
    }
    monkeypatch.setattr(overlap, "public_test_splits", lambda: splits)
    assert public_overlap(posts[1:]) == {"one": {"posts": 2, "of": 3}, "two": {"posts": 1, "of": 1}}


def test_the_package_has_the_test_split_of_each_public_data_set():
    splits = public_test_splits()
    assert {version: len(split) for version, split in splits.items()} == {
        "UMT Twitter-2015": 3197,
        "UMT Twitter-2017": 723,
        "Twitter-GMNER v2.0": 1483,
    }
    assert all((np.diff(split.astype(object)) > 0).all() for split in splits.values())


@pytest.mark.parametrize("name", ["twitter-2015", "twitter-2017"])
def test_hashes_are_those_of_the_real_posts(data, name):
    file = data / name.replace("-", "") / "test.txt"
    posts = read_posts(file.read_bytes(), file.name, "umt")
    np.testing.assert_array_equal(hashes_of(post.tokens for post in posts), public_test_splits()[PUBLIC[name]])


def test_gmner_trains_on_test_posts_of_the_others(data):
    from ita.data.sources import read_source

    source = read_source(f"{data}/knowledge/gmner_text_only.zip::train.txt", None, data, "x")
    found = public_overlap(post.tokens for post in read_posts(source.content, source.name, "umt"))
    assert found["UMT Twitter-2015"]["posts"] == 1553 and found["UMT Twitter-2017"]["posts"] == 468


def test_the_command_prints_the_matrix(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    texts = {"a": [f"post number {n} of the first set" for n in range(4)], "b": ["post of the second set alone"]}
    texts["b"] += texts["a"][:2]
    for name, split_texts in texts.items():
        for split in ("train", "dev", "test"):
            part = split_texts if split == "train" else split_texts[:1]
            posts = [
                {"tokens": text.split(), "tags": ["O"] * len(text.split()), "image": f"{text}.jpg"} for text in part
            ]
            (tmp_path / f"{name}-{split}.jsonl").write_text("\n".join(map(json.dumps, posts)))
    datasets = {
        name: {"posts": {"format": "jsonl", "files": {s: f"{name}-{s}.jsonl" for s in ("train", "dev", "test")}}}
        for name in texts
    }
    (tmp_path / "config.yaml").write_text(json.dumps({"datasets": {**datasets, "c": {"posts": {"files": {}}}}}))
    assert command.main(["--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["b"] == {
        "a": {"texts": 1, "images": 1, "of": 1},
        "b": {"texts": 1, "images": 1, "of": 1},
    }
    assert "c is left out" in printed.err
    assert command.main(["a", "b"]) == 0 and "b (1)" in capsys.readouterr().out
    assert command.main(["c"]) == 1 and command.main(["d"]) == 1
    assert "no data set 'd'; there are: a, b, c" in capsys.readouterr().err
    assert command.main(["b", "--hashes", "out.npy"]) == 0
    np.testing.assert_array_equal(np.load("out.npy"), hashes_of([texts["b"][0].split()]))
