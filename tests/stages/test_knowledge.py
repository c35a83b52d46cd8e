"""The stage knowledge: what is asked, what is kept, what becomes of servers that misbehave."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from ita.cli import run_stage
from ita.errors import UserError
from ita.io import parquet
from ita.stages import context, gather, knowledge
from ita.vision.sharding import shard_batches
from tests.support.chat_server import KEY, asked_text, chat_server, echo, reply
from tests.support.pictures import scene
from tests.support.web import environment

FAST = {"model": "made", "allow_networks": ["127.0.0.1"], "backoff": 0.01, "timeout": 2.0, "max_failed": 1.0}
COUNT = 6


@pytest.fixture
def folder(tmp_path):
    """Posts with pictures, and tables of these."""
    rows = [
        {
            "post_id": f"p{number}",
            "split": "train" if number < 3 else "test",
            "image_id": f"i{number}" if number != 5 else None,
            "tokens": ["Kim", "visits", f"Town{number}"],
            "tags": ["O"] * 3,
        }
        for number in range(COUNT)
    ]
    parquet.write("posts", rows, tmp_path / "posts.parquet")
    images = []
    for number in range(COUNT - 1):
        scene(64, 48, number).save(tmp_path / f"i{number}.png")
        images.append({"image_id": f"i{number}", "status": "ok", "path": f"i{number}.png", "width": 64, "height": 48})
    parquet.write("images", images, tmp_path / "images.parquet")
    captions = [
        {"image_id": f"i{number}", "rank": rank, "caption": f"scene {number}{'ab'[rank]}"}
        for number in range(COUNT - 1)
        for rank in (1, 0)
    ]
    parquet.write("captions", captions, tmp_path / "captions.parquet")
    objects = [{"image_id": "i0", "rank": 0, "label": "dog", "attributes": [{"label": "red", "score": 0.9}]}]
    parquet.write("objects", objects, tmp_path / "objects.parquet")
    parquet.write("ocr", [{"image_id": "i0", "text": "BIG\nSIGN"}], tmp_path / "ocr.parquet")
    return tmp_path


def made(folder, shard=None, name="made", output="out.parquet", **settings):
    """Rows of the stage, by post."""
    tables = {name: folder / f"{name}.parquet" for name in ("images", "objects", "captions", "ocr")}
    content = {"knowledge": {**FAST, **settings}, "name": name}
    knowledge.work(content, folder / output, folder / "posts.parquet", **tables, shard=shard)
    return {row["post_id"]: row for row in parquet.rows("knowledge", folder / output)}


def test_every_post_is_asked_about_once(folder):
    with chat_server(delay=0.02) as server:
        rows = made(folder, address=server.address, concurrency=3)
        assert [row["status"] for row in rows.values()] == ["ok"] * COUNT
        assert rows["p3"]["text"] == "notes on Kim visits Town3"
        assert (rows["p3"]["model"], rows["p3"]["prompt_tokens"], rows["p3"]["completion_tokens"]) == ("made-1", 7, 3)
        assert len(server.requests) == COUNT and 1 < server.most_active <= 3
        assert set(server.paths) == {"/v1/chat/completions"}
        by_post = {asked_text(request).split("\n")[0]: request for request in server.requests}
        first = by_post["Post: Kim visits Town0"]
        assert "Picture: scene 0a\n" in asked_text(first) and first["messages"][0]["role"] == "system"
        assert (first["temperature"], first["max_tokens"], first["model"]) == (0, 160, "made")
        assert "Picture" not in asked_text(by_post["Post: Kim visits Town5"]).split("\n")[1], "there is none"
        again = made(folder, address=server.address)
        assert again == rows and len(server.requests) == COUNT, "nothing is asked twice"
    counts = parquet.metadata(folder / "out.parquet")["counts"]
    assert (counts["ok"], counts["asked"], counts["prompt_tokens"], counts["completion_tokens"]) == (6, 0, 42, 18)


def test_shards_make_the_same_table(folder, monkeypatch):
    monkeypatch.setattr(shard_batches, "__defaults__", (2, 2))
    with chat_server() as server:
        whole = made(folder, address=server.address)
        for number in (1, 2, 3):
            made(folder, f"{number}-of-3", output=f"{number}-of-3.parquet", address=server.address)
        assert len(server.requests) == COUNT
    gather.work({}, [folder / f"{number}-of-3.parquet" for number in (1, 2, 3)], folder / "joined.parquet")
    assert {row["post_id"]: row for row in parquet.rows("knowledge", folder / "joined.parquet")} == whole


def test_a_change_asks_again_only_what_it_changes(folder):
    template = folder / "mine.txt"
    template.write_text("[user]\nSay: {text}\nSeen: {caption}\n")
    with chat_server() as server:
        made(folder, address=server.address)
        made(folder, address=server.address, template=str(template))
        assert len(server.requests) == 2 * COUNT, "another template"
        rows = parquet.rows("captions", folder / "captions.parquet")
        rows[1]["caption"] = "another scene"
        parquet.write("captions", rows, folder / "captions.parquet")
        made(folder, address=server.address)
        assert len(server.requests) == 2 * COUNT + 1, "one caption"
        made(folder, address=server.address, timeout=3.0, prompt_price=1.0, concurrency=1)
        assert len(server.requests) == 2 * COUNT + 1, "what changes no answer"
        made(folder, address=server.address, max_tokens=20)
        assert len(server.requests) == 3 * COUNT + 1


def test_pictures_are_sent_first_and_small(folder):
    with chat_server() as server:
        made(folder, address=server.address, template="image-text", max_pixels=800)
        contents = [request["messages"][-1]["content"] for request in server.requests]
        with_picture = [content for content in contents if isinstance(content, list)]
        assert len(with_picture) == COUNT - 1
        picture, text = with_picture[0]
        assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,") and text["type"] == "text"
        size = Image.open(io.BytesIO(base64.b64decode(picture["image_url"]["url"].partition(",")[2]))).size
        assert size[0] * size[1] <= 800
        made(folder, address=server.address, template="image-text", max_pixels=800, blank=["image"])
        control = [request["messages"][-1]["content"] for request in server.requests[COUNT:]]
        assert all(isinstance(content, str) for content in control), "the control without the picture"
        # A post without a picture is asked the same in both.
        assert len(control) == COUNT - 1


def sequence(*behaviours):
    """Each request of a post meets the next behaviour; the last one stays."""
    seen = {}

    def behave(handler, request):
        text = asked_text(request)
        seen[text] = seen.get(text, 0) + 1
        behaviours[min(seen[text], len(behaviours)) - 1](handler, request)

    return behave


def says(code, content, **headers):
    return lambda handler, request: handler.send(code, content, **headers)


def half(handler, request):
    handler.close_connection = True
    data = json.dumps(reply("half")).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(2 * len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def endless(handler, request):
    handler.close_connection = True
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


ERROR = {"error": {"message": f"overloaded, your key {KEY} is fine", "code": "busy"}}
MENDED = {
    "429 with Retry-After": says(429, ERROR, Retry_After="0"),
    "500": says(500, ERROR),
    "503 that is no JSON": says(503, b"<html>"),
    "half an answer": half,
    "invalid JSON": says(200, b'{"choices": [{"mess'),
    "another JSON": says(200, ["no", "object"]),
    "no message": says(200, {"choices": [{}]}),
    "a list of numbers as text": says(200, reply(12)),
    "never ending": endless,
}


@pytest.mark.parametrize("behaviour", MENDED.values(), ids=MENDED)
def test_what_a_retry_mends(folder, behaviour, monkeypatch):
    monkeypatch.setenv("MADE_KEY", KEY)
    options = {"timeout": 0.4, "key_variable": "MADE_KEY"}
    with chat_server(sequence(behaviour, echo)) as server:
        rows = made(folder, address=server.address, **options)
        assert {row["status"] for row in rows.values()} == {"ok"} and len(server.requests) == 2 * COUNT
        assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    with chat_server(behaviour) as server:
        rows = made(folder, address=server.address, attempts=2, output="b.parquet", name="b", max_tokens=9, **options)
        assert len(server.requests) == 2 * COUNT
    for row in rows.values():
        assert (row["status"], row["text"]) == ("failed", "") and row["error"]
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.suffix in (".parquet", ".jsonl"))
    assert KEY.encode() not in written
    with chat_server() as server:
        made(folder, address=server.address, attempts=2, max_tokens=9, **options)
        assert len(server.requests) == COUNT, "failed posts are asked again"


def test_a_wait_that_a_server_asks_for_is_kept(folder):
    started = time.monotonic()
    with chat_server(sequence(says(429, ERROR, Retry_After="1"), echo)) as server:
        rows = made(folder, address=server.address)
        assert {row["status"] for row in rows.values()} == {"ok"}
    assert time.monotonic() - started >= 1
    with chat_server(says(429, ERROR, Retry_After="3600")) as server:
        rows = made(folder, address=server.address, max_tokens=9)
        assert {row["status"] for row in rows.values()} == {"failed"} and len(server.requests) == COUNT


FINAL = {
    "empty choices": (says(200, {"choices": []}), "empty"),
    "empty text": (says(200, reply("  ")), "empty"),
    "no text": (says(200, reply(None)), "empty"),
    "thoughts without an end": (says(200, reply("<think> hm", "length")), "empty"),
    "refusal": (says(200, reply(None, refusal="I will not")), "refused"),
    "filtered": (says(200, reply("part of", "content_filter")), "refused"),
    "filtered prompt": (says(400, {"error": {"code": "content_filter", "message": "no"}}), "refused"),
}


@pytest.mark.parametrize(("behaviour", "status"), FINAL.values(), ids=FINAL)
def test_answers_without_text_are_statuses(folder, behaviour, status):
    with chat_server(behaviour) as server:
        rows = made(folder, address=server.address)
        made(folder, address=server.address)
        assert len(server.requests) == COUNT, "asked once"
    assert {(row["status"], row["text"]) for row in rows.values()} == {(status, "")}


def test_thoughts_are_no_answer(folder):
    with chat_server(says(200, reply("<think>who is\nKim?</think>\n\nKim: a person"))) as server:
        assert made(folder, address=server.address)["p0"]["text"] == "Kim: a person"


def test_an_error_text_never_becomes_context(folder):
    def behave(handler, request):
        if "Town1" in asked_text(request):
            handler.send(400, {"error": {"message": "prompt too long"}})
        else:
            echo(handler, request)

    with chat_server(behave) as server:
        rows = made(folder, address=server.address, output="gpt.parquet")
    assert rows["p1"]["status"] == "failed" and "prompt too long" in rows["p1"]["error"]
    settings = {"context": {"kinds": ["gpt"], "budget": {"gpt": 4}}}
    output = folder / "context.parquet"
    context.work(settings, output, folder / "posts.parquet", folder, knowledge=[folder / "gpt.parquet"])
    contexts = {row["post_id"]: row for row in parquet.rows("contexts", output)}
    assert contexts["p0"]["tokens"] == ["notes", "on", "Kim", "visits"] and contexts["p0"]["truncated"] == 1
    assert set(contexts["p0"]["kinds"]) == {"gpt"} and contexts["p1"]["tokens"] == []
    recorded = parquet.metadata(output)["image_settings"]["knowledge"]["gpt"]
    assert recorded["model"] == "made"


WRONG = {
    "401": (says(401, ERROR), {}, "http-401"),
    "404": (says(404, ERROR), {}, "knowledge.address"),
    "redirect": (says(302, b"", Location="http://10.0.0.1/v1"), {}, "redirect"),
    "private": (echo, {"allow_networks": []}, "private-address"),
    "too many": (says(500, ERROR), {"max_failed": 0.2, "attempts": 1}, r"2 of 6 posts failed .*goes on"),
    "no key": (echo, {"key_variable": "NOT_SET_AT_ALL"}, "NOT_SET_AT_ALL is not set"),
    "no network": (echo, {"allow_networks": ["everywhere"]}, "allow_networks"),
    "no model": (echo, {"model": None}, "knowledge.model"),
}


@pytest.mark.parametrize(("behaviour", "settings", "message"), WRONG.values(), ids=WRONG)
def test_what_ends_a_job(folder, behaviour, settings, message, monkeypatch):
    with chat_server(behaviour) as server, pytest.raises(UserError, match=message) as raised:
        made(folder, address=server.address, concurrency=1, **settings)
    assert len(server.requests) <= 2 and not (folder / "out.parquet").exists()
    assert KEY not in str(raised.value) or "key" not in settings


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://169.254.169.254/v1", "private-address"),
        ("ftp://127.0.0.1/v1", "bad-scheme"),
        ("https://user:word@127.0.0.1/v1", "key_variable"),
        ("http://example.org/v1", "unencrypted"),
    ],
)
def test_addresses_that_are_not_asked(folder, address, message, monkeypatch):
    monkeypatch.setenv("MADE_KEY", KEY)
    with pytest.raises(UserError, match=message):
        made(folder, address=address, key_variable="MADE_KEY")


def test_the_template_backend_asks_nobody(folder):
    rows = made(folder, backend="template", model=None)
    assert rows["p0"]["text"] == "The picture shows scene 0a. There is red dog in it. The writing in it says BIG SIGN."
    assert rows["p1"]["text"] == "The picture shows scene 1a." and rows["p1"]["model"] is None
    assert rows["p5"]["status"] == "empty"
    assert "no language model" in parquet.metadata(folder / "out.parquet")["engine"]["note"]


KILLED_AT = (1, 2, 3, 4, 5)


def test_five_kills_make_the_same_table(folder):
    options = {"concurrency": 1, "name": "made"}
    with chat_server() as server:
        whole = made(folder, address=server.address, output="whole.parquet", model="first", **options)
    with chat_server(delay=0.15) as server:
        settings = {"knowledge": {**FAST, "model": "second", "address": server.address, "concurrency": 1}}
        files = {"posts": "posts", "captions": "captions", "output": "cut"}
        arguments = [
            part for option, name in files.items() for part in (f"--{option}", str(folder / f"{name}.parquet"))
        ]
        command = [sys.executable, "-m", "ita", "knowledge", "--settings", json.dumps(settings), *arguments]
        for moment in KILLED_AT:
            process = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
            already = len(server.requests)
            deadline = time.monotonic() + 60
            while len(server.requests) == already and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.01)
            time.sleep(0.1 if moment % 2 else 0.2)  # while it waits, or just after the answer
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert not (folder / "cut.parquet").exists()
        answers = folder / "answers"
        with open(next(answers.glob("knowledge.*.jsonl")), "ab") as file:
            file.write(b'{"key": "half of a li')
        assert run_stage(knowledge, command[4:]) == 0
        assert COUNT <= len(server.requests) <= COUNT + len(KILLED_AT), "at most the one in flight is asked again"
    cut = parquet.rows("knowledge", folder / "cut.parquet")
    timeless = [{**row, "seconds": None} for row in cut]
    assert timeless == [{**row, "seconds": None} for row in whole.values()]
