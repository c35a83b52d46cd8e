"""A new post, from the values that a line, a row or a Python caller has for it.

Known columns are ``text`` or ``tokens`` (or both: then the tokens are looked up in the text), ``image`` and
``context``. Whatever else comes with a post is carried through to its answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ita.data.visual_context import VisualContext, join_texts
from ita.data.words import Marks, cut_words
from ita.io.text import SURROGATE, half_character, load_any_json, quote


class UnreadablePost(ValueError):
    """A post that cannot be read; the message says what was found and what was expected."""


@dataclass(frozen=True)
class Record:
    """What a reader found: the values of a post, or why there are none."""

    values: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    line: int | None = None
    """Line of a text file, row of a table, from 1; None of a Python value."""


@dataclass(frozen=True)
class NewPost:
    """A post to tag."""

    text: str
    """As it was given; tokens without a text are joined by a space."""
    tokens: list[str]
    offsets: list[tuple[int, int]]
    """Start and end of each token in the text, in characters."""
    image: str | bytes | None = None
    """Path, URL or content of its image."""
    context: VisualContext | None = None
    """The text of its image, where the post brings it."""


def parse_post(values: Mapping[str, Any], marks: Marks = "apart") -> NewPost:
    """A post from its values.

    Args:
        values: columns of the post.
        marks: how a text's hashtags and mentions are cut.

    Raises:
        UnreadablePost: saying what was expected.
    """
    for name, value in values.items():
        check_characters(name, value)
    text, given_tokens = missing_to_none(values.get("text")), missing_to_none(values.get("tokens"))
    if text is not None and not isinstance(text, str):
        raise UnreadablePost(f"expected 'text' to be a string, found {type(text).__name__} ({quote(text)})")
    if given_tokens is None:
        if text is None:
            raise UnreadablePost("expected 'tokens' or 'text'")
        offsets = cut_words(text, marks)
        tokens = [text[start:end] for start, end in offsets]
    else:
        tokens = parse_tokens(given_tokens)
        text = " ".join(tokens) if text is None else text
        offsets = locate(tokens, text)
    if not tokens:
        raise UnreadablePost("expected at least one word")
    return NewPost(text, tokens, offsets, parse_image(values.get("image")), parse_context(values.get("context")))


def parse_tokens(value: Any) -> list[str]:
    """Tokens from a list, from JSON in a cell, or from words in a cell between white space."""
    if isinstance(value, str):
        value = json_list(value) or value.split()
    value = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(value, list | tuple) or not all(isinstance(token, str) and token for token in value):
        raise UnreadablePost(f"expected 'tokens' to be a list of non-empty strings, found {quote(value)}")
    return list(value)


def locate(tokens: Sequence[str], text: str) -> list[tuple[int, int]]:
    """Where tokens stand in a text, one after another."""
    offsets, end = [], 0
    for token in tokens:
        start = text.find(token, end)
        if start < 0:
            raise UnreadablePost(f"expected the tokens to stand in the text in this order; {quote(token)} does not")
        end = start + len(token)
        offsets.append((start, end))
    return offsets


def parse_image(value: Any) -> str | bytes | None:
    """Path, URL or bytes of an image; also the pair of bytes and path that data sets of the hub have."""
    value = missing_to_none(value)
    if isinstance(value, Mapping):
        if not value.keys() & {"bytes", "path"}:
            raise UnreadablePost(f"expected 'image' to be a path, a URL or bytes, found {quote(value)}")
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytearray | memoryview):
        value = bytes(value)
    if value is None or isinstance(value, bytes):
        return value or None
    if not isinstance(value, str):
        raise UnreadablePost(f"expected 'image' to be a path, a URL or bytes, found {type(value).__name__}")
    return value.strip() or None


def parse_context(value: Any) -> VisualContext | None:
    """The text of an image: a string, or several, which the model's separator joins."""
    value = missing_to_none(value)
    value = value.tolist() if hasattr(value, "tolist") else value
    if value is None or value == "":
        return None
    texts = (json_list(value) or [value]) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise UnreadablePost("expected 'context' to be a string or a list of strings")
    return join_texts(texts, "context")


def json_list(cell: str) -> list[Any] | None:
    """The list of strings that a cell holds as JSON; None where it holds something else."""
    if not cell.lstrip().startswith("["):
        return None
    try:
        value = load_any_json(cell)
    except ValueError:
        return None
    check_characters("a list", value)
    return value if isinstance(value, list) and value and all(isinstance(item, str) for item in value) else None


def missing_to_none(value: Any) -> Any:
    """None for what pandas has in an empty cell (NaN, NA, NaT), which alone is not equal to itself."""
    if isinstance(value, str | bytes | list | tuple | Mapping) or hasattr(value, "tolist") and hasattr(value, "shape"):
        return value
    try:
        return value if value == value else None
    except TypeError:  # pandas' NA
        return None


def check_characters(name: str, value: Any) -> None:
    """Raises UnreadablePost where a value holds half a character or bytes that are not UTF-8."""
    if problem := half_character([name, value]):
        raise UnreadablePost(f"{quote(printable(name))} {problem}")


def printable(text: str) -> str:
    """A text that can be written: U+FFFD in place of halves of characters."""
    return SURROGATE.sub("\ufffd", text)
