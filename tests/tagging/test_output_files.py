"""Answers as files."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from ita.data.formats import read_posts
from ita.errors import UserError
from ita.tagging.output_files import PartialAnswers, conll_lines, format_of, write_stream
from ita.tagging.results import Entity, TaggedPost

ENTITY = Entity(0, 7, "PER", 0.98765, "Ada  L.", (0, 2))
POSTS = [
    TaggedPost("Ada  L. x", ["Ada", "L.", "x"], [ENTITY], "it", "ok", columns={"id": 1, "lang": "en", "view": "mine"}),
    TaggedPost("b", ["b"], [], "t", "missing", "not-found: b.png", columns={"id": 2.5, "image": "b.png"}),
    TaggedPost(None, [], [], error="expected 'text'", line=3, columns={"id": None, "text": 1, "lang": ["a"]}),
]
ANSWERS = [post.to_dict() for post in POSTS]


def finished(tmp_path, name, format_name):
    with PartialAnswers(tmp_path / name, {}) as answers:
        answers.add(ANSWERS[:2])
        answers.add(ANSWERS[2:])
        assert not (tmp_path / name).exists()
        answers.finish(format_name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    return tmp_path / name


def test_formats_by_name():
    names = ["a.csv", "b.PARQUET", "c.conll", "d.jsonl", "e", ""]
    assert [format_of(name) for name in names] == ["csv", "parquet", "conll", "jsonl", "jsonl", "jsonl"]


def test_an_answer_has_what_came_with_the_post_and_what_was_found():
    first, second, third = ANSWERS
    assert first == {
        "id": 1,
        "lang": "en",
        "input_view": "mine",
        "text": "Ada  L. x",
        "tokens": ["Ada", "L.", "x"],
        "view": "it",
        "image_status": "ok",
        "entities": [{"start": 0, "end": 7, "type": "PER", "score": 0.9877, "surface": "Ada  L.", "words": [0, 2]}],
    }
    assert second["image"] == "b.png" and second["image_error"] == "not-found: b.png" and second["entities"] == []
    assert third == {"id": None, "lang": ["a"], "input_text": 1, "line": 3, "error": "expected 'text'"}


def test_values_that_json_does_not_know():
    day = pd.Timestamp("2026-11-28")
    columns = {"a": float("nan"), "b": np.int64(3), "c": b"xy", "d": day, "e": pd.NA, "f": {"g": (1, "\ud83d")}}
    post = TaggedPost("a", ["a"], [], "t", columns={**columns, "image": b"bytes", "h\ud83d": np.array([1.5])})
    answer = json.loads(json.dumps(post.to_dict(), ensure_ascii=False).encode())
    given = {"a": None, "b": 3, "c": "eHk=", "d": "2026-11-28 00:00:00", "e": None, "f": {"g": [1, "\ufffd"]}}
    assert {name: answer[name] for name in (*columns, "h\ufffd")} == {**given, "h\ufffd": [1.5]}
    assert "image" not in answer, "the bytes of an image do not come back"


def test_json_lines(tmp_path):
    lines = finished(tmp_path, "a.jsonl", "jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == ANSWERS


def test_csv(tmp_path):
    rows = list(csv.DictReader(io.StringIO(finished(tmp_path, "a.csv", "csv").read_text())))
    given = ["id", "lang", "input_view", "image", "input_text"]
    assert list(rows[0]) == [
        *given,
        "text",
        "tokens",
        "view",
        "image_status",
        "image_error",
        "entities",
        "line",
        "error",
    ]
    assert json.loads(rows[0]["entities"]) == ANSWERS[0]["entities"] and rows[0]["text"] == "Ada  L. x"
    assert [row["error"] for row in rows] == ["", "", "expected 'text'"] and rows[2]["lang"] == '["a"]'


def test_parquet(tmp_path):
    rows = pq.ParquetFile(finished(tmp_path, "a.parquet", "parquet")).read().to_pylist()
    assert [row["id"] for row in rows] == [1.0, 2.5, None] and [row["lang"] for row in rows] == ["en", None, '["a"]']
    (entity,) = rows[0]["entities"]
    assert {**entity, "score": round(entity["score"], 4)} == ANSWERS[0]["entities"][0]
    assert rows[1]["entities"] == [] and rows[2]["entities"] is None and rows[2]["line"] == 3


def test_parquet_keeps_the_types_of_columns(tmp_path):
    values = {
        "whole": [1, None, 3],
        "number": [1, 2.5, None],
        "truth": [True, None, False],
        "words": [["a"], [], None],
        "structure": [{"a": 1}, None, {"a": 2, "b": "c"}],
        "nothing": [None, None, None],
    }
    mixed = {"mixed": [1, "a", [2]], "empty": [{}, None, {}], "large": [1 << 70, 1, None], "both": [True, 1, None]}
    columns = {**values, **mixed}
    with PartialAnswers(tmp_path / "a.parquet", {}) as answers:
        for number in range(3):
            given = {name: column[number] for name, column in columns.items()}
            answers.add([TaggedPost("a", ["a"], [], "t", columns=given).to_dict()])
        answers.finish("parquet")
    table = pq.ParquetFile(tmp_path / "a.parquet").read().to_pydict()
    expected = {**values, "structure": [{"a": 1, "b": None}, None, {"a": 2, "b": "c"}]}
    assert {name: table[name] for name in values} == expected
    text = {name: [None if value is None else json.dumps(value) for value in mixed[name]] for name in mixed}
    assert {name: table[name] for name in mixed} == {**text, "mixed": ["1", "a", "[2]"]}


def test_conll_is_read_back(tmp_path):
    text = finished(tmp_path, "a.conll", "conll").read_text()
    assert "# id = 1\n" in text and "# error = expected 'text'\n" in text
    words = "\n".join(line for line in text.splitlines() if not line.startswith("# "))
    posts = read_posts(words.encode(), "a.conll", "umt")
    assert [(post.tokens, post.tags) for post in posts] == [
        (["Ada", "L.", "x"], ["B-PER", "I-PER", "O"]),
        (["b"], ["O"]),
    ]
    assert conll_lines({"tokens": ["a b\t", "#"], "entities": []}) == "a_b_\tO\n#\tO\n\n"


def test_a_stream():
    target = io.StringIO()
    write_stream(iter([ANSWERS[:1], ANSWERS[1:]]), "jsonl", target)
    assert [json.loads(line) for line in target.getvalue().splitlines()] == ANSWERS


def test_a_stopped_run_goes_on(tmp_path):
    output = tmp_path / "new" / "a.jsonl"
    with PartialAnswers(output, {"model": 1}) as answers:
        answers.add(ANSWERS[:2])
    journal = output.parent / "a.jsonl.part" / "answers.jsonl"
    with open(journal, "ab") as file:
        file.write(b'{"half a li')
    with PartialAnswers(output, {"model": 1}) as answers:
        assert answers.count == 2
        answers.add(ANSWERS[2:])
        answers.finish("jsonl")
    assert [json.loads(line) for line in output.read_text().splitlines()] == ANSWERS


def test_another_run_starts_anew(tmp_path):
    for identity, expected in (({"model": 1}, 0), ({"model": 1}, 2), ({"model": 2}, 0)):
        with PartialAnswers(tmp_path / "a.csv", identity) as answers:
            assert answers.count == expected
            answers.drop()
            answers.add(ANSWERS[:2])


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"), PartialAnswers(tmp_path / "file" / "a.csv", {}):
        pass
