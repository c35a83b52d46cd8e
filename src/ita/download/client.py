"""Asking strangers' servers for bytes: http(s) only, public or allowed addresses only, with limits on size and time.

``Client`` serves the images of posts, ``fetch_file`` the text of datasets. Both check every address they connect to,
also behind redirects: a name is resolved once and the connection goes to the very address that was checked.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp
from yarl import URL

from ita.download.address_guard import ANYWHERE, FetchError, Networks, Resolver, checked_url
from ita.download.headers import BLOCK, Unpacker, forbidden, seconds_of
from ita.errors import UserError
from ita.io import files
from ita.io.files import atomic

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
MISSING = (404, 410)
WORTH_RETRYING = (408, 425, 429)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one URL may cost (seconds, bytes), requests in flight to one host, and who is asked in what way."""

    connect_timeout: float = 10.0
    read_timeout: float = 15.0
    total_timeout: float = 60.0
    max_bytes: int = 33_554_432
    per_host: int = 8
    allow: Networks = ()
    user_agent: str = "ita-ner"
    honour_robots: bool = False


class Budget:
    """Seconds left for a URL over all requests, redirects and waits; its turn at a busy host is waited for freely."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts the time of a block."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.left -= time.monotonic() - start


class Client:
    """A session with limits. Used as ``async with Client(limits) as client``.

    Attributes:
        reached: True once any server has answered.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.reached = False
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(limits.per_host))

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # The slots bound the connections; waiting for one must not count as time to connect.
            connector=aiohttp.TCPConnector(resolver=Resolver(self.limits.allow), limit=0, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self.limits.connect_timeout, sock_read=self.limits.read_timeout
            ),
            headers={"User-Agent": self.limits.user_agent, "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,  # ours is bounded, in every version
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, url: str, budget: Budget | None = None) -> tuple[int, bytes]:
        """HTTP status and body of a URL, held in memory. Raises as ``fetch``."""
        body = bytearray()
        status = await self.fetch(url, body.extend, budget)
        return status, bytes(body)

    async def fetch(self, url: str, sink: Callable[[bytes], object], budget: Budget | None = None) -> int:
        """Asks once for a URL, following redirects, and passes its body on block by block.

        Args:
            url: address.
            sink: takes the blocks.
            budget: time that earlier requests for this URL have left; all of it by default.

        Returns:
            The HTTP status, 200 to 299.

        Raises:
            Failure: in every case in which the body did not arrive in full and within the limits.
        """
        budget = budget or Budget(self.limits.total_timeout)
        for _ in range(MAX_REDIRECTS + 1):
            target = checked_url(url, self.limits.allow)
            async with self._slots[target.raw_host or ""]:
                with budget.running():
                    answer = await self._hop(target, sink, budget.left)
            if isinstance(answer, int):
                return answer
            url = answer
        raise FetchError("refused", "too-many-redirects", f"more than {MAX_REDIRECTS}")

    async def _hop(self, url: URL, sink: Callable[[bytes], object], seconds: float) -> int | str:
        """One request: its status, or the address it redirects to."""
        answered = False
        try:
            async with asyncio.timeout(seconds), self._session.get(url, allow_redirects=False) as response:
                self.reached = answered = True
                if response.status in REDIRECTS and "Location" in response.headers:
                    return str(response.url.join(URL(response.headers["Location"])))
                await self._receive(response, sink)
                return response.status
        except (FetchError, UserError):
            raise
        except Exception as error:
            raise failure_of(error, url.raw_host or "", answered) from error

    async def _receive(self, response: aiohttp.ClientResponse, sink: Callable[[bytes], object]) -> None:
        if not 200 <= response.status < 300:
            raise failure_of_status(response)
        if self.limits.honour_robots:
            directive = forbidden(response.headers.getall("X-Robots-Tag", []), self.limits.user_agent)
            if directive:
                raise FetchError("refused", "robots", f"X-Robots-Tag says {directive}", http_status=response.status)
        limit, received = self.limits.max_bytes, 0
        too_large = FetchError("refused", "too-large", f"more than {limit} bytes", http_status=response.status)
        if (response.content_length or 0) > limit:
            raise too_large

        def take(piece: bytes) -> None:
            nonlocal received
            received += len(piece)
            if received > limit:
                raise too_large
            sink(piece)

        unpacker = Unpacker(response.headers.get("Content-Encoding", ""))
        async for block in response.content.iter_chunked(BLOCK):  # the header may lie, so what comes is counted
            for piece in unpacker.feed(block):
                take(piece)
        take(unpacker.end())


def failure_of_status(response: aiohttp.ClientResponse) -> FetchError:
    """What a response without success means for its URL."""
    code = response.status
    later = code >= 500 or code in WORTH_RETRYING
    status = "failed" if later else "missing" if code in MISSING else "refused"
    wait = seconds_of(response.headers.get("Retry-After")) if later else None
    return FetchError(
        status, f"http-{code}", response.reason or "no reason given", http_status=code, retry=later, retry_after=wait
    )


ERRORS: list[tuple[type[Exception], str, bool]] = [
    (aiohttp.ConnectionTimeoutError, "connect-timeout", True),
    (aiohttp.SocketTimeoutError, "read-timeout", True),
    (TimeoutError, "total-timeout", True),
    (aiohttp.ClientConnectorDNSError, "dns", True),
    (aiohttp.ClientSSLError, "tls", False),
    (ssl.SSLError, "tls", False),
    (aiohttp.ClientConnectorError, "connect", True),
    (zlib.error, "bad-encoding", False),
    (aiohttp.ClientPayloadError, "incomplete", True),
    (aiohttp.ClientConnectionError, "disconnected", True),
    (OSError, "connection", True),
]
"""Errors on the way to a response, most special first: type, class, whether asking again is worth while."""


def failure_of(error: Exception, host: str, answered: bool) -> FetchError:
    """What an exception during a request means for its URL."""
    detail = f"{host}: {str(error) or type(error).__name__}"
    for kind, name, retry in ERRORS:
        if isinstance(error, kind):
            return FetchError("failed", name, detail, retry=retry, connection=not answered)
    if isinstance(error, ValueError):
        return FetchError("refused", "bad-url", detail)
    return FetchError("failed", "bad-response", detail)


def fetch_file(
    url: str,
    target: Path,
    sha256: str,
    *,
    hint: str,
    allow_private: bool = False,
    max_bytes: int = 1 << 30,
    connect_timeout: float = 5.0,
    read_timeout: float = 15.0,
    total_timeout: float = 600.0,
) -> Path:
    """Gets one file whose content is known beforehand; does nothing when it is already there.

    Args:
        url: http(s) address.
        target: file to write; it appears only when complete and right.
        sha256: hash that the content must have, 64 hex digits.
        hint: what to do instead, for the error message.
        allow_private: allow loopback and private addresses.
        max_bytes: largest file in bytes.
        connect_timeout: seconds to connect.
        read_timeout: seconds without a byte.
        total_timeout: seconds for the whole file.

    Returns:
        ``target``.

    Raises:
        UserError: naming the URL, what failed, and ``hint``; at once when there is no network.
    """
    if target.is_file() and files.sha256(target) == sha256:
        return target
    limits = Limits(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        total_timeout=total_timeout,
        max_bytes=max_bytes,
        allow=ANYWHERE if allow_private else (),
    )
    digest = hashlib.sha256()

    async def run(write: Callable[[bytes], object]) -> None:
        def sink(block: bytes) -> None:
            digest.update(block)
            try:
                write(block)
            except OSError as error:
                raise UserError(f"{target}: cannot be written: {error}") from None

        async with Client(limits) as client:
            await client.fetch(url, sink)

    try:
        with atomic(target) as part:
            with open(part, "wb") as file:
                asyncio.run(run(file.write))
            if digest.hexdigest() != sha256:
                raise UserError(f"{url}: the content has the sha256 {digest.hexdigest()}, expected {sha256}; {hint}")
    except FetchError as failure:
        raise UserError(f"{url}: {failure}; {hint}") from None
    return target
