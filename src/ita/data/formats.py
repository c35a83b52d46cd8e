"""Formats of annotated posts, one reader for each.

A reader takes the bytes of a file and its name, and yields posts in order. Words are not stripped: U+00A0, U+FE0F or
U+200B alone are words on Twitter. Lines end in LF or CRLF.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ita.data.records import Post, check_lengths, decode_lines, image_of_record, json_records, malformed, text_or_none
from ita.data.relations import read_relations
from ita.data.tags import TAG
from ita.errors import UserError
from ita.io.image_formats import strip_image_suffix

EOS = "<EOS>"
"""The word that ends a post and separates the texts of its context in files of the official format."""
CONTEXT_TAGS = {"X", "B-X", "S-X", "I-X"}
"""Tags of the separators and of the words of a context in files of the official format."""
IMAGE_LINE = re.compile(r"(?:IMGID|WID):(.*)")
BLANKS = re.compile(r"[ \t]+")


class TaggedWord(NamedTuple):
    """A line of a file with one word per line."""

    word: str
    tag: str
    line: int


def read_posts(content: bytes, file_name: str, format_name: str) -> list[Post]:
    """Reads a file of annotated posts.

    Args:
        content: the file's bytes.
        file_name: for messages.
        format_name: a key of READERS.

    Raises:
        UserError: for anything malformed: file and line, what was expected and what was found.
    """
    posts = list(READERS[format_name](content, file_name))
    if not posts:
        raise UserError(f"{file_name}: no posts found; expected the format '{format_name}' (setting posts.format)")
    return posts


def read_umt(content: bytes, file_name: str) -> Iterator[Post]:
    """UMT's format: an ``IMGID:id`` line (or WID:, or none), then ``word TAB tag`` lines, then a blank line."""
    for line, image_id, words in tagged_blocks(content, file_name):
        yield post_of_words(words, image_id, file_name, line)


def read_ita(content: bytes, file_name: str) -> Iterator[Post]:
    """The official code's format: the post, ``<EOS>``, then its context, every context line tagged X (or B-X)."""
    for line, image_id, words in tagged_blocks(content, file_name):
        end = next((i for i, word in enumerate(words) if word.tag in CONTEXT_TAGS), len(words))
        context = words[end:]
        if context and context[0].word != EOS:
            raise malformed(file_name, context[0].line, f"{EOS} before the context", repr(context[0].word))
        for word in context:
            if word.tag not in CONTEXT_TAGS:
                raise malformed(file_name, word.line, f"every line after {EOS} to be tagged X", repr(word.tag))
        yield post_of_words(words[:end], image_id, file_name, line, tuple(word.word for word in context[1:]))


def read_three_line(content: bytes, file_name: str) -> Iterator[Post]:
    """Three lines a post: words, tags, image file; blank lines between posts are optional."""
    lines = [line for block in blocks(content, file_name) for line in block]
    if len(lines) % 3:
        raise malformed(file_name, lines[-1][0], "three lines a post (words, tags, image)", "an incomplete one")
    for first in range(0, len(lines), 3):
        (line, words), (tag_line, labels), (_, image) = lines[first : first + 3]
        tokens = BLANKS.split(words.strip(" \t"))
        tags = [check_tag(tag, file_name, tag_line) for tag in BLANKS.split(labels.strip(" \t"))]
        check_lengths(tokens, tags, file_name, line)
        yield Post(tokens, tags, strip_image_suffix(image.strip(" \t")))


def read_jsonl(content: bytes, file_name: str) -> Iterator[Post]:
    """One object a line: ``tokens``, ``tags``, and optionally ``image`` (id or URL), ``id``."""
    for number, record in json_records(content, file_name):
        yield post_of_record(record, file_name, number)


def read_parquet(content: bytes, file_name: str) -> Iterator[Post]:
    """A table with the columns of the JSONL format; numbers in messages count rows from 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{file_name}: expected a Parquet file, found {error}") from None
    for number, record in enumerate(table.to_pylist(), 1):
        yield post_of_record(record, file_name, number)


READERS: dict[str, Callable[[bytes, str], Iterator[Post]]] = {
    "umt": read_umt,
    "three_line": read_three_line,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "ita": read_ita,
    "relation": read_relations,
}
"""Name of a format in the setting posts.format -> its reader."""


def blocks(content: bytes, file_name: str) -> Iterator[list[tuple[int, str]]]:
    """Numbered lines of a text, in blocks between blank lines."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(decode_lines(content, file_name), 1):
        if line.strip(" \t"):
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def tagged_blocks(content: bytes, file_name: str) -> Iterator[tuple[int, str | None, list[TaggedWord]]]:
    """Posts with one word per line: number of the first line, image id from the line before the words, words."""
    for block in blocks(content, file_name):
        first_line, heading = block[0]
        image_id = None
        if image := IMAGE_LINE.fullmatch(heading):
            image_id = image[1] or None
            block = block[1:]
        yield first_line, image_id, [split_tag(line, file_name, number) for number, line in block]


def split_tag(line: str, file_name: str, number: int) -> TaggedWord:
    """A word and its tag, separated by the last TAB, or by the last space where there is no TAB."""
    word, _, tag = line.rpartition("\t" if "\t" in line else " ")
    if not word or not tag:
        raise malformed(file_name, number, "'word<TAB>tag'", repr(line))
    return TaggedWord(word, tag, number)


def post_of_words(
    words: Sequence[TaggedWord], image_id: str | None, file_name: str, line: int, context: tuple[str, ...] = ()
) -> Post:
    """A post with one word per line, checked; ``line`` is its first."""
    tokens = [word.word for word in words]
    tags = [check_tag(word.tag, file_name, word.line) for word in words]
    check_lengths(tokens, tags, file_name, line)
    return Post(tokens, tags, image_id, context=context)


def post_of_record(record: Any, file_name: str, line: int) -> Post:
    """A post from an object with ``tokens``, ``tags``, ``image`` (or ``image_id``, ``image_url``) and ``id``."""
    if not isinstance(record, dict):
        raise malformed(file_name, line, "an object with 'tokens' and 'tags'", type(record).__name__)
    for key in "tokens", "tags":
        value = record.get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise malformed(file_name, line, f"'{key}' to be a list of non-empty strings", f"{value!r:.80}")
    tokens = list(record["tokens"])
    tags = [check_tag(tag, file_name, line) for tag in record["tags"]]
    check_lengths(tokens, tags, file_name, line)
    post_id = record.get("id", record.get("post_id"))
    return Post(tokens, tags, *image_of_record(record), text_or_none(post_id))


def check_tag(tag: str, file_name: str, line: int) -> str:
    """Returns an IOB tag.

    Raises:
        UserError: for anything else.
    """
    if not TAG.fullmatch(tag):
        raise malformed(file_name, line, "the tag O, B-TYPE or I-TYPE", repr(tag))
    return tag
