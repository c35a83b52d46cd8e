"""External texts, matched to posts by image or by order."""

import hashlib
import zipfile

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


def test_words_glued_together_are_cut_apart(tmp_path):
    (tmp_path / "t.json").write_text('{"1": ["Named entities:1. Rome (city)2. Alps (range)Reasoning:The Alps", "a)7"]}')
    replace = {r"\)(\d+\.)": r") \1", "(entities:|Reasoning:)": r" \1 "}
    text = ExternalText(files=[str(tmp_path / "t.json")], replace=replace)
    words = read_external_text("kb", text, POSTS, tmp_path)["p1"].words
    assert " ".join(words) == "Named entities: 1. Rome (city) 2. Alps (range) Reasoning: The Alps <EOS> a)7"
    parts = ExternalText(files=[str(tmp_path / "t.json")], replace=replace, pattern="entities: (.*) Reasoning")
    words = read_external_text("kb", parts, POSTS, tmp_path)["p1"].words
    assert " ".join(words) == "1. Rome (city) 2. Alps (range)"


@pytest.mark.parametrize("replace", [{"(": "x"}, {"a": r"\1"}, {"(a)": r"\2"}])
def test_substitutions_that_are_none_are_refused(replace):
    with pytest.raises(ValueError, match="expected"):
        ExternalText(replace=replace)


def test_the_sha256_of_files_and_archives_is_checked(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("train.txt", "a\tO\n<EOS>\tX\nx\tX\n\tX\n")
    (tmp_path / "t.json").write_text('{"1": "x"}')
    digest = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("t.zip", "t.json")}
    for file, kind in (("t.zip::train.txt", "ita"), ("t.json", "captions")):
        name = file.partition("::")[0]
        text = {"files": [f"{tmp_path}/{file}"], "format": kind}
        right = ExternalText(**text, sha256={f"{tmp_path}/{name}": digest[name]})
        assert read_external_text("kb", right, POSTS, tmp_path)["p1"].words == ["x"]
        with pytest.raises(UserError, match="SHA-256 is"):
            read_external_text("kb", ExternalText(**text, sha256={f"{tmp_path}/{name}": "0" * 64}), POSTS, tmp_path)
        with pytest.raises(UserError, match="which is none of its files"):
            read_external_text("kb", ExternalText(**text, sha256={"other": "0" * 64}), POSTS, tmp_path)


def test_a_url_of_captions_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected the path of a local file"):
        read_external_text("kb", ExternalText(files=["https://example.org/t.json"]), POSTS, tmp_path)


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
