"""The guarded client: addresses, redirects, limits, and files of known content."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ita.download import address_guard, headers
from ita.download.address_guard import FetchError
from ita.download.client import Client, Limits, fetch_file
from ita.errors import UserError
from tests.support.web import closed_port

TEXT = b"RT\tO\n" * 1000
DIGEST = hashlib.sha256(TEXT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: Counter[str] = Counter()

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        Handler.seen[self.path] += 1
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path.partition("?")[2])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(404 if self.path == "/absent" else 200)
        self.send_header("Content-Length", str(len(TEXT)))
        self.end_headers()
        self.wfile.write(TEXT)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def get(url: str, **limits: object) -> tuple[int, bytes]:
    async def run() -> tuple[int, bytes]:
        async with Client(Limits(**{"allow": address_guard.ANYWHERE, "connect_timeout": 2.0, **limits})) as client:
            return await client.get(url)

    return asyncio.run(run())


def failure(url: str, **limits: object) -> FetchError:
    with pytest.raises(FetchError) as caught:
        get(url, **limits)
    return caught.value


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public(address: str) -> None:
    assert address_guard.is_public(address)


PRIVATE = """
127.0.0.1 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 255.255.255.255 ::1 ::
fe80::1%eth0 fc00::1 fec0::1 ff0e::1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::7f00:1 64:ff9b::7f00:1 64:ff9b::a00:1
2002:7f00:1:: 2001:db8::1 168.63.129.16 ::ffff:168.63.129.16 100.100.100.200 192.0.0.192 fd00:ec2::254
64:ff9b::a9fe:a9fe 3fff::1 64:ff9b:1::a00:1 2001::7f00:1 240.0.0.1 198.18.0.1
"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_not_public(address: str) -> None:
    assert not address_guard.is_public(address)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("10.2.0.1", False),
        ("64:ff9b::a01:203", False),
        ("fd00::7", True),
        ("fd00::8", False),
        ("fd00::7%eth0", True),
    ],
)
def test_allow_list(address: str, allowed: bool) -> None:
    assert address_guard.is_allowed(address, address_guard.networks(["10.1.0.0/16", "fd00::7"])) == allowed


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("file:///etc/passwd", "bad-scheme"),
        ("ftp://example.org/a.jpg", "bad-scheme"),
        ("a.jpg", "bad-scheme"),
        ("", "bad-scheme"),
        ("http://", "bad-url"),
        ("http://example.org:99999/", "bad-url"),
        ("http://[::1", "bad-url"),
        ("http://127.0.0.1/", "private-address"),
        ("http://127.0.0.1./", "private-address"),
        ("http://①②⑦.⓪.⓪.①/", "private-address"),
        ("http://user@127.0.0.1:80/", "private-address"),
        ("http://[::ffff:127.0.0.1]/", "private-address"),
        ("http://169.254.169.254/latest/meta-data", "private-address"),
    ],
)
def test_urls_that_are_never_asked(url: str, kind: str) -> None:
    with pytest.raises(FetchError) as caught:
        address_guard.checked_url(url, allow=())
    assert (caught.value.status, caught.value.kind, caught.value.retry) == ("refused", kind, False)


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
def test_names_and_odd_spellings_of_private_addresses_are_refused(server: str, host: str) -> None:
    before = Handler.seen["/spelled"]
    found = failure(f"http://{host}:{server.rpartition(':')[2]}/spelled", allow=())
    assert found.status == "refused"
    assert found.kind in ("private-address", "bad-url")
    assert Handler.seen["/spelled"] == before


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 80)) for a in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    assert failure("http://rebind.example/", allow=()).kind == "private-address"


def test_the_address_connected_to_is_the_one_checked(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(server.rpartition(":")[2])
    asked: list[str] = []
    real = socket.getaddrinfo

    def lookup(host: str, *arguments: object, **more: object) -> list[tuple[object, ...]]:
        if host != "once.example":
            return real(host, *arguments, **more)  # type: ignore[arg-type,return-value]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    assert get(f"http://once.example:{port}/x") == (200, TEXT)
    assert asked == ["once.example"]


def test_redirect_to_a_private_name_is_refused(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first hop is let through as if it were public; the second is checked for real.
    monkeypatch.setattr(address_guard, "is_public", lambda address: address == "127.0.0.1")
    found = failure(f"{server}/to?http://169.254.169.254/latest", allow=())
    assert (found.status, found.kind) == ("refused", "private-address")


def test_relative_redirect(server: str) -> None:
    assert get(f"{server}/to?/there") == (200, TEXT)


@pytest.mark.parametrize(("size", "fits"), [(len(TEXT), True), (len(TEXT) - 1, False)])
def test_size_limit_is_exact(server: str, size: int, fits: bool) -> None:
    if fits:
        assert get(f"{server}/x", max_bytes=size)[1] == TEXT
    else:
        assert failure(f"{server}/x", max_bytes=size).kind == "too-large"


def test_retry_after() -> None:
    assert headers.seconds_of("7") == 7
    assert headers.seconds_of(None) is None
    assert headers.seconds_of("soon") is None
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 28 < (headers.seconds_of(date) or 0) <= 30
    assert headers.seconds_of("Thu, 01 Jan 1970 00:00:00 GMT") == 0


def test_refused_connection_is_worth_retrying() -> None:
    found = failure(f"http://127.0.0.1:{closed_port()}/")
    assert (found.status, found.retry, found.connection) == ("failed", True, True)


def test_hanging_lookup_times_out_and_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(8))
    start = time.monotonic()
    found = failure("http://slow.example/", connect_timeout=0.3)
    assert (found.kind, found.connection) == ("connect-timeout", True)
    assert time.monotonic() - start < 3


def test_fetch_file(server: str, tmp_path) -> None:
    target = tmp_path / "new" / "train.txt"
    assert fetch_file(f"{server}/train", target, DIGEST, hint="", allow_private=True) == target
    assert target.read_bytes() == TEXT
    fetch_file(f"{server}/train", target, DIGEST, hint="", allow_private=True)
    assert Handler.seen["/train"] == 1  # it was there
    target.write_bytes(b"changed")
    fetch_file(f"{server}/train", target, DIGEST, hint="", allow_private=True)
    assert target.read_bytes() == TEXT


@pytest.mark.parametrize(
    ("path", "options", "reason"),
    [
        ("/wrong", {"sha256": "0" * 64}, "expected 0000"),
        ("/absent", {}, "http-404"),
        ("/big", {"max_bytes": 10}, "too-large"),
        ("/private", {"allow_private": False}, "private-address"),
    ],
)
def test_fetch_file_says_what_failed_and_what_to_do(server: str, tmp_path, path, options, reason) -> None:
    options = {"sha256": DIGEST, "allow_private": True, **options}
    with pytest.raises(UserError) as caught:
        fetch_file(server + path, tmp_path / "x", hint="name its path in posts.files", **options)
    for part in (server + path, reason, "name its path in posts.files"):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_fetch_file_keeps_the_old_file_when_the_new_one_is_wrong(server: str, tmp_path) -> None:
    target = tmp_path / "x"
    target.write_bytes(b"old")
    with pytest.raises(UserError):
        fetch_file(f"{server}/wrong", target, "0" * 64, hint="", allow_private=True)
    assert target.read_bytes() == b"old"


def test_fetch_file_without_network_fails_at_once(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"raw\.example.*dns.*do this"):
        fetch_file("https://raw.example/train.txt", tmp_path / "x", DIGEST, hint="do this")
    assert time.monotonic() - start < 2
