"""Readers of annotated posts, one function per layout.

Each takes the bytes of a file and its name, and yields posts in order. Nothing is stripped from a word: U+00A0,
U+FE0F or U+200B alone are words on Twitter, and both LF and CRLF end a line.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ita.data.tags import TAG
from ita.errors import UserError
from ita.io.image_formats import strip_image_suffix

EOS = "<EOS>"
"""The word that ends a post and parts its contexts in files of the official shape."""
CONTEXT_TAGS = {"X", "B-X", "S-X", "I-X"}
IMAGE_LINE = re.compile(r"(?:IMGID|WID):(.*)")
BLANKS = re.compile(r"[ \t]+")


@dataclass(frozen=True)
class Post:
    """One annotated post as its file has it."""

    tokens: list[str]
    tags: list[str]
    image_id: str | None = None
    image_url: str | None = None
    post_id: str | None = None
    context: tuple[str, ...] = ()
    """Words after the first separator of an ITA-shaped file, further separators included."""


def read_posts(data: bytes, name: str, layout: str) -> list[Post]:
    """Reads a file of annotated posts.

    Args:
        data: the file's bytes.
        name: its name, for messages.
        layout: umt, three_line, jsonl, parquet or ita.

    Raises:
        UserError: for anything malformed, with ``name:line``, what was expected and what was found.
    """
    posts = list(READERS[layout](data, name))
    if not posts:
        raise UserError(f"{name}: no posts found; expected the layout '{layout}' (setting posts.format)")
    return posts


def lines_of(data: bytes, name: str) -> list[str]:
    """Lines of a UTF-8 text, parted by LF or CRLF only.

    Raises:
        UserError: when the bytes are not UTF-8.
    """
    lines = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            lines.append(line.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise UserError(f"{name}:{number}: expected UTF-8 text, found byte {line[error.start]:#x}") from None
    return lines


def blocks_of(data: bytes, name: str) -> Iterator[list[tuple[int, str]]]:
    """Numbered lines of a text, in groups parted by blank lines."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(lines_of(data, name), 1):
        if line.strip(" \t"):
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def word_and_tag(line: str, name: str, number: int) -> tuple[str, str]:
    """A word and its tag, parted by the last TAB, or by the last blank where there is no TAB."""
    for blank in "\t", " ":
        word, found, tag = line.rpartition(blank)
        if found:
            break
    if not word or not tag:
        raise UserError(f"{name}:{number}: expected 'word<TAB>tag', found {line!r}")
    return word, tag


def check_tag(tag: str, name: str, number: int) -> str:
    """The tag, if it is one of IOB."""
    if not TAG.fullmatch(tag):
        raise UserError(f"{name}:{number}: expected the tag O, B-TYPE or I-TYPE, found {tag!r}")
    return tag


def check_lengths(tokens: Sequence[str], tags: Sequence[str], name: str, number: int) -> None:
    """A post has words, and as many tags."""
    if not tokens:
        raise UserError(f"{name}:{number}: expected a post with at least one word, found none")
    if len(tokens) != len(tags):
        raise UserError(f"{name}:{number}: expected as many tags as words, found {len(tags)} and {len(tokens)}")


def read_umt(data: bytes, name: str) -> Iterator[Post]:
    """UMT's layout: an ``IMGID:id`` line (or WID:, or none), then ``word TAB tag`` lines, then a blank line."""
    for block in blocks_of(data, name):
        first, image = block[0][0], None
        if heading := IMAGE_LINE.fullmatch(block[0][1]):
            image = heading[1] or None
            block = block[1:]
        pairs = [(word_and_tag(line, name, number), number) for number, line in block]
        tokens = [word for (word, _), _ in pairs]
        tags = [check_tag(tag, name, number) for (_, tag), number in pairs]
        check_lengths(tokens, tags, name, first)
        yield Post(tokens, tags, image)


def read_three_line(data: bytes, name: str) -> Iterator[Post]:
    """Three lines a post: words, tags, image file; blank lines between posts are optional."""
    lines = [(number, line) for block in blocks_of(data, name) for number, line in block]
    if len(lines) % 3:
        raise UserError(
            f"{name}:{lines[-1][0]}: expected three lines a post (words, tags, image), found an incomplete one"
        )
    for at in range(0, len(lines), 3):
        (number, words), (tag_line, labels), (_, image) = lines[at : at + 3]
        tokens = BLANKS.split(words.strip(" \t"))
        tags = [check_tag(tag, name, tag_line) for tag in BLANKS.split(labels.strip(" \t"))]
        check_lengths(tokens, tags, name, number)
        yield Post(tokens, tags, strip_image_suffix(image.strip(" \t")))


def read_jsonl(data: bytes, name: str) -> Iterator[Post]:
    """One object a line: ``tokens``, ``tags``, and optionally ``image`` (id or URL), ``id``."""
    for number, line in enumerate(lines_of(data, name), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{name}:{number}: expected a JSON object, found {error}") from None
        yield from_record(record, name, number)


def read_parquet(data: bytes, name: str) -> Iterator[Post]:
    """A table with the columns of the JSONL layout; numbers in messages count rows from 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{name}: expected a Parquet file, found {error}") from None
    for number, record in enumerate(table.to_pylist(), 1):
        yield from_record(record, name, number)


def from_record(record: Any, name: str, number: int) -> Post:
    """A post from an object with ``tokens``, ``tags``, ``image`` (or ``image_id``, ``image_url``) and ``id``."""
    if not isinstance(record, dict):
        raise UserError(f"{name}:{number}: expected an object with 'tokens' and 'tags', found {type(record).__name__}")
    for key in "tokens", "tags":
        value = record.get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise UserError(f"{name}:{number}: expected '{key}' to be a list of non-empty strings, found {value!r:.80}")
    tokens = list(record["tokens"])
    tags = [check_tag(tag, name, number) for tag in record["tags"]]
    check_lengths(tokens, tags, name, number)
    image, url = record.get("image", record.get("image_id")), record.get("image_url")
    if isinstance(image, str) and image.startswith(("http://", "https://")):
        image, url = None, image
    if url and not image:
        image = hashlib.sha256(str(url).encode()).hexdigest()[:16]
    post_id = record.get("id", record.get("post_id"))
    return Post(
        tokens,
        tags,
        None if image in (None, "") else str(image),
        None if url in (None, "") else str(url),
        None if post_id in (None, "") else str(post_id),
    )


def read_ita(data: bytes, name: str) -> Iterator[Post]:
    """The official code's layout: the post, ``<EOS>``, then its context, every context line tagged X (or B-X)."""
    for block in blocks_of(data, name):
        first, image = block[0][0], None
        if heading := IMAGE_LINE.fullmatch(block[0][1]):
            image = heading[1] or None
            block = block[1:]
        pairs = [(*word_and_tag(line, name, number), number) for number, line in block]
        end = next((i for i, (_, tag, _) in enumerate(pairs) if tag in CONTEXT_TAGS), len(pairs))
        tokens = [word for word, _, _ in pairs[:end]]
        tags = [check_tag(tag, name, number) for _, tag, number in pairs[:end]]
        check_lengths(tokens, tags, name, first)
        if end < len(pairs) and pairs[end][0] != EOS:
            raise UserError(f"{name}:{pairs[end][2]}: expected {EOS} before the context, found {pairs[end][0]!r}")
        for _, tag, number in pairs[end:]:
            if tag not in CONTEXT_TAGS:
                raise UserError(f"{name}:{number}: expected every line after {EOS} to be tagged X, found {tag!r}")
        yield Post(tokens, tags, image, context=tuple(word for word, _, _ in pairs[end + 1 :]))


READERS: dict[str, Callable[[bytes, str], Iterator[Post]]] = {
    "umt": read_umt,
    "three_line": read_three_line,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "ita": read_ita,
}
