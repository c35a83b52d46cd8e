"""Servers that misbehave, and what becomes of the posts that they were asked about."""

import json
import time

import pytest

from ita.errors import UserError
from tests.support.asked_posts import COUNT, made, posts_with_pictures
from tests.support.chat_server import KEY, asked_text, chat_server, echo, reply
from tests.support.web import closed_port

folder = posts_with_pictures


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
    options = {"timeout": 1.5, "key_variable": "MADE_KEY"}
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


def test_a_key_that_is_repeated_is_not_kept(folder, monkeypatch):
    monkeypatch.setenv("MADE_KEY", KEY)
    options = {"key_variable": "MADE_KEY"}
    with chat_server(says(200, reply(f"your key is {KEY}"))) as server:
        assert made(folder, address=server.address, **options)["p0"]["text"] == "your key is ***"
    with chat_server(says(401, ERROR)) as server, pytest.raises(UserError) as raised:
        made(folder, address=server.address, max_tokens=9, **options)
    assert "your key *** is fine" in str(raised.value)


def test_a_name_is_checked_when_it_is_resolved(folder, monkeypatch):
    with chat_server() as server:
        address = server.address.replace("127.0.0.1", "localhost")
        with pytest.raises(UserError, match=r"localhost is .*allow_networks if it is yours"):
            made(folder, address=address, allow_networks=["10.0.0.0/8"])
        assert not server.requests
        rows = made(folder, address=address, allow_networks=["127.0.0.0/8", "::1"])
        assert rows["p0"]["status"] == "ok"


def test_a_server_that_is_away_ends_the_job(folder):
    with pytest.raises(UserError, match=r"posts failed .*connect"):
        made(folder, address=f"http://127.0.0.1:{closed_port()}/v1", attempts=2, max_failed=0.3)


def test_halves_of_characters_do_no_harm(folder):
    half = "Kim \ud83d"
    with chat_server(says(200, {**reply(half), "model": half})) as server:
        row = made(folder, address=server.address)["p0"]
        assert (row["text"], row["model"]) == ("Kim ?", "Kim ?")
    with chat_server(says(400, {"error": {"message": half}})) as server:
        assert "Kim ?" in made(folder, address=server.address, max_tokens=9)["p0"]["error"]


def test_thoughts_are_no_answer(folder):
    with chat_server(says(200, reply("<think>who is\nKim?</think>\n\nKim: a person"))) as server:
        assert made(folder, address=server.address)["p0"]["text"] == "Kim: a person"


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
