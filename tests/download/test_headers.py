"""Response headers: Retry-After, X-Robots-Tag and Content-Encoding."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from ita.download import headers
from ita.download.errors import FetchError
from ita.download.headers import CHUNK_BYTES, BodyDecoder, forbidding_directive, parse_retry_after
from tests.support import web
from tests.support.web import Project, body, kind_of, noise, serve

server, project, clean_slate = web.server, web.project, web.clean_slate

WHOLE = noise()


def test_retry_after() -> None:
    assert parse_retry_after("7") == 7
    assert parse_retry_after(None) is None
    assert parse_retry_after("soon") is None
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 28 < (parse_retry_after(date) or 0) <= 30
    assert parse_retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0


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
    assert (row["status"], kind_of(row)) == (("refused", "robots") if refused else ("ok", ""))


def test_robots_directives_are_honoured_by_a_setting(project: Project, server: str) -> None:
    images = serve(server, a=body(WHOLE, X_Robots_Tag="noai"))
    assert project.run(images)["a"]["error"] == "robots: X-Robots-Tag says noai"
    assert project.run(images, honour_robots=False)["a"]["status"] == "ok"


def test_robots_directive_is_named() -> None:
    assert forbidding_directive(["nofollow", "ita-ner: noindex"], "ita-ner/1.0 (research)") == "noindex"
    assert forbidding_directive(["nofollow", "ita-ner: noindex"], "lab-bot") is None
    assert forbidding_directive([], "ita-ner") is None


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("", bytes),
        (" Identity ", bytes),
        ("gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("deflate", zlib.compress),
    ],
)
def test_body_is_decoded_whatever_its_chunks(encoding: str, encode: Callable[[bytes], bytes], step: int) -> None:
    content = bytes(range(256)) * 9
    encoded = encode(content)
    decoder = BodyDecoder(encoding)
    parts = [part for start in range(0, len(encoded), step) for part in decoder.decode(encoded[start : start + step])]
    assert b"".join([*parts, decoder.flush()]) == content


def test_a_bomb_is_decoded_in_bounded_chunks() -> None:
    sizes = [len(chunk) for chunk in BodyDecoder("gzip").decode(gzip.compress(bytes(8 * CHUNK_BYTES)))]
    assert sum(sizes) == 8 * CHUNK_BYTES
    assert max(sizes) <= CHUNK_BYTES == headers.CHUNK_BYTES


def test_an_incomplete_stream_may_be_requested_again() -> None:
    decoder = BodyDecoder("gzip")
    list(decoder.decode(gzip.compress(WHOLE)[:-9]))
    with pytest.raises(FetchError) as caught:
        decoder.flush()
    assert (caught.value.status, caught.value.kind, caught.value.retryable) == ("failed", "incomplete", True)


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(FetchError) as caught:
        BodyDecoder("br")
    assert (caught.value.status, caught.value.kind, caught.value.retryable) == ("refused", "bad-encoding", False)
