"""What all readers of posts share: the post itself, lines, JSON records, names of images, and complaints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ita.errors import UserError


@dataclass(frozen=True)
class Post:
    """One annotated post as it is in its file."""

    tokens: list[str]
    tags: list[str]
    image_id: str | None = None
    image_url: str | None = None
    post_id: str | None = None
    context: tuple[str, ...] = ()
    """Words after the first separator in a file of the official format, further separators included."""
    related: bool | None = None
    """Whether the image adds to the text; None where nobody said."""


def decode_lines(content: bytes, file_name: str) -> list[str]:
    """Lines of a UTF-8 text, which end in LF or CRLF and in nothing else.

    Raises:
        UserError: when the bytes are not UTF-8.
    """
    lines = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            lines.append(line.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise malformed(file_name, number, "UTF-8 text", f"byte {line[error.start]:#x}") from None
    return lines


def json_records(content: bytes, file_name: str) -> Iterator[tuple[int, Any]]:
    """Line number and value of each line that is not blank."""
    for number, line in enumerate(decode_lines(content, file_name), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            raise malformed(file_name, number, "a JSON object", str(error)) from None


def image_of_record(record: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Image id and URL of an object with ``image`` (either of the two), or ``image_id`` and ``image_url``."""
    image_id, image_url = record.get("image", record.get("image_id")), record.get("image_url")
    if isinstance(image_id, str) and image_id.startswith(("http://", "https://")):
        image_id, image_url = None, image_id
    if image_url and not image_id:
        image_id = hashlib.sha256(str(image_url).encode()).hexdigest()[:16]
    return text_or_none(image_id), text_or_none(image_url)


def text_or_none(value: Any) -> str | None:
    """A value as text; None where it is missing or empty."""
    return None if value in (None, "") else str(value)


def check_lengths(tokens: Sequence[str], tags: Sequence[str], file_name: str, line: int) -> None:
    """Checks that a post has words, and as many tags.

    Raises:
        UserError: when it has not.
    """
    if not tokens:
        raise malformed(file_name, line, "a post with at least one word", "none")
    if len(tokens) != len(tags):
        raise malformed(file_name, line, "as many tags as words", f"{len(tags)} and {len(tokens)}")


def malformed(file_name: str, line: int, expected: str, found: str) -> UserError:
    """The error for a line that is not as its format has it."""
    return UserError(f"{file_name}:{line}: expected {expected}, found {found}")
