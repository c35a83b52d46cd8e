"""Answers that are kept, and responses that are none."""

import copy
import json
import os
import random

import pytest

from ita.download.errors import FetchError
from ita.errors import UserError
from ita.knowledge.answers import Answers, key_of
from ita.knowledge.replies import answer_of, error_of_status
from ita.knowledge.types import Answer, Question
from tests.support.chat_server import reply

QUESTIONS = [Question(key_of({"number": number}), "", "") for number in range(4)]


def kept(folder, name="made"):
    with Answers(folder, name) as answers:
        return dict(answers.known)


def add(folder, question, answer, name="made"):
    with Answers(folder, name) as answers:
        answers.add(question, answer)


def test_answers_of_all_files_are_known(tmp_path):
    first, second = Answer("ok", "a ü\n", model="m", seconds=0.5), Answer("refused", error="no")
    add(tmp_path, QUESTIONS[0], first, "one.1-of-2")
    add(tmp_path, QUESTIONS[1], second, "one.2-of-2")
    add(tmp_path, QUESTIONS[2], Answer("failed", error="later"))
    assert kept(tmp_path, "other") == {QUESTIONS[0].key: first, QUESTIONS[1].key: second}


def test_half_a_line_costs_only_itself(tmp_path):
    """A file cut at any byte holds the answers before the cut, and the next ones are kept."""
    for question in QUESTIONS[:3]:
        add(tmp_path, question, Answer("ok", "text"))
    path = tmp_path / "made.jsonl"
    content = path.read_bytes()
    ends = [index for index, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(0, len(content), 7):
        path.write_bytes(content[:cut])
        add(tmp_path, QUESTIONS[3], Answer("ok", "last"))
        whole = sum(end <= cut for end in ends)  # a line without its end is whole where nothing else is missing
        known = kept(tmp_path)
        assert known.keys() == {question.key for question in QUESTIONS[:whole]} | {QUESTIONS[3].key}


def test_a_changed_bit_is_told(tmp_path, caplog):
    add(tmp_path, QUESTIONS[0], Answer("ok", "a text", model="m", seconds=0.5))
    path = tmp_path / "made.jsonl"
    content = path.read_bytes()
    for position in range(len(content) - 1):
        changed = bytearray(content)
        changed[position] ^= 1 << (position % 7)
        path.write_bytes(changed)
        assert not kept(tmp_path)
    assert "damaged" in caplog.text
    path.write_bytes(content)
    assert kept(tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        [],
        {},
        {"key": 1, "status": "ok", "text": "a"},
        {"key": QUESTIONS[0].key, "status": "failed", "text": "a"},
        {"key": QUESTIONS[0].key, "status": "ok", "text": 7},
        {"key": QUESTIONS[0].key, "status": "ok"},
        {"key": "short", "status": "ok", "text": "a"},
    ],
)
def test_lines_that_are_none_are_skipped(tmp_path, values):
    checked = {**values, "sha256": key_of(values)} if isinstance(values, dict) else values
    (tmp_path / "made.jsonl").write_text(json.dumps(checked) + "\n")
    assert kept(tmp_path) == {}


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be kept"):
        kept(tmp_path / "file" / "answers")
    if os.geteuid():
        tmp_path.chmod(0o500)
        with pytest.raises(UserError, match="cannot be kept"):
            kept(tmp_path / "answers")


def mutated(value, draw):
    """A copy of JSON in which one value is another."""
    value = copy.deepcopy(value)
    places = []

    def visit(node):
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                visit(node[key])

    visit(value)
    node, key = draw.choice(places)
    node[key] = draw.choice([None, [], {}, -1, 1e300, True, "", "\ud800", [[1]], {"a": "b"}, 10**400])
    return value


def test_no_response_is_taken_for_what_it_is_not():
    draw = random.Random(0)
    answered = 0
    for _ in range(3000):
        value = mutated(mutated(reply("notes", refusal=None), draw), draw)
        content = json.dumps(value).encode()
        if draw.random() < 0.3:
            content = content[: draw.randrange(len(content))]
        try:
            answer = answer_of(content, 0.1)
        except FetchError as error:
            assert error.retryable
            continue
        answered += answer.status == "ok"
        assert answer.status in ("ok", "refused", "empty") and (answer.text != "") == (answer.status == "ok")
        for text in (answer.text, answer.error, answer.finish, answer.model):
            assert text is None or isinstance(text.encode(), bytes)
        for count in (answer.prompt_tokens, answer.completion_tokens):
            assert count is None or 0 <= count < 2**31
    assert answered > 300
    deep = b'{"choices": ' + b"[" * 100_000
    with pytest.raises(FetchError):
        answer_of(deep, 0.1)
    assert error_of_status(500, {}, deep).retryable
    assert not error_of_status(429, {}, b'{"error": {"code": "insufficient_quota"}}').retryable
