"""Qualitative examples as Markdown and as a page, from hostile words, types, names and image text."""

import base64
import io

import pytest
from markdown_it import MarkdownIt
from PIL import Image

from ita.reporting import cases_page
from ita.reporting.cases import ROLE_VIEWS
from ita.reporting.cases_page import Tagging, tag_segments
from tests.support.hostile import TEXTS
from tests.support.html_page import assert_harmless
from tests.support.made_cases import write_tables

NAMES = {role: f"{TEXTS[0]} {role}" for role in ROLE_VIEWS}


@pytest.fixture
def case():
    """A case all of whose texts are hostile: every word is an entity of its own type."""
    tokens = [" ".join(text.split()) for text in TEXTS]
    tags = [f"B-{token.replace(' ', '')}" for token in tokens]
    return {
        "kind": "helped",
        "post_id": TEXTS[1],
        "image_id": "one",
        "agreeing": 2,
        "seeds": 3,
        "tokens": tokens,
        "gold": tags,
        **{role: ["O"] * len(tokens) for role in ROLE_VIEWS},
        "context": list(TEXTS),
        "kinds": [TEXTS[2]] * len(TEXTS),
    }


def test_segments_of_a_tagged_post():
    assert list(tag_segments(["a", "b", "c", "d"], ["O", "B-X", "I-X", "B-Y"])) == [("a", ""), ("b c", "X"), ("d", "Y")]
    assert list(tag_segments(["a", "b"], ["B-X", "O"])) == [("a", "X"), ("b", "")]
    assert list(tag_segments([], [])) == []


def test_the_page_shows_every_text_and_runs_nothing(case):
    groups = {"helped": [case], "misled": []}
    root = assert_harmless(cases_page.to_html(groups, NAMES, list(TEXTS), {}))
    section = root.one("section", class_="case")
    assert section.one("h3").text == f"{TEXTS[1]}, 2 of 3 seeds"
    assert section.texts("dt") == ["gold", *NAMES.values(), f"image text: {TEXTS[2]}"]
    marks = section.texts("mark")
    expected = [" ".join(text.split()) for text in TEXTS]
    assert marks == [f"{text} {text.replace(' ', '')}" for text in expected]
    untagged = " ".join(expected)
    assert section.texts("dd")[1:4] == [untagged] * 3
    assert section.one("dd", class_="context").text == untagged
    assert root.texts("p", class_="note") == expected
    assert not list(section.all("img"))
    assert root.texts("h2") == ["Image text helped", "Image text misled, alignment did not"]
    assert "None." in root.texts("p"), "no case misled"
    classes = {mark.attributes["class"] for mark in section.all("mark")}
    assert classes == {f"type-{number}" for number in range(cases_page.TYPE_COLOURS)}


def test_markdown_shows_every_text_and_makes_nothing_of_it(case):
    text = cases_page.to_markdown({"helped": [case], "misled": []}, NAMES, list(TEXTS))
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    assert not {token.type for token in tokens} & {"html_block", "hr", "fence", "code_block", "table_open"}
    assert [token.tag for token in tokens if token.type == "heading_open"] == ["h1", "h2", "h3", "h2"]
    inline = [token for token in tokens if token.type == "inline"]
    kinds = {child.type for token in inline for child in token.children}
    assert kinds <= {"text", "text_special", "strong_open", "strong_close"}
    texts = ["".join(child.content for child in token.children) for token in inline]
    expected = [" ".join(word.split()) for word in TEXTS]
    assert texts[1 : 1 + len(TEXTS)] == expected, "the notes"
    assert texts[2 + len(TEXTS)] == f"{TEXTS[1]}, 2 of 3 seeds"
    assert texts[-4] == f"{NAMES['aligned']}: {' '.join(expected)}"
    assert texts[-3] == f"image text ({TEXTS[2]}): {' '.join(expected)}"
    assert texts[-1] == "None."


def test_entities_are_bold_with_their_type():
    tagging = Tagging("gold", [("<b>Mia Ray*</b>", "PER"), ("&co", "")])
    assert cases_page._bold_entities(tagging) == r"**\<b\>Mia Ray\*\</b\>** (PER) \&co"


def test_thumbnails_of_the_images_that_can_be_read(tmp_path, case):
    images = write_tables(tmp_path)["images"]
    thumbnails = cases_page.make_thumbnails({"one", "two", "three", None}, images, 100)
    assert thumbnails.keys() == {"one"}, "one image is there, one missing, one gone"
    page = assert_harmless(cases_page.to_html({"helped": [case]}, NAMES, [], thumbnails))
    source = page.one("img").attributes["src"].removeprefix("data:image/jpeg;base64,")
    with Image.open(io.BytesIO(base64.b64decode(source))) as image:
        assert (image.format, image.size) == ("JPEG", (100, 50))
    assert cases_page.make_thumbnails({"one"}, images, 0) == {}
