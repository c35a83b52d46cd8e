"""HTTP client for untrusted hosts: guarded addresses, limits on size and time, bounded requests per host.

``Client`` downloads the images of posts, ``fetch_file`` the files of datasets, whose content is known by its hash.
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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import aiohttp
from yarl import URL

from ita.download.address_guard import ANY_ADDRESS, GuardedResolver, Networks, check_url
from ita.download.errors import FetchError
from ita.download.headers import CHUNK_BYTES, BodyDecoder, forbidding_directive, parse_retry_after
from ita.errors import UserError
from ita.io import files
from ita.io.files import atomic

MAX_REDIRECTS = 5
REDIRECT_CODES = (301, 302, 303, 307, 308)
MISSING_CODES = (404, 410)
RETRYABLE_CODES = (408, 425, 429)

Write = Callable[[bytes], object]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one URL (seconds, bytes) and of one host (requests in flight), and how requests are made."""

    connect_timeout: float = 10.0
    read_timeout: float = 15.0
    total_timeout: float = 60.0
    max_bytes: int = 33_554_432
    per_host: int = 8
    allow: Networks = ()
    user_agent: str = "ita-ner"
    honour_robots: bool = False


FILE_LIMITS = Limits(connect_timeout=5.0, total_timeout=600.0, max_bytes=1 << 30)
"""Limits of a file of a dataset."""


class TimeBudget:
    """Seconds that remain for a URL over all its requests, redirects and waits; queueing for a busy host is free."""

    def __init__(self, seconds: float) -> None:
        self.remaining = seconds

    @contextmanager
    def spend(self) -> Iterator[None]:
        """Subtracts the time that the block takes."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.remaining -= time.monotonic() - start


class BoundedWriter:
    """Passes the chunks of a body on until they exceed a number of bytes.

    Args:
        write: takes the chunks.
        max_bytes: largest body.
        http_status: status of the response, for the error.
    """

    def __init__(self, write: Write, max_bytes: int, http_status: int) -> None:
        self.write = write
        self.max_bytes = max_bytes
        self.http_status = http_status
        self.received = 0

    def check(self, size: int) -> None:
        """Raises FetchError when a body of that size is too large."""
        if size > self.max_bytes:
            raise FetchError("refused", "too-large", f"more than {self.max_bytes} bytes", http_status=self.http_status)

    def __call__(self, chunk: bytes) -> None:
        self.received += len(chunk)
        self.check(self.received)
        self.write(chunk)


class Client:
    """An HTTP session with limits. Used as ``async with Client(limits) as client``.

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
            connector=aiohttp.TCPConnector(resolver=GuardedResolver(self.limits.allow), limit=0, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self.limits.connect_timeout, sock_read=self.limits.read_timeout
            ),
            headers={"User-Agent": self.limits.user_agent, "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,  # BodyDecoder is bounded, in every version
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, url: str, budget: TimeBudget | None = None) -> tuple[int, bytes]:
        """HTTP status and body of a URL, held in memory. Raises as ``stream``."""
        body = bytearray()
        status = await self.stream(url, body.extend, budget)
        return status, bytes(body)

    async def stream(self, url: str, write: Write, budget: TimeBudget | None = None) -> int:
        """Requests a URL once, following redirects, and passes its body on chunk by chunk.

        Args:
            url: address.
            write: takes the chunks.
            budget: time that remains for this URL after earlier attempts; by default all of it.

        Returns:
            The HTTP status, 200 to 299.

        Raises:
            FetchError: whenever the body did not arrive in full and within the limits.
        """
        budget = budget or TimeBudget(self.limits.total_timeout)
        for _ in range(MAX_REDIRECTS + 1):
            target = check_url(url, self.limits.allow)
            async with self._slots[target.raw_host or ""]:
                with budget.spend():
                    result = await self._request(target, write, budget.remaining)
            if isinstance(result, int):
                return result
            url = result
        raise FetchError("refused", "too-many-redirects", f"more than {MAX_REDIRECTS}")

    async def _request(self, url: URL, write: Write, seconds: float) -> int | str:
        """One request: its HTTP status, or the address it redirects to."""
        answered = False
        try:
            async with asyncio.timeout(seconds), self._session.get(url, allow_redirects=False) as response:
                self.reached = answered = True
                if response.status in REDIRECT_CODES and "Location" in response.headers:
                    return str(response.url.join(URL(response.headers["Location"])))
                await self._receive(response, write)
                return response.status
        except (FetchError, UserError):
            raise
        except Exception as exception:
            raise error_of_exception(exception, url.raw_host or "", answered) from exception

    async def _receive(self, response: aiohttp.ClientResponse, write: Write) -> None:
        """Passes on the body of a successful response; raises FetchError for any other."""
        if not 200 <= response.status < 300:
            raise error_of_response(response)
        if self.limits.honour_robots:
            directive = forbidding_directive(response.headers.getall("X-Robots-Tag", []), self.limits.user_agent)
            if directive:
                raise FetchError("refused", "robots", f"X-Robots-Tag says {directive}", http_status=response.status)
        bounded_write = BoundedWriter(write, self.limits.max_bytes, response.status)
        bounded_write.check(response.content_length or 0)
        decoder = BodyDecoder(response.headers.get("Content-Encoding", ""))
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):  # the header may lie: bytes are counted
            for decoded in decoder.decode(chunk):
                bounded_write(decoded)
        bounded_write(decoder.flush())


def error_of_response(response: aiohttp.ClientResponse) -> FetchError:
    """The error that a response without success is for its URL."""
    code = response.status
    kind, reason = f"http-{code}", response.reason or "no reason given"
    if code >= 500 or code in RETRYABLE_CODES:
        wait = parse_retry_after(response.headers.get("Retry-After"))
        return FetchError("failed", kind, reason, http_status=code, retryable=True, retry_after=wait)
    status = "missing" if code in MISSING_CODES else "refused"
    return FetchError(status, kind, reason, http_status=code)


KIND_OF_EXCEPTION: list[tuple[type[Exception], str, bool]] = [
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
"""Exceptions during a request, most specific first: type, kind, whether another attempt may succeed."""


def error_of_exception(exception: Exception, host: str, answered: bool) -> FetchError:
    """The error that an exception during a request is for its URL.

    Args:
        exception: what was raised.
        host: whose request it was.
        answered: whether a response had arrived before.
    """
    detail = f"{host}: {str(exception) or type(exception).__name__}"
    for exception_type, kind, retryable in KIND_OF_EXCEPTION:
        if isinstance(exception, exception_type):
            return FetchError("failed", kind, detail, retryable=retryable, unreachable=not answered)
    if isinstance(exception, ValueError):
        return FetchError("refused", "bad-url", detail)
    return FetchError("failed", "bad-response", detail)


def fetch_file(
    url: str, target: Path, sha256: str, *, hint: str, allow_private: bool = False, limits: Limits = FILE_LIMITS
) -> Path:
    """Downloads one file whose hash is known; does nothing when it is already there.

    Args:
        url: http(s) address.
        target: file to write; it appears only when complete and right.
        sha256: hash that the content must have, 64 hex digits.
        hint: what to do instead, for the error message.
        allow_private: allow loopback and private addresses.
        limits: limits on size and time.

    Returns:
        ``target``.

    Raises:
        UserError: naming the URL, what failed, and ``hint``; at once when there is no network.
    """
    if target.is_file() and files.sha256(target) == sha256:
        return target
    if allow_private:
        limits = replace(limits, allow=ANY_ADDRESS)
    try:
        with atomic(target) as part:
            digest = asyncio.run(_stream_to_file(url, part, target, limits))
            if digest != sha256:
                raise UserError(f"{url}: the content has the sha256 {digest}, expected {sha256}; {hint}")
    except FetchError as error:
        raise UserError(f"{url}: {error}; {hint}") from None
    return target


async def _stream_to_file(url: str, path: Path, target: Path, limits: Limits) -> str:
    """Downloads a URL into the file ``path``, which becomes ``target``; returns the SHA-256 of the content."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:

        def write(chunk: bytes) -> None:
            digest.update(chunk)
            try:
                file.write(chunk)
            except OSError as error:
                raise UserError(f"{target}: cannot be written: {error}") from None

        async with Client(limits) as client:
            await client.stream(url, write)
    return digest.hexdigest()
