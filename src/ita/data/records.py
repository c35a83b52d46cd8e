"""What all readers of posts share: the post itself, records of JSON, names of images, and the check of each value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ita.errors import UserError
from ita.io.text import BOM, decode, load_json, malformed, numbered_lines, parse_json, quote

IMAGE_KEYS = ("image", "image_id")
ID_KEYS = ("id", "post_id")


class Layout(NamedTuple):
    """What settings say about files beyond their format."""

    columns: Mapping[str, int | str] = {}
    """Meaning -> number of the column, from 1 or from the end (-1), or key."""
    tag_names: Sequence[str] = ()
    """Names of tags that the files have as numbers."""


@dataclass(frozen=True)
class Post:
    """One annotated post as it is in its file."""

    tokens: list[str]
    tags: list[str]
    """IOB tags, those of other schemes converted."""
    image_id: str | None = None
    image_url: str | None = None
    post_id: str | None = None
    context: tuple[str, ...] = ()
    """Words after the first separator in a file of the official format, further separators included."""
    related: bool | None = None
    """Whether the image adds to the text; None where nobody said."""
    converted: Mapping[str, int] = field(default_factory=dict)
    """Prefix of another scheme, such as S or E -> how many tags had it."""


def json_records(content: bytes, file_name: str) -> Iterator[tuple[int, Any]]:
    """Line number and value of each item of a JSON list, or of each line of JSON lines; blank lines are skipped."""
    if is_list(content):
        yield from json_list(content, file_name)
        return
    for number, line in numbered_lines(content, file_name):
        if line.strip(" \t"):
            yield number, parse_json(line, file_name, number)


def is_list(content: bytes) -> bool:
    """Whether a JSON text is one list, and not a list a line."""
    content = content.removeprefix(BOM.encode()).strip()
    first, _, rest = content.partition(b"\n")
    if not content.startswith(b"[") or not rest:
        return content.startswith(b"[")
    try:
        load_json(first.decode())
    except ValueError:
        return True
    return False


def json_list(
    content: bytes, file_name: str | Path, load: Callable[[str], Any] = load_json
) -> Iterator[tuple[int, Any]]:
    """Line number and value of each item of a file that is one JSON list, with ``load`` of its text."""
    text = decode(content, file_name)
    items = parse_json(text, file_name, load=load)
    decoder, blanks = json.JSONDecoder(), " \t\r\n"
    position, line = text.index("[") + 1, 1
    last = 0
    for item in items:
        while text[position] in blanks or text[position] == ",":
            position += 1
        line, last = line + text.count("\n", last, position), position
        yield line, item
        position = decoder.raw_decode(text, position)[1]


def renamed(record: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """A record with image and id under their own names, where the settings name their columns."""
    columns = {name: str(layout.columns[name]) for name in ("image", "id") if name in layout.columns}
    return {**record, **{name: record[key] for name, key in columns.items() if key in record}}


def image_of_record(record: Mapping[str, Any], file_name: str, line: int) -> tuple[str | None, str | None]:
    """Image id and URL of a record in a file.

    Raises:
        UserError: for a value that is neither text nor a whole number.
    """
    try:
        return image_of(record)
    except ValueError as error:
        raise UserError(f"{file_name}:{line}: {error}") from None


def image_of(record: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Image id and URL of an object with ``image`` (either of the two), or ``image_id`` and ``image_url``.

    Raises:
        ValueError: as ``text_under``.
    """
    image, image_id = (text_under(record, key) for key in IMAGE_KEYS)
    image_url = text_under(record, "image_url")
    if image and image.startswith(("http://", "https://")):
        image, image_url = None, image
    image_id = image or image_id
    if image_url and not image_id:
        image_id = hashlib.sha256(image_url.encode()).hexdigest()[:16]
    return image_id, image_url


def id_of_record(record: Mapping[str, Any], file_name: str, line: int, keys: Sequence[str] = ID_KEYS) -> str | None:
    """The name of a post, under the first key that has one. Raises as ``image_of_record`` does."""
    try:
        return next(filter(None, (text_under(record, key) for key in keys)), None)
    except ValueError as error:
        raise UserError(f"{file_name}:{line}: {error}") from None


def text_under(record: Mapping[str, Any], key: str) -> str | None:
    """A text, or a whole number as text, without blanks around it; None where it is missing or empty.

    Raises:
        ValueError: for a value of another type, which would become something else as text.
    """
    value = record.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(
            f"expected '{key}' to be a text or a whole number, found {type(value).__name__} {quote(value)}"
        )
    if isinstance(value, str) and "\0" in value:
        raise ValueError(f"expected '{key}' to be text, found a NUL character in {quote(value)}")
    return str(value).strip() or None


def words_of(value: Any, key: str, file_name: str, line: int) -> list[str]:
    """A list of words, without blanks around them.

    Raises:
        UserError: for anything else.
    """
    words = [word.strip(" \t\r\n") for word in value] if isinstance(value, list) and all_text(value) else []
    if not isinstance(value, list) or len(words) < len(value) or not all(words) or any("\0" in word for word in words):
        raise malformed(file_name, line, f"'{key}' to be a list of non-empty strings", quote(value))
    return words


def all_text(values: Sequence[Any]) -> bool:
    """Whether all values are strings."""
    return all(isinstance(value, str) for value in values)


def check_lengths(tokens: Sequence[str], tags: Sequence[str], file_name: str, line: int) -> None:
    """Checks that a post has words, and as many tags.

    Raises:
        UserError: when it has not.
    """
    if not tokens:
        raise malformed(file_name, line, "a post with at least one word", "none")
    if len(tokens) != len(tags):
        raise malformed(file_name, line, "as many tags as words", f"{len(tags)} and {len(tokens)}")


def object_of(record: Any, file_name: str, line: int, keys: str) -> dict[str, Any]:
    """A record that is an object.

    Raises:
        UserError: for anything else.
    """
    if not isinstance(record, dict):
        raise malformed(file_name, line, f"an object with {keys}", f"a JSON {type(record).__name__}: {quote(record)}")
    return record


def first_key(record: Mapping[str, Any], names: Sequence[str], file_name: str, line: int) -> str:
    """The first of some keys that a record has.

    Raises:
        UserError: naming the keys that are there.
    """
    for name in names:
        if record.get(name) is not None:
            return name
    actual = ", ".join(map(str, list(record)[:12])) or "none"
    raise malformed(file_name, line, f"a key {' or '.join(names)}", f"the keys {actual[:200]}")
