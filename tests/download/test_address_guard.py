"""Address guard: which addresses and URLs are requested, also behind names, redirects and DNS rebinding."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from ita.download import address_guard
from ita.download.errors import FetchError
from ita.errors import UserError
from tests.support import web
from tests.support.web import Handler, Project, Server, body, kind_of, noise, redirect, running, serve

server, project, clean_slate = web.server, web.project, web.clean_slate

WHOLE = noise()


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
    assert address_guard.is_allowed(address, address_guard.parse_networks(["10.1.0.0/16", "fd00::7"])) == allowed


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
def test_urls_that_are_never_requested(url: str, kind: str) -> None:
    with pytest.raises(FetchError) as caught:
        address_guard.check_url(url, allow=())
    assert (caught.value.status, caught.value.kind, caught.value.retryable) == ("refused", kind, False)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Name -> addresses that it resolves to, and no network for other names."""
    known: dict[str, list[str]] = {}

    def lookup(host: str, port: int, *_: object, **__: object) -> list[tuple[Any, ...]]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in known[host]
        ]

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
    assert (row["status"], kind_of(row)) == ("refused", "private-address")


def test_dns_rebinding_the_checked_address_is_the_connected_one(
    project: Project, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(server.rpartition(":")[2])
    lookups: list[str] = []

    def lookup(host: str, *_: object, **__: object) -> list[tuple[Any, ...]]:
        lookups.append(host)
        address = "127.0.0.1" if len(lookups) == 1 else "127.0.0.2"  # any second look-up leads into the trap
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    trap = Server(("127.0.0.2", port), Handler)  # its host name is looked up here, so before the patch
    trapped: list[object] = []
    monkeypatch.setattr(trap, "process_request", lambda request, _: trapped.append(request))
    with running(trap):
        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        Handler.replies["/a"] = body(WHOLE)
        row = project.run({"a": f"http://rebind.example:{port}/a"}, allow_networks=["127.0.0.1"])["a"]
    assert (row["status"], lookups, trapped) == ("ok", ["rebind.example"], [])


def test_private_addresses_are_refused_unless_the_allow_list_says_so(project: Project, server: str) -> None:
    Handler.replies["/a"] = body(WHOLE)
    images = {"number": f"{server}/a", "name": f"{server.replace('127.0.0.1', 'localhost')}/a"}
    for allowed in ([], ["10.0.0.0/8"], ["127.0.0.2"]):
        for row in project.run(images, allow_networks=allowed).values():
            assert (row["status"], kind_of(row)) == ("refused", "private-address")
    assert not Handler.requests
    rows = project.run(images, allow_networks=["127.0.0.0/8", "::1"])  # requested again, as the list has changed
    assert {row["status"] for row in rows.values()} == {"ok"}


@pytest.mark.parametrize("wrong", ["localhost", "10.1.0.1/16", "10.0.0.0/33"])
def test_allow_list_that_cannot_be_read(project: Project, server: str, wrong: str) -> None:
    with pytest.raises(UserError, match=r"download\.allow_networks: .*expected networks such as"):
        project.run(serve(server, a=body(WHOLE)), allow_networks=[wrong])


def test_names_with_allowed_addresses_are_resolved(names: dict[str, list[str]]) -> None:
    names["pair.example"] = ["8.8.8.8", "10.1.2.3"]
    resolver = address_guard.GuardedResolver(address_guard.parse_networks(["10.1.0.0/16"]))
    results = asyncio.run(resolver.resolve("pair.example", 443))
    assert [(result["host"], result["port"]) for result in results] == [("8.8.8.8", 443), ("10.1.2.3", 443)]
    with pytest.raises(FetchError, match=r"private-address: pair\.example is 10\.1\.2\.3"):
        asyncio.run(address_guard.GuardedResolver(()).resolve("pair.example", 443))
    with pytest.raises(socket.gaierror):
        asyncio.run(resolver.resolve("unknown.example"))
