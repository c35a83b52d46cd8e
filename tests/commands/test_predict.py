"""Tagging new posts."""

import io
import json

import pytest

from ita.commands import predict
from ita.commands.predict import parse_post
from ita.data.visual_context import (
    SEPARATOR,
    VisualContext,
    character_alignment,
    concatenate,
    global_alignment,
    local_alignment,
)
from tests.support.runs import trained


@pytest.fixture(scope="module")
def run(corpus, tiny_encoder, tmp_path_factory):
    """A trained run of the view I+T."""
    return trained(corpus, tmp_path_factory.mktemp("runs") / "run", tiny_encoder, {"views": ["it"]}, epochs=30)


def answers(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_predict_reads_text_tokens_and_context(run, tmp_path, capsys):
    lines = [
        "aa xb cc",
        '{"tokens": ["xa", "b"], "context": ["man"]}',
        "{oops",
        '{"tokens": []}',
        '{"text": "b xc", "context": "house tree"}',
    ]
    (tmp_path / "posts.txt").write_text("\n".join(lines) + "\n\n")
    capsys.readouterr()
    assert predict.main([str(run), str(tmp_path / "posts.txt")]) == 0
    text, tokens, broken, empty, place = answers(capsys)
    assert "expected a JSON object" in broken["error"]
    assert empty == {"error": "expected at least one word"}
    assert text["tokens"] == ["aa", "xb", "cc"]
    assert [text["view"], tokens["view"], place["view"]] == ["t", "it", "it"]
    (person,) = tokens["spans"]
    assert person.keys() == {"start", "end", "type", "posterior", "words"}
    assert (person["start"], person["end"], person["type"], person["words"]) == (0, 1, "PER", ["xa"])
    assert 0.5 < person["posterior"] <= 1
    (location,) = place["spans"]
    assert (location["type"], location["from"], location["to"], location["words"]) == ("LOC", 2, 4, ["xc"])


def test_standard_input_in_chunks_gives_the_same_answers(run, tmp_path, capsys, monkeypatch):
    lines = [json.dumps({"text": f"{'ab' * (n % 3)} x{'abc'[n % 3]}", "context": "man"}) for n in range(7)]
    (tmp_path / "posts.txt").write_text("\n".join(lines))
    capsys.readouterr()
    assert predict.main([str(run), str(tmp_path / "posts.txt")]) == 0
    whole = answers(capsys)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    monkeypatch.setattr(predict, "CHUNK", 3)
    assert predict.main([str(run), "--batch-size", "2"]) == 0
    assert answers(capsys) == whole
    assert len(whole) == 7


def test_a_folder_without_a_model_is_named(tmp_path, capsys):
    (tmp_path / "posts.txt").write_text("a")
    assert predict.main([str(tmp_path), str(tmp_path / "posts.txt")]) == 1
    assert f"{tmp_path}: not a model folder" in capsys.readouterr().err


def test_words_of_plain_text():
    post = parse_post("RT @bob: it's #NYC_2014 ’n’ 5€")
    assert post.tokens == ["RT", "@", "bob", ":", "it's", "#", "NYC", "_", "2014", "’", "n", "’", "5", "€"]
    assert ["RT @bob: it's #NYC_2014 ’n’ 5€"[start:end] for start, end in post.offsets] == post.tokens
    assert post.context == VisualContext([], [])


def test_the_context_that_inspect_prints_is_read_as_it_was_made():
    objects = [{"label": "tennis racket", "attributes": [{"label": "red", "score": 0.9}]}]
    context = concatenate(
        [
            local_alignment(objects, 0.1, 3, 100),
            global_alignment(["a man", "a <EOS> dog", "two men"], 5),
            character_alignment("BIG\nSIGN"),
        ]
    )
    post = parse_post(json.dumps({"tokens": ["a"], "context": context.segments()}))
    assert post.context.words == context.words
    assert [kind == SEPARATOR for kind in post.context.kinds] == [kind == SEPARATOR for kind in context.kinds]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "expected a JSON object or plain text"),
        ('{"words": ["a"]}', "expected 'tokens' or 'text'"),
        ('{"text": 1}', "expected 'tokens' or 'text'"),
        ('{"text": " "}', "expected at least one word"),
        ('{"tokens": ["a", ""]}', "expected 'tokens' to be a list of non-empty strings"),
        ('{"text": "a", "context": {"b": 1}}', "expected 'context' to be a string or a list of strings"),
        ('{"text": "a", "context": [1]}', "expected 'context' to be a string or a list of strings"),
    ],
)
def test_lines_that_cannot_be_read(line, message):
    with pytest.raises(ValueError, match=message):
        parse_post(line)
