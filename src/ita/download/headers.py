"""What the headers of a response say: when to ask again, whether it may be kept, and how its body is packed."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ita.download.address_guard import FetchError

BLOCK = 65_536
"""Bytes handled at a time."""
FORBIDDING = {"noai", "noimageai", "noindex", "noimageindex", "none"}
WITH_VALUE = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
"""Directives written like the name of a crawler, with a colon."""


def seconds_of(retry_after: str | None) -> float | None:
    """Seconds that a Retry-After header asks for: a number or a date; None when absent or unreadable."""
    if not retry_after:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def forbidden(robots: Iterable[str], user_agent: str) -> str | None:
    """The directive of X-Robots-Tag headers that forbids us to keep an image, None when there is none.

    Args:
        robots: values of the headers: directives, after ``name:`` for the crawler of that name only.
        user_agent: ours; its first word is our name.
    """
    ours = {"*", re.split(r"[/\s]", user_agent.strip().lower())[0]}
    for header in robots:
        crawler = "*"
        for item in header.lower().split(","):
            name, colon, directive = (part.strip() for part in item.rpartition(":"))
            if colon and name not in WITH_VALUE and re.fullmatch(r"[\w.*-]+", name):
                crawler = name
            if crawler in ours and directive in FORBIDDING:
                return directive
    return None


class Unpacker:
    """Undoes the Content-Encoding of a body piece by piece, so that a bomb is noticed before it has grown.

    Args:
        encoding: value of the header; none is asked for, but some servers pack all they send.

    Raises:
        Failure: for an encoding other than gzip and deflate.
    """

    def __init__(self, encoding: str) -> None:
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise FetchError("refused", "bad-encoding", f"'{encoding[:40]}' was not asked for")
        self.inflater = None if encoding in ("", "identity") else zlib.decompressobj(zlib.MAX_WBITS | 32)

    def feed(self, block: bytes) -> Iterator[bytes]:
        """What a block of the body holds, in pieces of at most BLOCK bytes."""
        if self.inflater is None:
            yield block
            return
        while block and not self.inflater.eof:
            yield self.inflater.decompress(block, BLOCK)
            block = self.inflater.unconsumed_tail

    def end(self) -> bytes:
        """What is left when the body has ended. Raises Failure when it ended too soon."""
        if self.inflater is None:
            return b""
        rest = self.inflater.flush()
        if not self.inflater.eof:
            raise FetchError("failed", "incomplete", "the packed body ends too soon", retry=True)
        return rest
