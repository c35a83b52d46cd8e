"""Relation data: the published layout and JSONL, and what is said about malformed files."""

import csv
import io
import json

import pytest

from ita.data.formats import read_posts
from ita.errors import UserError

HEADER = '"tweet_id","user_id","tweet","text_is_represented","image_adds","image_adds_text_repr"\n'
PUBLISHED = (
    HEADER
    + r'"11","1","so \"done\" , really https://t.co/a","1","0","0"'
    + "\n"
    + r'"12","2","two\nwords \\ 😂","0","1","0"'
    + "\n"
)


def read(text):
    return read_posts(text if isinstance(text, bytes) else text.encode(), "f", "relation")


def test_the_published_layout():
    first, second = read(PUBLISHED)
    assert first.tokens == ["so", '"done"', ",", "really", "https://t.co/a"], "no word is left out"
    assert first.tags == ["O"] * 5
    assert (first.post_id, first.image_id, first.image_url, first.related) == ("11", "T11", None, False)
    assert (second.tokens, second.image_id, second.related) == (["twonwords", "\\", "😂"], "T12", True)
    assert read(PUBLISHED.replace("\n", "\r\n")) == read(b"\xef\xbb\xbf" + PUBLISHED.encode()) == [first, second]


def test_files_of_spreadsheets_read_the_same():
    """Quotes doubled, only where they are needed; a text over two lines."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows(
        [["image_adds", "tweet", "tweet_id"], ["1", 'a, "b"\nc', "7"], ["0", "d", "8"], [], ["1", "e", "9"]]
    )
    assert [(post.tokens, post.related, post.image_id) for post in read(file.getvalue())] == [
        (["a,", '"b"', "c"], True, "T7"),
        (["d"], False, "T8"),
        (["e"], True, "T9"),
    ]


def test_jsonl():
    records = [
        {"text": "a  b", "related": True, "image": "x", "id": "p"},
        {"tokens": ["c", "\u00a0"], "related": 0, "image": "https://example.org/a.jpg"},
        {"text": "d", "image_adds": "1", "tweet_id": 5},
        {"text": "e", "related": False},
    ]
    first, second, third, fourth = read("\n".join(map(json.dumps, records)))
    assert (first.tokens, first.related, first.image_id, first.post_id) == (["a", "b"], True, "x", "p")
    assert (second.tokens, second.related, second.image_url) == (["c", "\u00a0"], False, "https://example.org/a.jpg")
    assert (third.image_id, third.post_id, third.related) == ("T5", "5", True)
    assert (fourth.image_id, fourth.post_id, fourth.related) == (None, None, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "tweet_id,image_adds\n1,0\n",
            "f:1: expected a column text or tweet, found tweet_id, image_adds; the texts are",
        ),
        ("tweet_id,tweet\n1,a\n", "f:1: expected a column related or image_adds, found tweet_id, tweet"),
        ("tweet,image_adds\na,1\nb\n", "f:3: expected 2 cells, as the header has, found 1"),
        ('tweet,image_adds\n"a\nb",1\nc,2\n', "f:4: expected related or image_adds to be 0 or 1, or true or false"),
        ("tweet,image_adds\n  ,1\n", "f:2: expected a post with at least one word"),
        ('tweet,image_adds\na,1\n"b"c,1\n', "f:3: expected a row of a CSV file"),
        ('tweet,image_adds\na,1\n"b,1\n', "f:3: expected a row of a CSV file"),
        (b"tweet,image_adds\n\xff,1\n", "f:2: expected UTF-8 text"),
        ("tweet,image_adds\n", "no posts found; expected the format 'relation'"),
        ('{"text": "a", "related": true}\n{"text": "a"}\n', "f:2: expected related or image_adds to be 0 or 1"),
        ('{"related": true}\n', "f:1: expected 'text' to be a string, found None"),
        ('{"tokens": ["a", 1], "related": true}\n', "f:1: expected 'tokens' to be a list of non-empty strings"),
        ('{"text": "a"\n', "f:1: not JSON: "),
    ],
)
def test_malformed_input_is_named_with_its_line(text, message):
    with pytest.raises(UserError) as error:
        read(text)
    assert message in str(error.value)
