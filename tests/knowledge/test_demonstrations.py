"""Demonstrations: training posts only; which of them a post gets."""

import json

import numpy as np
import pytest

from ita.errors import UserError
from ita.knowledge.demonstrations import read_demonstrations
from ita.knowledge.retrieval import choose_nearest, choose_random, encode_texts, unit_length
from tests.support.families import make_encoder

WORDS = {"t": ["Kim", "!"], "d": ["In", "Ulm"], "e": ["At", "sea", ":"]}
POSTS = [
    {"post_id": "t1", "split": "train", "image_id": "1.jpg"},
    {"post_id": "t2", "split": "train", "image_id": "2"},
    {"post_id": "t3", "split": "train", "image_id": "2"},
    {"post_id": "d1", "split": "dev", "image_id": "3"},
    {"post_id": "e1", "split": "test", "image_id": "4"},
    {"post_id": "t4", "split": "train", "image_id": "4"},
    {"post_id": "t5", "split": "train", "image_id": None},
    {"post_id": "e2", "split": "train", "image_id": None},
]
for post in POSTS:
    post["tokens"] = WORDS[post["post_id"][0]]


def read(tmp_path, *records):
    path = tmp_path / "demonstrations.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return read_demonstrations(path, POSTS)


def test_posts_are_named_by_id_or_image(tmp_path):
    found = read(tmp_path, {"id": "t2", "answer": "a  person\n"}, {"image": "1.jpg", "answer": "b"})
    assert [(shown.post_id, shown.answer) for shown in found] == [("t2", "a person"), ("t1", "b")]


def test_posts_of_other_data_sets_bring_their_texts(tmp_path):
    (found,) = read(tmp_path, {"text": "Anna there", "caption": "a zoo", "answer": "c", "more": 1})
    assert (found.post_id, found.slots) == ("demonstration 1", {"text": "Anna there", "caption": "a zoo"})


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"id": "d1", "answer": "a"}, "of the split dev"),
        ({"id": "e1", "answer": "a"}, "of the split test"),
        ({"image": "4", "answer": "a"}, "of the split test"),
        ({"text": "AT sea:", "answer": "a"}, "of the split test"),
        ({"id": "e2", "answer": "a"}, "the text of post 'e2' is of the split test"),
        ({"id": "x", "answer": "a"}, "not among the posts"),
        ({"image": "2", "answer": "a"}, "has 2 posts"),
        ({"id": "t1"}, "expected"),
        ({"id": "t1", "answer": " "}, "expected"),
        (["t1", "a"], "expected"),
    ],
)
def test_what_is_no_demonstration_is_refused(tmp_path, record, message):
    with pytest.raises(UserError, match=message) as raised:
        read(tmp_path, {"id": "t3", "answer": "fine"}, record)
    assert "demonstrations.jsonl:2" in str(raised.value)
    with pytest.raises(UserError, match="already"):
        read(tmp_path, {"id": "t3", "answer": "fine"}, {"id": "t3", "answer": "again"})
    with pytest.raises(UserError, match="no demonstrations"):
        read(tmp_path)


def test_random_ones_depend_on_post_and_seed_alone():
    candidates = [f"t{number}" for number in range(10)]
    chosen = {post: choose_random(post, candidates, 4, 1) for post in ("t1", "t2", "e1")}
    assert all(post not in names and len(set(names)) == 4 for post, names in chosen.items())
    assert choose_random("e1", candidates, 4, 1) == chosen["e1"] != choose_random("e1", candidates, 4, 2)
    assert len(choose_random("t1", candidates, 64, 1)) == 9, "all but itself"


def test_the_nearest_by_brute_force():
    generator = np.random.default_rng(0)
    names = [f"t{number:02d}" for number in range(20)]
    posts = ["t03", "e1", "e2"]
    vectors = generator.normal(size=(20, 5)).astype(np.float32)
    queries = generator.normal(size=(3, 5)).astype(np.float32)
    chosen = choose_nearest(posts, unit_length(queries), names, unit_length(vectors), 4)
    for post, query in zip(posts, queries, strict=True):
        cosines = {
            name: float(query @ vector) / (np.linalg.norm(query) * np.linalg.norm(vector))
            for name, vector in zip(names, vectors, strict=True)
            if name != post
        }
        assert chosen[post] == sorted(cosines, key=lambda name: -cosines[name])[:4]


def test_ties_are_broken_by_id():
    same = np.ones((4, 2), np.float32) / np.sqrt(2).astype(np.float32)
    assert choose_nearest(["e"], same[:1], ["c", "a", "d", "b"], same, 3) == {"e": ["a", "b", "c"]}


def test_a_text_has_the_same_vector_in_any_batch(tmp_path):
    folder = str(make_encoder(tmp_path, "bert"))
    texts = ["anna", "a much longer text about the zoo", "zoo"] * 12
    together, identity = encode_texts(texts, folder)
    alone = np.concatenate([encode_texts([text], folder)[0] for text in texts[:3]])
    np.testing.assert_allclose(together[:3], alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert identity["class"] == "BertModel" and identity["weights"]
    with pytest.raises(UserError, match=r"retrieval_model.*not installed"):
        encode_texts(["a"], "package:nothing_of_that_name/model")
