"""Which addresses may be asked: http(s) only, public or allowed, and checked again at every name and redirect."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class FetchError(Exception):
    """Why a URL gave no bytes.

    Attributes:
        status: missing, failed (may work later) or refused (will not).
        kind: short class of the error.
        http_status: status of the response, if there was one.
        retry: whether asking again soon is worth while.
        connection: whether no server was reached at all.
        retry_after: seconds the server asked to wait.
    """

    def __init__(
        self,
        status: str,
        kind: str,
        detail: str,
        *,
        http_status: int | None = None,
        retry: bool = False,
        connection: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.status = status
        self.kind = kind
        self.http_status = http_status
        self.retry = retry
        self.connection = connection
        self.retry_after = retry_after


def networks(texts: Iterable[str]) -> Networks:
    """An allow list: addresses and networks such as ``10.1.0.0/16``. Raises ValueError naming a wrong one."""
    return tuple(ipaddress.ip_network(text) for text in texts)


ANYWHERE = networks(["0.0.0.0/0", "::/0"])
SPECIAL = networks(["192.0.0.0/24", "192.88.99.0/24", "168.63.129.16", "3fff::/20"])
"""Not public either, which older versions of ``ipaddress`` do not know; the third serves metadata on Azure."""


def is_allowed(address: str, allow: Networks) -> bool:
    """Whether an address lies in a network of an allow list, be it written as IPv4 or as IPv4 mapped into IPv6."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return any(ip in network or (mapped is not None and mapped in network) for network in allow)


def is_public(address: str) -> bool:
    """True for a unicast address of the public Internet, also when it is an IPv4 address inside an IPv6 one.

    Raises:
        ValueError: when the text is not an address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if any(ip in network for network in SPECIAL):
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast
    if ip.ipv4_mapped:
        return is_public(str(ip.ipv4_mapped))
    if ip in NAT64:
        return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)))
    if ip.sixtofour:
        return is_public(str(ip.sixtofour))
    return ip.is_global and ip in GLOBAL_V6


def checked(address: str, allow: Networks, host: str) -> str:
    """The address, if it may be connected to: it is public, or allowed all the same.

    Raises:
        Failure: refused, ``private-address``.
    """
    if not (is_public(address) or is_allowed(address, allow)):
        raise FetchError("refused", "private-address", f"{host} is {address}, neither public nor in an allowed network")
    return address


def checked_url(text: str, allow: Networks) -> URL:
    """Parses a URL and refuses what must not be asked.

    Raises:
        Failure: refused: ``bad-url``, ``bad-scheme`` or ``private-address`` (for addresses in the URL itself).
    """
    try:
        url = URL(text)
        host, _ = url.raw_host, url.port
    except (ValueError, TypeError) as error:
        raise FetchError("refused", "bad-url", str(error)) from None
    if url.scheme not in ("http", "https"):
        raise FetchError("refused", "bad-scheme", f"'{url.scheme}' is neither http nor https")
    if not host:
        raise FetchError("refused", "bad-url", "no host")
    with suppress(ValueError):  # a name; the resolver checks those
        checked(host.rstrip("."), allow, "the host")
    return url


class Resolver(AbstractResolver):
    """Looks names up and refuses those with any address that may not be connected to.

    Threads are daemons: a look-up that hangs cannot be stopped, and must not hold up the end of the process.
    """

    def __init__(self, allow: Networks) -> None:
        self.allow = allow

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of a name. Raises OSError (unknown name) or Failure (address refused)."""
        found = await in_daemon(lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))
        return [
            ResolveResult(
                hostname=host,
                host=checked(str(address[0]), self.allow, host),
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


async def in_daemon(function: Callable[[], Any]) -> Any:
    """Runs a blocking call in a daemon thread of its own."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: Exception | None) -> None:
        if future.done():
            return
        if error:
            future.set_exception(error)
        else:
            future.set_result(result)

    def call() -> None:
        result, error = None, None
        try:
            result = function()
        except Exception as caught:
            error = caught
        with suppress(RuntimeError):  # the loop is gone, nobody waits
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=call, daemon=True).start()
    return await future
