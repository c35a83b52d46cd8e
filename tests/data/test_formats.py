"""Annotation formats: every reader, and what it says about malformed files."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ita.data.formats import read_posts
from ita.errors import UserError

UMT = "IMGID:1\nNew\tB-LOC\nYork\tI-LOC\n!\tO\n\nIMGID:2\nhi\tO\n"


def read(text, format_name="umt"):
    return read_posts(text.encode() if isinstance(text, str) else text, "f", format_name)


def test_umt():
    first, second = read(UMT)
    assert (first.tokens, first.tags, first.image_id) == (["New", "York", "!"], ["B-LOC", "I-LOC", "O"], "1")
    assert (second.tokens, second.image_id) == (["hi"], "2")


def test_crlf_and_lf_read_the_same():
    assert read(UMT.replace("\n", "\r\n")) == read(UMT)


@pytest.mark.parametrize(
    "odd", ["\u00a0", "\ufe0f", "\u200b", "\u200d", "\u0092", "\u00ad", "\x85", "\u2028", "a\u200eb"]
)
def test_odd_words_are_kept(odd):
    (post,) = read(f"IMGID:1\na\tO\n{odd}\tB-PER\nb\tO\n")
    assert post.tokens == ["a", odd, "b"]


def test_three_line():
    (post,) = read("New York\nB-LOC I-LOC\n12.jpg\n", "three_line")
    assert (post.tokens, post.tags, post.image_id) == (["New", "York"], ["B-LOC", "I-LOC"], "12")


def test_jsonl_and_parquet_read_the_same():
    records = [
        {"tokens": ["a", "b"], "tags": ["O", "B-PER"], "image": "x", "id": "p1"},
        {"tokens": ["c"], "tags": ["O"], "image": None, "id": "p2"},
        {"tokens": ["d"], "tags": ["O"], "image": "https://example.org/a.jpg", "id": "p3"},
    ]
    from_json = read("\n".join(map(json.dumps, records)), "jsonl")
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), file)
    assert read(file.getvalue(), "parquet") == from_json
    assert [post.image_id for post in from_json[:2]] == ["x", None]
    assert from_json[2].image_url == "https://example.org/a.jpg"
    assert "/" not in from_json[2].image_id


def test_ita():
    (post,) = read("a\tO\nb\tB-PER\n<EOS>\tX\nc\tB-X\n<EOS>\tX\nd\tX\n", "ita")
    assert (post.tokens, post.tags, post.context) == (["a", "b"], ["O", "B-PER"], ("c", "<EOS>", "d"))


@pytest.mark.parametrize(
    ("text", "format_name", "message"),
    [
        ("IMGID:1\nword\n", "umt", "f:2: expected 'word<TAB>tag', found 'word'"),
        ("IMGID:1\na\tO\nb\tPER\n", "umt", "f:3: expected the tag O, B-TYPE or I-TYPE, found 'PER'"),
        ("IMGID:1\na\tO\n\nIMGID:2\n\n", "umt", "f:4: expected a post with at least one word"),
        ("IMGID:1\n\tO\n", "umt", "f:2: expected 'word<TAB>tag'"),
        (b"IMGID:1\n\xff\tO\n", "umt", "f:2: expected UTF-8 text, found byte 0xff"),
        ("", "umt", "no posts found"),
        ("a b\nO\nx.jpg\n", "three_line", "f:1: expected as many tags as words, found 1 and 2"),
        ("a b\nO O\n", "three_line", "expected three lines a post"),
        ('{"tokens": ["a"], "tags": ["O"]}\n{"tokens": ["a"]}\n', "jsonl", "f:2: expected 'tags' to be a list"),
        ('{"tokens": "a", "tags": ["O"]}\n', "jsonl", "f:1: expected 'tokens' to be a list"),
        ("{\n", "jsonl", "f:1: expected a JSON object"),
        (b"PAR", "parquet", "f: expected a Parquet file"),
        ("a\tO\nb\tX\n", "ita", "f:2: expected <EOS> before the context, found 'b'"),
        ("a\tO\n<EOS>\tX\nb\tO\n", "ita", "f:3: expected every line after <EOS> to be tagged X, found 'O'"),
    ],
)
def test_malformed_input_is_named_with_its_line(text, format_name, message):
    with pytest.raises(UserError) as error:
        read(text, format_name)
    assert message in str(error.value)
