"""HTTP client: redirects, TLS, limits on size, time and host, and files of known content."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ita.download import address_guard
from ita.download.client import Client, Limits, fetch_file
from ita.download.errors import FetchError
from ita.errors import UserError
from tests.support import web
from tests.support.web import (
    Handler,
    Project,
    Server,
    body,
    closed_port,
    kind_of,
    noise,
    redirect,
    running,
    serve,
    status,
)

server, project, clean_slate = web.server, web.project, web.clean_slate

WHOLE = noise()
TEXT = b"RT\tO\n" * 1000
DIGEST = hashlib.sha256(TEXT).hexdigest()


@pytest.fixture(autouse=True)
def replies(clean_slate: None) -> None:
    """What the server answers."""
    Handler.replies = {
        **dict.fromkeys(("/x", "/there", "/train", "/wrong", "/big", "/private", "/spelled"), body(TEXT)),
        "/absent": status(404),
        "/relative": redirect("/there"),
        "/private-redirect": redirect("http://169.254.169.254/latest"),
    }


def get(url: str, **limits: Any) -> tuple[int, bytes]:
    """Status and body of a URL at any address."""

    async def run() -> tuple[int, bytes]:
        async with Client(Limits(**{"allow": address_guard.ANY_ADDRESS, "connect_timeout": 2.0, **limits})) as client:
            return await client.get(url)

    return asyncio.run(run())


def error_of(url: str, **limits: Any) -> FetchError:
    """The error of a URL that cannot be downloaded."""
    with pytest.raises(FetchError) as caught:
        get(url, **limits)
    return caught.value


# Addresses and redirects


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
def test_names_and_odd_spellings_of_private_addresses_are_refused(server: str, host: str) -> None:
    error = error_of(f"http://{host}:{server.rpartition(':')[2]}/spelled", allow=())
    assert error.status == "refused"
    assert error.kind in ("private-address", "bad-url")
    assert not Handler.requests


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 80)) for a in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    assert error_of("http://rebind.example/", allow=()).kind == "private-address"


def test_the_address_connected_to_is_the_one_checked(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(server.rpartition(":")[2])
    lookups: list[str] = []
    real = socket.getaddrinfo

    def lookup(host: str, *arguments: object, **more: object) -> list[tuple[object, ...]]:
        if host != "once.example":
            return real(host, *arguments, **more)  # type: ignore[arg-type,return-value]
        lookups.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    assert get(f"http://once.example:{port}/x") == (200, TEXT)
    assert lookups == ["once.example"]


def test_redirect_to_a_private_name_is_refused(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first hop is let through as if it were public; the second is checked for real.
    monkeypatch.setattr(address_guard, "is_public", lambda address: address == "127.0.0.1")
    error = error_of(f"{server}/private-redirect", allow=())
    assert (error.status, error.kind) == ("refused", "private-address")


def test_relative_redirect(server: str) -> None:
    assert get(f"{server}/relative") == (200, TEXT)


@pytest.mark.parametrize(("size", "fits"), [(len(TEXT), True), (len(TEXT) - 1, False)])
def test_size_limit_is_exact(server: str, size: int, fits: bool) -> None:
    if fits:
        assert get(f"{server}/x", max_bytes=size)[1] == TEXT
    else:
        assert error_of(f"{server}/x", max_bytes=size).kind == "too-large"


def test_refused_connection_is_worth_retrying() -> None:
    error = error_of(f"http://127.0.0.1:{closed_port()}/")
    assert (error.status, error.retryable, error.unreachable) == ("failed", True, True)


def test_hanging_lookup_times_out_and_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(8))
    start = time.monotonic()
    error = error_of("http://slow.example/", connect_timeout=0.3)
    assert (error.kind, error.unreachable) == ("connect-timeout", True)
    assert time.monotonic() - start < 3


# TLS


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a certificate that nobody vouches for."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    folder: Path = tmp_path_factory.mktemp("tls")
    options = (
        "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x -addext subjectAltName=IP:127.0.0.1"
    )
    command = ["openssl", "req", "-x509", *options.split(), "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    httpd = Server(("127.0.0.1", 0), Handler)
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    with running(httpd) as address:
        yield f"https://{address}"


def test_tls_error_certificate_is_not_trusted(project: Project, self_signed: str) -> None:
    row = project.run(serve(self_signed, a=body(WHOLE)), give_up_after=0)["a"]
    assert (row["status"], kind_of(row), row["attempts"]) == ("failed", "tls", 1)
    assert not Handler.requests


def test_tls_error_server_speaks_plain_http(project: Project, server: str) -> None:
    row = project.run(serve(server.replace("http:", "https:"), a=body(WHOLE)), give_up_after=0)["a"]
    assert (row["status"], kind_of(row), row["attempts"]) == ("failed", "tls", 1)


# Requests


def test_user_agent_names_who_asks(project: Project, server: str) -> None:
    project.run(serve(server, a=body(WHOLE)), user_agent="lab-bot/2.0 (+https://lab.example; mail@lab.example)")
    assert Handler.agents == {"lab-bot/2.0 (+https://lab.example; mail@lab.example)"}
    with pytest.raises(UserError, match="user_agent"):
        project.run(user_agent="lab\r\nCookie: x")


def test_at_most_per_host_requests_in_flight(project: Project, server: str) -> None:
    lock, in_flight, most = threading.Lock(), Counter[str](), Counter[str]()

    def counted(handler: Handler) -> None:
        host = handler.headers["Host"]
        with lock:
            in_flight[host] += 1
            most[host] = max(most[host], in_flight[host])
        time.sleep(0.05)
        with lock:
            in_flight[host] -= 1
        handler.send(200, WHOLE)

    images = serve(server, **{f"i{n}": counted for n in range(16)})
    second = server.replace("127.0.0.1", "localhost")
    images |= {f"second{n}": f"{second}/i{n}" for n in range(16)}
    rows = project.run(images, connections=32, per_host=3)
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert most == {server.removeprefix("http://"): 3, second.removeprefix("http://"): 3}


# Files of known content


def test_fetch_file(server: str, tmp_path: Path) -> None:
    target = tmp_path / "new" / "train.txt"
    assert fetch_file(f"{server}/train", target, DIGEST, hint="", allow_private=True) == target
    assert target.read_bytes() == TEXT
    fetch_file(f"{server}/train", target, DIGEST, hint="", allow_private=True)
    assert Handler.requests["/train"] == 1  # it was there
    target.write_bytes(b"changed")
    fetch_file(f"{server}/train", target, DIGEST, hint="", allow_private=True)
    assert target.read_bytes() == TEXT


@pytest.mark.parametrize(
    ("path", "options", "reason"),
    [
        ("/wrong", {"sha256": "0" * 64}, "expected 0000"),
        ("/absent", {}, "http-404"),
        ("/big", {"limits": Limits(max_bytes=10)}, "too-large"),
        ("/private", {"allow_private": False}, "private-address"),
    ],
)
def test_fetch_file_says_what_failed_and_what_to_do(
    server: str, tmp_path: Path, path: str, options: dict[str, Any], reason: str
) -> None:
    options = {"sha256": DIGEST, "allow_private": True, **options}
    with pytest.raises(UserError) as caught:
        fetch_file(server + path, tmp_path / "x", hint="name its path in posts.files", **options)
    for part in (server + path, reason, "name its path in posts.files"):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_fetch_file_keeps_the_old_file_when_the_new_one_is_wrong(server: str, tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_bytes(b"old")
    with pytest.raises(UserError):
        fetch_file(f"{server}/wrong", target, "0" * 64, hint="", allow_private=True)
    assert target.read_bytes() == b"old"


def test_fetch_file_without_network_fails_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"raw\.example.*dns.*do this"):
        fetch_file("https://raw.example/train.txt", tmp_path / "x", DIGEST, hint="do this")
    assert time.monotonic() - start < 2
