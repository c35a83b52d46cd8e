"""Protection against server-side request forgery: http(s) only, to public or explicitly allowed addresses.

URLs are checked before every request and every redirect, and names when they are resolved: the connection goes to the
very address that was checked.
"""

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

from ita.download.errors import FetchError

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def parse_networks(texts: Iterable[str]) -> Networks:
    """An allow list: addresses and networks such as ``10.1.0.0/16``. Raises ValueError naming a wrong one."""
    return tuple(ipaddress.ip_network(text) for text in texts)


ANY_ADDRESS = parse_networks(["0.0.0.0/0", "::/0"])
SPECIAL_NETWORKS = parse_networks(["192.0.0.0/24", "192.88.99.0/24", "168.63.129.16", "3fff::/20"])
"""Not public, but unknown to older versions of ``ipaddress``; the third serves metadata on Azure."""


def is_allowed(address: str, allow: Networks) -> bool:
    """Whether an address, IPv4 or IPv4 mapped into IPv6 or IPv6, lies in a network of an allow list."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return any(ip in network or (mapped is not None and mapped in network) for network in allow)


def is_public(address: str) -> bool:
    """Whether an address is a unicast address of the public Internet; of an IPv4 address inside an IPv6 one likewise.

    Raises:
        ValueError: when the text is not an address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if any(ip in network for network in SPECIAL_NETWORKS):
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


def check_address(address: str, allow: Networks, host: str) -> str:
    """Returns the address if it is public or allowed.

    Args:
        address: IPv4 or IPv6 address.
        allow: networks that are allowed although they are not public.
        host: what has this address, for the error message.

    Raises:
        FetchError: refused, ``private-address``.
    """
    if not (is_public(address) or is_allowed(address, allow)):
        raise FetchError("refused", "private-address", f"{host} is {address}, neither public nor in an allowed network")
    return address


def check_url(text: str, allow: Networks) -> URL:
    """Parses a URL and refuses what must not be requested.

    Raises:
        FetchError: refused: ``bad-url``, ``bad-scheme`` or ``private-address`` (for addresses in the URL itself).
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
    with suppress(ValueError):  # a name; the resolver checks its addresses
        check_address(host.rstrip("."), allow, "the host")
    return url


class GuardedResolver(AbstractResolver):
    """Resolves host names and refuses those with any address that is neither public nor allowed.

    Look-ups run in daemon threads: one that hangs cannot be stopped, and must not delay the end of the process.
    """

    def __init__(self, allow: Networks) -> None:
        self.allow = allow

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of a name. Raises OSError (unknown name) or FetchError (address refused)."""
        records = await run_in_daemon_thread(lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))
        return [
            ResolveResult(
                hostname=host,
                host=check_address(str(address[0]), self.allow, host),
                port=port,
                family=address_family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address_family, _, protocol, _, address in records
        ]

    async def close(self) -> None:
        """Nothing is held."""


async def run_in_daemon_thread(function: Callable[[], Any]) -> Any:
    """Runs a blocking call in a daemon thread."""
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
        except Exception as exception:
            error = exception
        with suppress(RuntimeError):  # the loop is closed, nobody waits
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=call, daemon=True).start()
    return await future
