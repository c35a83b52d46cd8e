"""Annotated posts with a word a line, or with three lines a post.

Blanks around words, tags and ids do not count, other characters do: U+00A0, U+FE0F or U+200B alone are words on
Twitter. Lines ``-DOCSTART-`` and comments (``# ...`` before the words of a post) are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ita.data.records import Layout, Post, check_lengths
from ita.data.tags import TAG, to_iob
from ita.errors import UserError
from ita.io.image_formats import strip_image_suffix
from ita.io.text import malformed, numbered_lines, quote

EOS = "<EOS>"
"""The word that ends a post and separates the texts of its context in files of the official format."""
CONTEXT_TAGS = {"X", "B-X", "S-X", "I-X"}
"""Tags of the separators and of the words of a context in files of the official format."""
IMAGE_LINE = re.compile(r"\ufeff?[ \t]*(?:IMGID|WID):(.*)")
DOCUMENT = "-DOCSTART-"
BLANKS = re.compile(r"[ \t]+")
NUMBER = re.compile(r"[0-9]{1,9}")


class TaggedWord(NamedTuple):
    """A line of a file with one word per line."""

    word: str
    tag: str
    line: int


def read_umt(content: bytes, file_name: str, layout: Layout) -> Iterator[Post]:
    """UMT's format: an ``IMGID:id`` line (or WID:, or none), then ``word TAB tag`` lines, then a blank line."""
    for line, image_id, words in tagged_blocks(content, file_name, layout):
        for word in words:
            if word.word in (EOS, "") and word.tag in CONTEXT_TAGS:
                actual = f"{EOS}, which begins a context: such files are read by posts.format: ita"
                raise malformed(file_name, word.line, "a post without a context", actual)
        yield post_of_words(words, image_id, file_name, line, layout)


def read_ita(content: bytes, file_name: str, layout: Layout) -> Iterator[Post]:
    """The official code's format: the post, ``<EOS>``, then its context, every context line tagged X (or B-X).

    Files with texts of language models have empty words in contexts, which are left out.
    """
    for line, image_id, words in tagged_blocks(content, file_name, layout):
        end = next((i for i, word in enumerate(words) if word.tag in CONTEXT_TAGS), len(words))
        context = words[end:]
        if context and context[0].word != EOS:
            raise malformed(file_name, context[0].line, f"{EOS} before the context", quote(context[0].word))
        for word in context:
            if word.tag not in CONTEXT_TAGS:
                raise malformed(file_name, word.line, f"every line after {EOS} to be tagged X", quote(word.tag))
        context_words = tuple(word.word for word in context[1:] if word.word)
        yield post_of_words(words[:end], image_id, file_name, line, layout, context_words)


def read_three_line(content: bytes, file_name: str, layout: Layout) -> Iterator[Post]:
    """Three lines a post: words, tags, image file; blank lines between posts are optional."""
    lines: list[tuple[int, str]] = []
    for number, text in numbered_lines(content, file_name):
        if text.strip(" \t"):
            lines.append((number, text.strip(" \t")))
        if len(lines) == 3:
            (line, words), (tag_line, labels), (_, image) = lines
            lines = []
            tokens = BLANKS.split(words)
            tags = [read_tag(tag, layout, file_name, tag_line) for tag in BLANKS.split(labels)]
            check_lengths(tokens, tags, file_name, line)
            iob, converted = to_iob(tags)
            yield Post(tokens, iob, strip_image_suffix(image), converted=converted)
    if lines:
        raise malformed(file_name, lines[-1][0], "three lines a post (words, tags, image)", "an incomplete one")


def blocks(content: bytes, file_name: str) -> Iterator[list[tuple[int, str]]]:
    """Numbered lines of a text, in blocks between blank lines."""
    block: list[tuple[int, str]] = []
    for number, line in numbered_lines(content, file_name):
        if line.strip(" \t"):
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def tagged_blocks(content: bytes, file_name: str, layout: Layout) -> Iterator[tuple[int, str | None, list[TaggedWord]]]:
    """Posts with one word per line: number of the first line, image id from the line before the words, words."""
    for block in blocks(content, file_name):
        image_id, heading = None, False
        tabs = any("\t" in line for _, line in block)
        position = 0
        while position < len(block):
            line = block[position][1]
            if image := IMAGE_LINE.fullmatch(line):
                image_id, heading = image[1].strip() or None, True
            elif not (line.startswith(DOCUMENT) or is_comment(line, tabs)):
                break
            position += 1
        if heading or position < len(block):
            yield block[0][0], image_id, [split_line(line, layout, file_name, n) for n, line in block[position:]]


def is_comment(line: str, tabs: bool) -> bool:
    """Whether a line before the words of a post is a comment, and not the word ``#``.

    Args:
        line: the line.
        tabs: whether lines of the post have TABs.
    """
    if not line.startswith("# "):
        return False
    return (tabs and "\t" not in line) or not TAG.fullmatch(BLANKS.split(line.strip(" \t"))[-1])


def split_line(line: str, layout: Layout, file_name: str, number: int) -> TaggedWord:
    """The word and the tag among the columns of a line, which TABs separate, or blanks where there is no TAB.

    Only a word of a context may be empty.
    """
    text = line.strip(" \t")
    if line.startswith("\t") and text in CONTEXT_TAGS:
        return TaggedWord("", text, number)
    columns = [column.strip(" ") for column in text.split("\t")] if "\t" in text else BLANKS.split(text)
    if layout.columns:
        word = column_of(columns, layout, "tokens", 1, file_name, number)
        tag = column_of(columns, layout, "tags", -1, file_name, number)
    elif len(columns) > 2:
        advice = f"say which are meant, such as posts.columns: {{tokens: 1, tags: {len(columns)}}}"
        raise malformed(file_name, number, "two columns, word and tag", f"{len(columns)}: {quote(line)}; {advice}")
    else:
        word, tag = columns[0], columns[-1] if len(columns) == 2 else ""
    if not word or not tag or " " in word:
        raise malformed(file_name, number, "'word<TAB>tag'", quote(line))
    return TaggedWord(word, tag, number)


def column_of(columns: Sequence[str], layout: Layout, meaning: str, default: int, file_name: str, line: int) -> str:
    """The column that the settings name by its number."""
    number = layout.columns.get(meaning, default)
    if not isinstance(number, int) or number == 0:
        raise UserError(
            f"posts.columns.{meaning}: found {quote(number)}, expected the number of a column, 1 for the first, -1 for "
            f"the last: {file_name} has no names of columns"
        )
    if abs(number) > len(columns):
        raise malformed(file_name, line, f"a column {number} (posts.columns.{meaning})", f"{len(columns)} columns")
    return columns[number - 1 if number > 0 else number]


def post_of_words(
    words: Sequence[TaggedWord],
    image_id: str | None,
    file_name: str,
    line: int,
    layout: Layout,
    context: tuple[str, ...] = (),
) -> Post:
    """A post with one word per line, checked; ``line`` is its first."""
    tokens = [word.word for word in words]
    tags = [read_tag(word.tag, layout, file_name, word.line) for word in words]
    check_lengths(tokens, tags, file_name, line)
    iob, converted = to_iob(tags)
    return Post(tokens, iob, image_id, context=context, converted=converted)


def read_tag(tag: str | int, layout: Layout, file_name: str, line: int) -> str:
    """A tag of any scheme, by its name or by its number among the names in the settings.

    Raises:
        UserError: for anything else.
    """
    if isinstance(tag, int) or NUMBER.fullmatch(tag):
        if not layout.tag_names:
            advice = "name the tags in their order in posts.tag_names, or their file in posts.features"
            raise malformed(file_name, line, "tags by name", f"the number {str(tag)[:20]}; {advice}")
        if not 0 <= int(tag) < len(layout.tag_names):
            raise malformed(file_name, line, f"a number below {len(layout.tag_names)} for a tag", str(tag)[:20])
        tag = layout.tag_names[int(tag)]
    if not TAG.fullmatch(tag):
        raise malformed(file_name, line, "the tag O, B-TYPE or I-TYPE", quote(tag))
    return tag
