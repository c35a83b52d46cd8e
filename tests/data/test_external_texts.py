"""External texts, matched to posts by image or by order."""

import pytest

from ita.config import ExternalText
from ita.data.external_texts import read_external_text
from ita.data.visual_context import SEPARATOR, VisualContext
from ita.errors import UserError

POSTS = [
    {"post_id": "p1", "image_id": "1", "tokens": ["a"]},
    {"post_id": "p2", "image_id": None, "tokens": ["b", "c"]},
    {"post_id": "p3", "image_id": "1", "tokens": ["d"]},
]


def test_texts_by_image_reach_every_post_with_that_image(tmp_path):
    file = tmp_path / "texts.json"
    file.write_text('{"1.jpg": ["two words", "more"], "2": "unused"}')
    context = VisualContext(["two", "words", "<EOS>", "more"], ["kb", "kb", SEPARATOR, "kb"])
    assert read_external_text("kb", ExternalText(files=[str(file)]), POSTS, tmp_path) == {"p1": context, "p3": context}


def test_files_in_the_official_format_are_matched_by_order(tmp_path, caplog):
    (tmp_path / "train.txt").write_text("a\tO\n<EOS>\tX\nx\tX\n<EOS>\tX\ny\u200bz\tX\n")
    (tmp_path / "dev.txt").write_text("d\tO\n")
    text = ExternalText(files=[str(tmp_path / "train.txt"), str(tmp_path / "dev.txt")], format="ita")
    contexts = read_external_text("kb", text, POSTS, tmp_path)
    assert contexts == {
        "p1": VisualContext(["x", "<EOS>", "yz"], ["kb", SEPARATOR, "kb"]),
        "p3": VisualContext([], []),
    }
    assert "external_texts.kb: 1 of 3 posts have no text" in caplog.text


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("entities: *(.*?) *(?:Reasoning|$)", ["1.", "Rome", "(city)"]),
        ("Reasoning: *(.*)", ["It", "is", "old."]),
        ("Reasoning", ["Reasoning"]),
        ("nothing like this", []),
    ],
)
def test_the_part_that_a_pattern_matches_is_read(tmp_path, pattern, words):
    (tmp_path / "t.json").write_text('{"1": ["Named entities: 1. Rome (city) Reasoning: It is old.", "no list"]}')
    text = ExternalText(files=[str(tmp_path / "t.json")], pattern=pattern)
    assert read_external_text("kb", text, POSTS, tmp_path)["p1"].words == words


def test_a_pattern_that_is_no_regular_expression_is_refused():
    with pytest.raises(ValueError, match=r"found '\(', expected a regular expression"):
        ExternalText(pattern="(")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"external_texts\.kb\.files is empty"),
        ({"train.txt": "d\tO\n\na\tO\n"}, r"train\.txt: its post 2 \('a'\) does not come next"),
        ({"train.txt": "z\tO\n"}, r"train\.txt: its post 1 \('z'\) does not come next"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    text = ExternalText(files=[str(tmp_path / name) for name in files], format="ita")
    with pytest.raises(UserError, match=message):
        read_external_text("kb", text, POSTS, tmp_path)
