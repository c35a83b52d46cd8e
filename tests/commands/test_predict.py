"""ita predict: posts from files and streams, answers to files and streams."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ita.commands import predict
from tests.support.runs import trained
from tests.support.web import environment, picture


@pytest.fixture(scope="module")
def run(corpus, tiny_encoder, tmp_path_factory):
    """A trained run of the view I+T."""
    return trained(corpus, tmp_path_factory.mktemp("runs") / "run", tiny_encoder, {"views": ["it"]}, epochs=30)


def answers(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def predicted(capsys, *arguments, expect=0):
    """What is printed."""
    capsys.readouterr()
    assert predict.main([*map(str, arguments)]) == expect
    return answers(capsys)


def test_lines_of_text_tokens_and_context(run, tmp_path, capsys):
    lines = [
        "aa xb cc",
        '{"tokens": ["xa", "b"], "context": ["man"], "id": 7, "lang": "en"}',
        "{oops",
        '{"tokens": []}',
        '{"text": "b  xc", "context": "house tree"}',
    ]
    (tmp_path / "posts.txt").write_text("\n".join(lines) + "\n\n")
    text, tokens, broken, empty, place = predicted(capsys, run, tmp_path / "posts.txt")
    assert "expected a JSON object" in broken["error"] and broken["line"] == 3
    assert empty["error"] == "expected at least one word"
    assert text["tokens"] == ["aa", "xb", "cc"]
    assert [text["view"], tokens["view"], place["view"]] == ["t", "it", "it"]
    assert (tokens["id"], tokens["lang"], tokens["text"]) == (7, "en", "xa b")
    (person,) = tokens["entities"]
    assert person.keys() == {"start", "end", "type", "score", "surface", "words"} and 0.5 < person["score"] <= 1
    assert (person["start"], person["end"], person["type"], person["words"]) == (0, 2, "PER", [0, 1])
    (location,) = place["entities"]
    assert (location["type"], location["start"], location["end"], location["surface"]) == ("LOC", 3, 5, "xc")


@pytest.mark.parametrize("marked", [False, True])
def test_lone_surrogates_and_byte_order_marks(run, tmp_path, capsys, marked):
    content = b'{"text": "a \\ud83d"}\n{"tokens": ["\\udc00"]}\n{"text": "b xc"}\n'
    (tmp_path / "posts.jsonl").write_bytes(b"\xef\xbb\xbf" * marked + content + b"\xff\xfe{\n")
    first, second, third, last = predicted(capsys, run, tmp_path / "posts.jsonl")
    assert "U+D83D" in first["error"] and "U+DC00" in second["error"] and "expected a JSON object" in last["error"]
    assert third["tokens"] == ["b", "xc"]


ROWS = [("1", "b xc", "man"), ("2", "", ""), ("3", "b xc\nd", "house tree"), ("4", '"a" xa', "")]


@pytest.fixture
def files(tmp_path):
    """The same posts in every format."""
    columns = ("id", "text", "context")
    for name, delimiter in (("posts.csv", ","), ("posts.tsv", "\t")):
        text = io.StringIO()
        csv.writer(text, delimiter=delimiter).writerows([columns, *ROWS])
        (tmp_path / name).write_text(text.getvalue())
    records = [dict(zip(columns, row, strict=True)) for row in ROWS]
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "posts.parquet")
    return tmp_path


def test_every_format_gives_the_same_answers(run, files, capsys):
    expected = [answer.get("entities") for answer in predicted(capsys, run, files / "posts.jsonl")]
    assert expected[1] is None and expected[0][0]["type"] == "PER" and expected[2][0]["type"] == "LOC"
    for name in ("posts.csv", "posts.tsv", "posts.parquet"):
        found = predicted(capsys, run, files / name)
        assert [answer.get("entities") for answer in found] == expected, name
        assert [answer["id"] for answer in found] == ["1", "2", "3", "4"]
    for name, output_format in (("a.csv", "csv"), ("a.parquet", "parquet"), ("a.jsonl", "jsonl"), ("a.conll", "conll")):
        assert predicted(capsys, run, files / "posts.csv", "--output", files / name) == []
        assert (files / name).is_file() and not (files / f"{name}.part").exists(), output_format
    with open(files / "a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [json.loads(row["entities"] or "null") for row in rows] == expected
    assert [row["text"] for row in rows] == [row[1] for row in ROWS]
    conll = predicted_text(capsys, run, files / "posts.csv", "--format", "conll")
    assert conll == (files / "a.conll").read_text() and "xc\tB-PER\n" in conll


def predicted_text(capsys, *arguments):
    capsys.readouterr()
    assert predict.main([*map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_standard_input_of_every_format(run, files, monkeypatch, capsys):
    expected = predicted(capsys, run, files / "posts.jsonl")
    for name, arguments in (("posts.jsonl", []), ("posts.csv", ["--input-format", "csv"])):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((files / name).read_bytes())))
        found = predicted(capsys, run, *arguments, "--batch-size", "2")
        assert [answer.get("entities") for answer in found] == [answer.get("entities") for answer in expected]


def test_what_cannot_be_used_is_named(run, tmp_path, capsys):
    (tmp_path / "posts.txt").write_text("a")
    (tmp_path / "posts.csv").write_text("a\nb\n")
    for arguments, message in (
        ([tmp_path, tmp_path / "posts.txt"], f"{tmp_path}: not a model folder"),
        ([tmp_path / "none", tmp_path / "posts.txt"], "no such folder"),
        ([run, tmp_path / "none.txt"], "cannot be read"),
        ([run, tmp_path / "posts.csv"], "expected a column 'text' or 'tokens', found a"),
        ([run, tmp_path / "posts.txt", "--format", "csv"], "needs --output"),
        ([run, tmp_path / "posts.txt", "--settings", "["], "--settings is neither JSON"),
        ([run, tmp_path / "posts.txt", "--settings", '{"x": {}}'], "unknown section 'x'"),
    ):
        assert predict.main([*map(str, arguments)]) == 1
        assert message in capsys.readouterr().err


def test_a_model_without_images_leaves_them_alone(run, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(picture())
    (tmp_path / "posts.csv").write_text("text,image\nb xc,a.png\n")
    for view in ("auto", "t"):
        (answer,) = predicted(capsys, run, tmp_path / "posts.csv", "--view", view)
        assert (answer["view"], answer["image_status"], answer["image"]) == ("t", "unread", "a.png")


@pytest.fixture
def process(run, tmp_path):
    """Starts the command in a process of its own."""
    started = []

    def start(*arguments, **options):
        command = [sys.executable, "-m", "ita", "predict", str(run), *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        child = subprocess.Popen(command, env=environment(), text=True, **{**pipes, **options})
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        with suppress(BrokenPipeError, ValueError):  # pipes that a test has closed
            child.communicate()


def test_a_stream_is_answered_post_by_post(process):
    child = process()
    seconds = []
    for number in range(5):
        start = time.monotonic()
        child.stdin.write(f"post{number} xc\n")
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["text"] == f"post{number} xc", "before the next line was sent"
        seconds.append(time.monotonic() - start)
    assert max(seconds[1:]) < 1, seconds
    child.stdin.close()
    child.stdin = None
    assert child.wait(60) == 0


def test_a_reader_that_goes_away_ends_it_quietly(process):
    """Though its own input is still open: ``tail -f posts | ita predict MODEL | head -1``."""
    child = process()
    child.stdin.write("a\n")
    child.stdin.flush()
    assert json.loads(child.stdout.readline())["text"] == "a"
    child.stdout.close()
    with suppress(BrokenPipeError):  # it may have ended by then
        for _ in range(3):
            child.stdin.write("b\n")
            child.stdin.flush()
            time.sleep(0.2)
    child.stdout = None
    assert child.wait(60) == 0 and child.stderr.read() == ""


def test_an_interrupt_ends_it_while_it_waits(process):
    child = process()
    child.stdin.write("a\n")
    child.stdin.flush()
    child.stdout.readline()
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    assert child.stderr.read() == "predict: interrupted; with --output the same command goes on where it was\n"


def test_the_first_lines_of_a_long_file_come_at_once(process, tmp_path):
    (tmp_path / "posts.txt").write_text("b xc d e\n" * 20_000)
    child = process(tmp_path / "posts.txt")
    first = json.loads(child.stdout.readline())
    assert first["text"] == "b xc d e" and child.poll() is None, "the run goes on"


def test_a_killed_run_goes_on_where_it_was(process, run, tmp_path, capsys):
    lines = [f"b xc d{number % 50} e{number}" for number in range(30_000)]
    (tmp_path / "posts.txt").write_text("\n".join(lines) + "\n")
    output, journal = tmp_path / "out.jsonl", tmp_path / "out.jsonl.part" / "answers.jsonl"
    child = process(tmp_path / "posts.txt", "--output", output)
    deadline = time.monotonic() + 60
    while not (journal.is_file() and journal.stat().st_size > 10_000):
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not output.exists()
    done = journal.read_bytes().count(b"\n")
    assert 0 < done < len(lines)
    before = journal.read_bytes()[:5000]
    (tmp_path / "posts.txt").write_text("\n".join(lines[: done + 500]) + "\n")  # another input: anew
    assert predict.main([str(run), str(tmp_path / "posts.txt"), "--output", str(output)]) == 0
    assert "earlier run" not in capsys.readouterr().err
    assert len(output.read_text().splitlines()) == done + 500 and output.read_bytes().startswith(before)


def test_the_same_input_is_not_tagged_twice(run, tmp_path, capsys, monkeypatch):
    (tmp_path / "posts.txt").write_text("".join(f"b xc e{number}\n" for number in range(400)))
    output = tmp_path / "out.csv"
    tag = predict.tag_stream

    def stopped(*arguments):
        for number, batch in enumerate(tag(*arguments)):
            if number == 3:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(predict, "tag_stream", stopped)
    arguments = [str(run), str(tmp_path / "posts.txt"), "--output", str(output)]
    assert predict.main(arguments) == 130
    done = (tmp_path / "out.csv.part" / "answers.jsonl").read_bytes().count(b"\n")
    assert 0 < done < 400 and not output.exists()
    monkeypatch.setattr(predict, "tag_stream", tag)
    capsys.readouterr()
    assert predict.main(arguments) == 0
    assert f"{done} posts were answered by an earlier run" in capsys.readouterr().err
    rows = list(csv.DictReader(io.StringIO(output.read_text())))
    assert [row["text"] for row in rows] == [f"b xc e{number}" for number in range(400)]


@pytest.mark.parametrize("arguments", [["--quantize", "int8"], ["--precision", "bf16"]])
def test_fewer_bits_find_the_same_entities(run, tmp_path, capsys, arguments):
    words = ("xa", "xb", "xa xb", "xb aa xa")
    lines = [json.dumps({"tokens": ["aa", *text.split()], "context": ["man"]}) for text in words]
    (tmp_path / "posts.txt").write_text("\n".join(lines))
    exact = predicted(capsys, run, tmp_path / "posts.txt")
    rounded = predicted(capsys, run, tmp_path / "posts.txt", *arguments)
    scores = []
    for answer, expected in zip(rounded, exact, strict=True):
        pairs = list(zip(answer["entities"], expected["entities"], strict=True))
        assert all((a["type"], a["surface"]) == (b["type"], b["surface"]) for a, b in pairs)
        scores += [(a["score"], b["score"]) for a, b in pairs]
    assert all(abs(fewer - full) < 0.1 for fewer, full in scores)
    assert any(fewer != full for fewer, full in scores), "four digits of every score agree: was the precision heeded?"


def test_several_processes_give_the_same_answers(run, tmp_path, capsys):
    """In order, what cannot be read too."""
    lines = [f'{{"text": "{"xa b " * (number % 7 + 1)}", "id": {number}}}' for number in range(150)]
    lines[40] = "{oops"
    (tmp_path / "posts.txt").write_text("\n".join(lines))
    expected = predicted(capsys, run, tmp_path / "posts.txt")
    assert len(expected) == 150 and expected[40]["line"] == 41

    def rounded(answers):
        return [
            {**answer, "entities": [{**entity, "score": pytest.approx(entity["score"], abs=2e-4)} for entity in found]}
            if (found := answer.get("entities"))
            else answer
            for answer in answers
        ]

    assert predicted(capsys, run, tmp_path / "posts.txt", "--workers", 2) == rounded(expected)
    predicted(capsys, run, tmp_path / "posts.txt", "--workers", 0, expect=1)
