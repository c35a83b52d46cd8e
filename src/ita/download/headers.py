"""Response headers: Retry-After, X-Robots-Tag and Content-Encoding."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ita.download.errors import FetchError

CHUNK_BYTES = 65_536
"""Largest chunk of a body that is handled at a time."""
FORBIDDING_DIRECTIVES = {"noai", "noimageai", "noindex", "noimageindex", "none"}
DIRECTIVES_WITH_VALUE = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
"""Directives that are written like the name of a crawler, with a colon."""
ENCODINGS = ("", "identity", "gzip", "x-gzip", "deflate")


def parse_retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for: a number or a date; None when absent or unreadable."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def forbidding_directive(robots: Iterable[str], user_agent: str) -> str | None:
    """The directive of X-Robots-Tag headers that forbids us to keep an image, None when there is none.

    Args:
        robots: values of the headers: directives, after ``name:`` for the crawler of that name only.
        user_agent: ours; its first word is our name.
    """
    names = {"*", re.split(r"[/\s]", user_agent.strip().lower())[0]}
    for header in robots:
        crawler = "*"
        for item in header.lower().split(","):
            name, colon, directive = (part.strip() for part in item.rpartition(":"))
            if colon and name not in DIRECTIVES_WITH_VALUE and re.fullmatch(r"[\w.*-]+", name):
                crawler = name
            if crawler in names and directive in FORBIDDING_DIRECTIVES:
                return directive
    return None


class BodyDecoder:
    """Undoes the Content-Encoding of a body chunk by chunk, so that a decompression bomb is noticed while it is small.

    Args:
        encoding: value of the header; no encoding is requested, but some servers compress all responses.

    Raises:
        FetchError: for an encoding other than gzip and deflate.
    """

    def __init__(self, encoding: str) -> None:
        encoding = encoding.strip().lower()
        if encoding not in ENCODINGS:
            raise FetchError("refused", "bad-encoding", f"'{encoding[:40]}' was not asked for")
        self.inflater = None if encoding in ("", "identity") else zlib.decompressobj(zlib.MAX_WBITS | 32)

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """Decoded content of a chunk of the body, in chunks of at most CHUNK_BYTES."""
        if self.inflater is None:
            yield chunk
            return
        while chunk and not self.inflater.eof:
            yield self.inflater.decompress(chunk, CHUNK_BYTES)
            chunk = self.inflater.unconsumed_tail

    def flush(self) -> bytes:
        """Remaining content at the end of the body. Raises FetchError when the compressed stream is incomplete."""
        if self.inflater is None:
            return b""
        rest = self.inflater.flush()
        if not self.inflater.eof:
            raise FetchError("failed", "incomplete", "the compressed body ends too soon", retryable=True)
        return rest
