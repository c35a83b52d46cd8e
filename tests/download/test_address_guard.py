"""The download stage and strangers' networks: which addresses are asked, TLS, wishes of servers, limits of a host."""

from __future__ import annotations

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

from ita.errors import UserError
from tests.support import web
from tests.support.web import Handler, Project, Server, body, noise, redirect, serve

server, project, clean_slate = web.server, web.project, web.clean_slate

WHOLE = noise()


# Addresses


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Name -> addresses that it resolves to, and no network for other names."""
    known: dict[str, list[str]] = {}

    def lookup(host: str, port: int, *_: object, **__: object) -> list[tuple[Any, ...]]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        found = [(socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in known[host]]
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in found]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return known


@pytest.mark.parametrize(
    "addresses",
    ["10.0.0.1", "192.168.1.1", "169.254.169.254", "168.63.129.16", "127.0.0.2", "::1", "fd00:ec2::254", "fe80::1"]
    + ["::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "2002:a00:1::", "8.8.8.8 10.0.0.1"],
)
@pytest.mark.parametrize("by", ["name", "redirect"])
def test_dns_name_resolving_to_a_private_address(
    project: Project, server: str, names: dict[str, list[str]], addresses: str, by: str
) -> None:
    names["trap.example"] = addresses.split()
    url = "http://trap.example/a.png"
    images = {"a": url} if by == "name" else serve(server, a=redirect(url))
    row = project.run(images, allow_networks=["127.0.0.1"])["a"]
    assert (row["status"], row["error"].partition(":")[0]) == ("refused", "private-address")


def test_dns_rebinding_the_checked_address_is_the_connected_one(
    project: Project, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(server.rpartition(":")[2])
    asked: list[str] = []

    def lookup(host: str, *_: object, **__: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"  # any second look-up leads into the trap
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    trap = Server(("127.0.0.2", port), Handler)  # its host name is looked up here, so before the patch
    caught: list[object] = []
    monkeypatch.setattr(trap, "process_request", lambda request, _: caught.append(request))
    thread = threading.Thread(target=trap.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    try:
        Handler.replies["/a"] = body(WHOLE)
        row = project.run({"a": f"http://rebind.example:{port}/a"}, allow_networks=["127.0.0.1"])["a"]
    finally:
        trap.shutdown()
        thread.join()
        trap.server_close()
    assert (row["status"], asked, caught) == ("ok", ["rebind.example"], [])


def test_private_addresses_are_refused_unless_the_allow_list_says_so(project: Project, server: str) -> None:
    Handler.replies["/a"] = body(WHOLE)
    images = {"number": f"{server}/a", "name": f"{server.replace('127.0.0.1', 'localhost')}/a"}
    for allowed in ([], ["10.0.0.0/8"], ["127.0.0.2"]):
        for row in project.run(images, allow_networks=allowed).values():
            assert (row["status"], row["error"].partition(":")[0]) == ("refused", "private-address")
    assert not Handler.seen
    rows = project.run(images, allow_networks=["127.0.0.0/8", "::1"])  # asked again, as the list has changed
    assert {row["status"] for row in rows.values()} == {"ok"}


@pytest.mark.parametrize("wrong", ["localhost", "10.1.0.1/16", "10.0.0.0/33"])
def test_allow_list_that_cannot_be_read(project: Project, server: str, wrong: str) -> None:
    with pytest.raises(UserError, match=r"download\.allow_networks: .*expected networks such as"):
        project.run(serve(server, a=body(WHOLE)), allow_networks=[wrong])


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
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"https://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_tls_error_certificate_is_not_trusted(project: Project, self_signed: str) -> None:
    row = project.run(serve(self_signed, a=body(WHOLE)), give_up_after=0)["a"]
    assert (row["status"], row["error"].partition(":")[0], row["attempts"]) == ("failed", "tls", 1)
    assert not Handler.seen


def test_tls_error_server_speaks_plain_http(project: Project, server: str) -> None:
    row = project.run(serve(server.replace("http:", "https:"), a=body(WHOLE)), give_up_after=0)["a"]
    assert (row["status"], row["error"].partition(":")[0], row["attempts"]) == ("failed", "tls", 1)


# Wishes of the server


@pytest.mark.parametrize(
    ("header", "refused"),
    [
        ("noai", True),
        ("noimageai", True),
        ("noindex, nofollow", True),
        ("nofollow, NoImageIndex", True),
        ("none", True),
        ("all", False),
        ("nofollow, noarchive", False),
        ("googlebot: noindex", False),
        ("googlebot: noindex, noai", False),
        ("ita-ner: noai", True),
        ("ITA-NER: nofollow, noai", True),
        ("googlebot: noindex, *: noai", True),
        ("max-snippet: 20, noai", True),
        ("unavailable_after: Sat, 25 Aug 2007 15:00:00 EST, noai", True),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST", False),
    ],
)
def test_robots_directive(project: Project, server: str, header: str, refused: bool) -> None:
    row = project.run(serve(server, a=body(WHOLE, X_Robots_Tag=header)))["a"]
    assert (row["status"], (row["error"] or "").partition(":")[0]) == (("refused", "robots") if refused else ("ok", ""))


def test_robots_directives_are_honoured_by_a_setting(project: Project, server: str) -> None:
    images = serve(server, a=body(WHOLE, X_Robots_Tag="noai"))
    assert project.run(images)["a"]["error"] == "robots: X-Robots-Tag says noai"
    assert project.run(images, honour_robots=False)["a"]["status"] == "ok"


def test_user_agent_names_who_asks(project: Project, server: str) -> None:
    project.run(serve(server, a=body(WHOLE)), user_agent="lab-bot/2.0 (+https://lab.example; mail@lab.example)")
    assert Handler.agents == {"lab-bot/2.0 (+https://lab.example; mail@lab.example)"}
    with pytest.raises(UserError, match="user_agent"):
        project.run(user_agent="lab\r\nCookie: x")


# Limits of a host


def test_at_most_per_host_requests_in_flight(project: Project, server: str) -> None:
    lock, now, most = threading.Lock(), Counter[str](), Counter[str]()

    def counted(handler: Handler) -> None:
        host = handler.headers["Host"]
        with lock:
            now[host] += 1
            most[host] = max(most[host], now[host])
        time.sleep(0.05)
        with lock:
            now[host] -= 1
        handler.send(200, WHOLE)

    images = serve(server, **{f"i{n}": counted for n in range(16)})
    other = server.replace("127.0.0.1", "localhost")
    images |= {f"other{n}": f"{other}/i{n}" for n in range(16)}
    rows = project.run(images, connections=32, per_host=3)
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert most == {server.removeprefix("http://"): 3, other.removeprefix("http://"): 3}
