"""Texts with character offsets, as tools for annotation export them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ita.data.formats import read_posts
from ita.data.records import Layout
from ita.data.span_formats import TextSpan, words_of_text
from ita.data.tags import spans
from ita.errors import UserError

TEXT = "Kevin Durant\u2019s fans, at #NYC\U0001f600 Knicks!"
SPANS = [[0, 12, "PER"], [25, 28, "LOC"], [30, 36, "ORG"]]
OBJECTS = [{"start": start, "end": end, "label": label} for start, end, label in SPANS]
OFFSETS = [{"id": 1, "start_offset": start, "end_offset": end, "label": label} for start, end, label in SPANS]
UNITS = [(0, 12, "Kevin Durant", "PER"), (25, 28, "NYC", "LOC"), (31, 37, "Knicks", "ORG")]
"""Offsets in UTF-16 units, in which the emoji counts twice."""
VALUES = [{"start": start, "end": end, "text": text, "labels": [label]} for start, end, text, label in UNITS]
TASK = {
    "id": 5,
    "data": {"text": TEXT, "image": "7.jpg"},
    "annotations": [
        {"was_cancelled": True, "result": []},
        {"result": [{"type": "choices", "value": {}}, *({"type": "labels", "value": value} for value in VALUES)]},
    ],
}


def read(content):
    return read_posts(content.encode(), "f", "spans")


RECORDS = {
    "doccano": {"id": 5, "text": TEXT, "label": SPANS, "Comments": [], "image": "7.jpg"},
    "doccano with relations": {"id": 5, "text": TEXT, "image": "7.jpg", "relations": [], "entities": OFFSETS},
    "spaCy": {"text": TEXT, "ents": OBJECTS, "image": "7.jpg", "id": "5"},
    "spaCy 2": [TEXT, {"entities": SPANS, "image": "7.jpg", "id": 5}],
    "Prodigy": {"text": TEXT, "spans": OBJECTS[::-1], "tokens": [], "label": "x", "image": "7.jpg", "id": 5},
    "Label Studio": TASK,
    "Label Studio, JSON-MIN": {"id": 5, "text": TEXT, "image": "7.jpg", "label": VALUES},
}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("form", ["lines", "list", "indented list"])
def test_exports(name, form):
    records = [RECORDS[name]] * 2
    content = "\n".join(map(json.dumps, records)) if form == "lines" else json.dumps(records)
    if form == "indented list":
        content = json.dumps(records, indent=2)
    for post in read(content):
        entities = [(" ".join(post.tokens[span.start : span.end]), span.type) for span in spans(post.tags)]
        assert entities == [("Kevin Durant", "PER"), ("NYC", "LOC"), ("Knicks", "ORG")]
        assert (post.image_id, post.post_id) == ("7.jpg", "5")
        assert "".join(post.tokens) == TEXT.replace(" ", "")


@pytest.mark.parametrize(
    ("entities", "message"),
    [
        ([[0, 5, "PER"], [3, 8, "LOC"]], "entities that do not overlap, found 'Kevin' and 'in Du'"),
        ([[0, 500, "PER"]], "within the 37 characters"),
        ([[-1, 5, "PER"]], "within the 37 characters"),
        ([[5, 5, "PER"]], "within the 37 characters"),
        ([[5, 6, "PER"]], "an entity with a word, found blanks alone"),
        ([[0, 5]], "an entity: [start, end, type]"),
        ([[0, 5.0, "PER"]], "an entity: [start, end, type]"),
        ([[False, True, "PER"]], "an entity: [start, end, type]"),
        ([["0", "5", "PER"]], "an entity: [start, end, type]"),
        ([{"start": 0, "end": 5}], "an entity: [start, end, type]"),
        ([{"start": 0, "end": 5, "labels": ["PER", "LOC"]}], "an entity: [start, end, type]"),
        ([{"start": 1, "end": 5, "label": "PER", "text": "Kevin"}], "the text of an entity at its place, 'Kevin'"),
        ("PER", "a list of entities"),
        (None, "a key spans or entities or ents or label or labels or annotations, found the keys text, spans"),
    ],
)
def test_entities_that_do_not_fit_are_told(entities, message):
    good = json.dumps({"text": "a", "spans": []})
    with pytest.raises(UserError) as error:
        read(f"{good}\n" + json.dumps({"text": TEXT, "spans": entities}))
    assert str(error.value).startswith("f:2: expected ") and message in str(error.value)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": "a", "spans": [], "answer": "reject"}, "accepted answers alone, found 'answer': 'reject'"),
        (
            {"data": {"text": "a"}, "annotations": [{"result": [{"type": "hypertextlabels", "value": {}}]}]},
            "labels of plain text, found 'hypertextlabels'",
        ),
        ({"data": {"text": "a"}, "annotations": [{"result": []}, {"result": []}]}, "one annotation of a task"),
        ({"body": "a", "spans": []}, "'text' to be a string, found None among the keys body, spans"),
    ],
)
def test_what_would_be_read_wrongly_is_told(record, message):
    with pytest.raises(UserError) as error:
        read(json.dumps(record))
    assert str(error.value).startswith("f:1: expected ") and message in str(error.value)


def test_columns_by_other_names():
    record = {"body": "Ann", "label": [[0, 3, "PER"]], "photo": "7", "key": 5}
    layout = Layout({"text": "body", "image": "photo", "id": "key"})
    (post,) = read_posts(json.dumps(record).encode(), "f", "spans", layout)
    assert (post.tokens, post.tags, post.image_id, post.post_id) == (["Ann"], ["B-PER"], "7", "5")


def test_items_of_a_list_know_their_line():
    with pytest.raises(UserError, match="f:7: expected one annotation of a task"):
        read('[\n {"text": "a",\n  "spans": []\n },\n\n\n {"id": 1, "data": {"text": "a"}, "annotations": []}]')


def test_blanks_at_the_ends_and_repeated_entities_do_not_count():
    (post,) = read(json.dumps({"text": "I saw Ann .", "label": [[5, 10, "A  PER"], [5, 10, "A  PER"]]}))
    assert (post.tokens, post.tags) == (["I", "saw", "Ann", "."], ["O", "O", "B-A_PER", "O"])


@given(st.text(alphabet="ab #@.\u0301\u200d\U0001f600\u00a0\n", min_size=1, max_size=30), st.data())
def test_every_entity_is_exactly_its_words(text, data):
    edges = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    entities = [TextSpan(start, end, "X") for start, end in zip(edges[::2], edges[1::2], strict=False)]
    entities = [span for span in entities if not text[span.start].isspace() and not text[span.end - 1].isspace()]
    tokens, tags = words_of_text(text, entities)
    assert "".join(tokens) == "".join(text.split())
    surfaces = ["".join(tokens[span.start : span.end]) for span in spans(tags)]
    assert surfaces == ["".join(text[span.start : span.end].split()) for span in entities]
