"""Templates: slots, lines without anything in them, and what is wrong with a file."""

import pytest

from ita.errors import ConfigError
from ita.knowledge.templates import load_template, parse, shipped

FULL = {"text": "Kim {caption} visits", "caption": "a zoo", "objects": "red dog", "ocr": "EXIT"}


def template(tmp_path, text):
    path = tmp_path / "mine.txt"
    path.write_text(text)
    load_template.cache_clear()
    return load_template(str(path))


def test_braces_in_what_is_filled_in_stay(tmp_path):
    made = template(tmp_path, "[user]\nPost: {text}\nPicture: {caption}\n")
    assert made.fill(FULL) == "Post: Kim {caption} visits\nPicture: a zoo"


def test_a_line_without_anything_is_left_out(tmp_path):
    made = template(tmp_path, "[user]\nPost: {text}\nPicture: {caption} with {objects}\n{demonstrations}\n\nNotes:\n")
    assert made.fill({"text": "Kim"}) == "Post: Kim\n\nNotes:"
    assert made.fill({"text": "Kim", "objects": "dog"}) == "Post: Kim\nPicture:  with dog\n\nNotes:"


def test_demonstrations_have_a_part_of_their_own(tmp_path):
    parts = "[system]\nBe brief.\n[demonstration]\nQ: {text}\nA: {answer}\n[user]\n{demonstrations}\n\nQ: {text}\nA:\n"
    made = template(tmp_path, parts)
    examples = [{"text": "one {answer}", "answer": "1"}, {"text": "two", "answer": "2"}]
    assert made.fill({"text": "three"}, examples) == "Q: one {answer}\nA: 1\n\nQ: two\nA: 2\n\nQ: three\nA:"
    assert made.parts["system"] == "Be brief." and made.slots == {"text", "answer", "demonstrations"}


def test_what_is_shipped():
    assert shipped() == ["filled", "image-text", "text-caption"]
    slots = {name: load_template(name).slots for name in shipped()}
    assert slots["text-caption"] == {"text", "caption", "answer", "demonstrations"}
    assert slots["image-text"] == {"text", "image", "answer", "demonstrations"}
    assert slots["filled"] == {"caption", "objects", "ocr"}
    filled = load_template("text-caption").fill({"text": "Kim", "caption": "a zoo"}, [{"text": "A", "answer": "B"}])
    assert filled.index("Post: A") < filled.index("Notes: B") < filled.index("Post: Kim") and filled.endswith("Notes:")
    assert len({load_template(name).sha256 for name in shipped()}) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Post: {text}", "before the first part"),
        ("[user]\n{tekst}\n", r"no slot \{tekst\}"),
        ("[system]\n{text}\n[user]\n{text}\n", r"\[system\] has no slot"),
        ("[system]\nonly\n", r"\[user\] is missing"),
        ("[user]\na\n[user]\nb\n", "twice"),
        ("[users]\na\n", "unknown"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(text, message):
    with pytest.raises(ConfigError, match=message):
        parse(text, "mine.txt")


def test_a_name_that_is_none_is_told():
    with pytest.raises(ConfigError, match=r"neither filled, image-text, text-caption nor a file"):
        load_template("tekst-caption")
