"""The download stage against a server on loopback that misbehaves on purpose: one named test for each way."""

from __future__ import annotations

import gzip
import resource
import time
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.support import web
from tests.support.web import (
    Handler,
    Project,
    Reply,
    at_first,
    body,
    first,
    kind_of,
    noise,
    picture,
    png,
    raw,
    redirect,
    reset,
    serve,
    status,
)

server, project, clean_slate = web.server, web.project, web.clean_slate

WHOLE = noise()
OK = b"HTTP/1.1 200 OK\r\n"
MEBIBYTE = 1 << 20
LIMIT = 60_000


def drip(handler: Handler) -> None:
    """One byte every tenth of a second."""
    raw(OK + b"Content-Length: 1000\r\n\r\n", *[b"\x89"] * 60, pause=0.1)(handler)


def zeros(mebibytes: int, container: int) -> bytes:
    """Very many zeros in few bytes: one deflated block over and over, left open at the end."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, container)
    start = compressor.compress(b"") + compressor.flush(zlib.Z_FULL_FLUSH)
    return start + (compressor.compress(bytes(MEBIBYTE)) + compressor.flush(zlib.Z_FULL_FLUSH)) * mebibytes


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n") -> Reply:
    """A body in chunked transfer encoding."""
    blocks = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
    return raw(OK + b"Transfer-Encoding: chunked\r\n\r\n", *blocks, end)


MISBEHAVIOURS: dict[str, tuple[Reply, str, str]] = {
    "slow drip": (drip, "failed", "total-timeout"),
    "slow drip of headers": (raw(OK, *[b"X: y\r\n"] * 60, pause=0.1), "failed", "total-timeout"),
    "silence": (lambda handler: time.sleep(4.0), "failed", "read-timeout"),
    "silence after half": (raw(OK + b"Content-Length: 99\r\n\r\nx", b"", pause=2.0), "failed", "read-timeout"),
    "endless body": (raw(OK + b"\r\n", *[b"x" * 65_536] * 10_000), "refused", "too-large"),
    "endless chunks": (chunked(*[b"x" * 65_536] * 10_000), "refused", "too-large"),
    "endless headers": (raw(OK, *[b"X: y\r\n" * 5_000] * 100), "failed", "bad-response"),
    "header without end": (raw(OK + b"X: ", *[b"x" * 65_536] * 100), "failed", "bad-response"),
    "large body": (body(b"x" * 70_000), "refused", "too-large"),
    "Content-Length claims more": (body(WHOLE, Content_Length="9999", Connection="close"), "failed", "incomplete"),
    "Content-Length claims less": (
        body(WHOLE, Content_Length=str(len(WHOLE) // 2), Connection="close"),
        "refused|failed",  # by how the bytes come in
        "truncated|bad-response",
    ),
    "Content-Length claims a petabyte": (body(WHOLE, Content_Length=str(10**15)), "refused", "too-large"),
    "Content-Length negative": (body(WHOLE, Content_Length="-1"), "failed", "bad-response"),
    "two Content-Lengths": (body(WHOLE, **{"Content-Length": "7"}), "failed", "bad-response"),
    "no Content-Length": (raw(OK + b"\r\n" + WHOLE), "ok", ""),
    "no Content-Length and half": (raw(OK + b"\r\n" + WHOLE[: len(WHOLE) // 2]), "refused", "truncated"),
    "chunks": (chunked(WHOLE[:100], WHOLE[100:]), "ok", ""),
    "chunks without end": (chunked(WHOLE, end=b""), "failed", "incomplete"),
    "chunks of nonsense": (raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "failed", "bad-response|incomplete"),
    "gzip not asked for": (body(gzip.compress(WHOLE), Content_Encoding="gzip"), "ok", ""),
    "deflate not asked for": (body(zlib.compress(WHOLE), Content_Encoding="deflate"), "ok", ""),
    "gzip cut short": (body(gzip.compress(WHOLE)[:-20], Content_Encoding="gzip"), "failed", "incomplete"),
    "gzip of nonsense": (body(WHOLE, Content_Encoding="gzip"), "failed", "bad-encoding"),
    "unknown encoding": (body(WHOLE, Content_Encoding="br, gzip"), "refused", "bad-encoding"),
    "truncated JPEG": (body(WHOLE[: len(WHOLE) // 2]), "refused", "truncated"),
    "corrupt PNG": (body(picture()[:40] + b"\0" * 20), "refused", "corrupt|truncated|not-an-image"),
    "PNG bomb": (body(png((30_000, 30_000), 8, 2)), "refused", "too-many-pixels"),
    "image of no size": (body(b"GIF89a" + bytes(7) + b";"), "refused", "not-an-image|corrupt"),
    "HTML under an image name": (
        body(b"<!doctype html><html>not here</html>", Content_Type="image/png"),
        "refused",
        "not-an-image",
    ),
    "SVG": (
        body(b"<svg xmlns='http://www.w3.org/2000/svg'/>", Content_Type="image/svg+xml"),
        "refused",
        "not-an-image",
    ),
    "nothing": (body(b""), "refused", "not-an-image"),
    "no HTTP": (raw(b"220 mail.example ESMTP\r\n"), "failed", "bad-response"),
    "redirect loop": (lambda handler: handler.send(302, Location=handler.path), "refused", "too-many-redirects"),
    "redirect http to file": (redirect("file:///etc/passwd"), "refused", "bad-scheme"),
    "redirect to data": (redirect("data:image/png;base64,AAAA"), "refused", "bad-scheme"),
    "redirect to nonsense": (redirect("http://["), "refused", "bad-url"),
    "redirect to nowhere": (lambda handler: handler.send(302), "refused", "http-302"),
    "redirect to a private address": (redirect("http://10.0.0.1/a.png"), "refused", "private-address"),
    "redirect to loopback": (redirect("http://127.0.0.2/a.png"), "refused", "private-address"),
    "redirect to a link-local address": (
        redirect("http://169.254.169.254/latest/meta-data/"),
        "refused",
        "private-address",
    ),
    "redirect to a v4-mapped address": (redirect("http://[::ffff:a9fe:a9fe]/"), "refused", "private-address"),
    "redirect to link-local v6": (redirect("http://[fe80::1]/"), "refused", "private-address"),
    "404": (status(404), "missing", "http-404"),
    "410": (status(410), "missing", "http-410"),
    "401": (status(401), "refused", "http-401"),
    "403": (status(403), "refused", "http-403"),
    "418": (status(418), "refused", "http-418"),
    "500 then 200": (first(500, WHOLE), "ok", ""),
    "503 for ever": (status(503), "failed", "http-503"),
    "429 then 200": (first(429, WHOLE), "ok", ""),
    "connection reset": (reset, "failed", "disconnected|connection"),
    "connection reset then 200": (at_first(reset, body(WHOLE)), "ok", ""),
}
ONCE = {"401", "403", "404", "410", "418", "endless body", "large body", "HTML under an image name", "truncated JPEG"}
OPTIONS: dict[str, Any] = {"max_bytes": LIMIT, "attempts": 2}


def check(name: str, row: dict[str, Any]) -> None:
    """Asserts that a row says what happened."""
    _, state, kind = MISBEHAVIOURS[name]
    assert row["status"] in state.split("|"), row["error"]
    assert kind_of(row) in kind.split("|"), row["error"]
    assert (row["path"] is not None) == (state == "ok")


def urls_of(server: str, names: list[str]) -> dict[str, str]:
    """URLs that misbehave, by name."""
    Handler.replies = {f"/{n}": MISBEHAVIOURS[name][0] for n, name in enumerate(names)}
    return {name: f"{server}/{n}" for n, name in enumerate(names)}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_misbehaviour(project: Project, server: str, name: str) -> None:
    slow = "slow" in name or "silence" in name
    times = {"read_timeout": 0.4, "total_timeout": 1.0} if slow else {}
    row = project.run(urls_of(server, [name]), **OPTIONS, **times)[name]
    check(name, row)
    if name in ONCE:
        assert Handler.requests == {"/0": 1}
    if name == "redirect loop":
        assert Handler.requests == {"/0": 6}


def test_all_misbehaviours_in_one_run(project: Project, server: str) -> None:
    urls = {"scheme": "ftp://example.org/a.jpg", "local": "file:///etc/passwd", "junk": "http://[", "none": None}
    rows = project.run(
        urls_of(server, list(MISBEHAVIOURS)) | urls, **OPTIONS, read_timeout=1.5, total_timeout=4.0, per_host=16
    )
    assert list(rows) == [*MISBEHAVIOURS, *urls]
    for name in MISBEHAVIOURS:
        check(name, rows[name])
    outcomes = [(rows[name]["status"], kind_of(rows[name])) for name in urls]
    assert outcomes == [
        ("refused", "bad-scheme"),
        ("refused", "bad-scheme"),
        ("refused", "bad-url"),
        ("missing", "no-url"),
    ]


# Time


def test_slow_drip_ends_at_the_total_timeout(project: Project, server: str) -> None:
    start = time.monotonic()
    row = project.run(serve(server, drip=drip), total_timeout=0.5, attempts=3)["drip"]
    assert (row["status"], row["attempts"]) == ("failed", 1)
    assert time.monotonic() - start < 4


def test_total_timeout_covers_all_redirects(project: Project, server: str) -> None:
    def slowly(handler: Handler) -> None:
        time.sleep(0.25)
        handler.send(302, Location=f"{handler.path}x")

    Handler.replies |= {"/a" + "x" * n: slowly for n in range(9)}
    start = time.monotonic()
    row = project.run({"a": f"{server}/a"}, total_timeout=0.6, attempts=9)["a"]
    assert (kind_of(row), row["attempts"]) == ("total-timeout", 1)
    assert time.monotonic() - start < 4
    assert Handler.requests.total() <= 3


def test_total_timeout_covers_all_attempts_and_waits(project: Project, server: str) -> None:
    start = time.monotonic()
    row = project.run(serve(server, down=status(503)), total_timeout=0.8, attempts=20, backoff=0.2)["down"]
    assert (row["status"], row["http_status"]) == ("failed", 503)
    assert row["attempts"] <= 4
    assert time.monotonic() - start < 4


def test_waiting_for_a_turn_at_a_busy_host_is_free(project: Project, server: str) -> None:
    def slowly(handler: Handler) -> None:
        time.sleep(0.25)
        handler.send(200, WHOLE)

    rows = project.run(serve(server, **{f"i{n}": slowly for n in range(5)}), per_host=1, total_timeout=1.0, attempts=1)
    assert {row["status"] for row in rows.values()} == {"ok"}


def test_retry_after_in_seconds(project: Project, server: str) -> None:
    start = time.monotonic()
    assert project.run(serve(server, busy=first(503, WHOLE, Retry_After="1")))["busy"]["status"] == "ok"
    assert time.monotonic() - start >= 1


def test_retry_after_as_a_date(project: Project, server: str) -> None:
    date = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    busy = first(429, WHOLE, Retry_After=format_datetime(date, usegmt=True))
    assert project.run(serve(server, busy=busy))["busy"]["status"] == "ok"
    assert datetime.now(UTC) >= date


@pytest.mark.parametrize("wait", ["3600", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_retry_after_beyond_the_total_timeout_is_not_waited_for(project: Project, server: str, wait: str) -> None:
    start = time.monotonic()
    row = project.run(serve(server, busy=first(429, WHOLE, Retry_After=wait)))["busy"]
    assert (row["status"], row["http_status"], row["attempts"]) == ("failed", 429, 1)
    assert time.monotonic() - start < 10


# Size


def test_endless_body_is_not_read_to_its_end(project: Project, server: str) -> None:
    sent = 0

    def endless(handler: Handler) -> None:
        nonlocal sent
        raw(OK + b"\r\n")(handler)
        while True:
            sent += handler.wfile.write(b"x" * 65_536)

    project.run(serve(server, endless=endless), max_bytes=LIMIT)
    assert 0 < sent < 64 * MEBIBYTE  # what the sockets' buffers hold


SMALL: Any = ((8, 8), 8, 2, bytes(8 * 25))
GIGABYTE = zeros(1024, 15)
BOMBS: dict[str, tuple[Reply, str, str]] = {
    "gzip bomb": (body(zeros(1024, 31), Content_Encoding="gzip"), "refused", "too-large"),
    "deflate bomb": (body(GIGABYTE, Content_Encoding="deflate"), "refused", "too-large"),
    "PNG bomb of pixels": (body(png(*SMALL, (b"IDAT", GIGABYTE))), "ok", ""),
    "PNG bomb of text": (body(png(*SMALL, (b"zTXt", b"a\0\0" + GIGABYTE))), "ok", "damaged-metadata"),
    "PNG bomb of a profile": (body(png(*SMALL, (b"iCCP", b"a\0\0" + GIGABYTE))), "ok", "damaged-metadata"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb(project: Project, server: str, name: str) -> None:
    reply, state, kind = BOMBS[name]
    images = serve(server, bomb=reply, plain=body(WHOLE))
    options = {"max_bytes": 2 * MEBIBYTE, "connections": 1}
    project.run({"plain": images["plain"]}, **options)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row = project.run({"bomb": images["bomb"]}, **options)["bomb"]
    assert (row["status"], kind_of(row)) == (state, kind), row["error"]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 32 * 1024, "KiB, of the 1 GiB that it unpacks to"
