"""Answers: the entities of a post, and what was read of it."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ita.tagging.posts import missing_to_none, printable

RENAMED = "input_"
"""Before the name of a column of the input that is also one of the answer."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A named entity."""

    start: int
    """First character in the text."""
    end: int
    """Character behind the last one."""
    type: str
    score: float
    """Probability of the entity under the CRF, 0 to 1."""
    surface: str
    """``text[start:end]``."""
    words: tuple[int, int]
    """First token, and the one behind the last."""

    def to_dict(self) -> dict[str, Any]:
        """The entity as JSON has it, its score rounded to four digits."""
        return {
            "start": self.start,
            "end": self.end,
            "type": self.type,
            "score": round(self.score, 4),
            "surface": self.surface,
            "words": list(self.words),
        }


@dataclass(frozen=True)
class TaggedPost:
    """The answer for one post."""

    text: str | None
    """As it was given; None of a post that cannot be read."""
    tokens: list[str]
    entities: list[Entity]
    view: str | None = None
    """View that was read: t (text) or it (image text and text)."""
    image_status: str | None = None
    """ok, missing, failed or refused, as in images.parquet; unread: the view T was asked for; None: without image."""
    image_error: str | None = None
    """Why the image was not read."""
    error: str | None = None
    """Why the post was not read."""
    line: int | None = None
    """Line or row of the input, from 1."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Further columns of the post."""
    image_text: Mapping[str, Any] | None = None
    """What was found in the image, where it was asked for: objects, captions, ocr_text, context, alignments."""

    def to_dict(self) -> dict[str, Any]:
        """The answer for JSON: further columns of the post, then its entities."""
        if self.error is not None:
            line = {"line": self.line} if self.line is not None else {}
            return {**carried(self.columns), **unread_words(self.columns), **line, "error": self.error}
        image = {"image_status": self.image_status, "image_error": self.image_error}
        return {
            **carried(self.columns),
            "text": self.text,
            "tokens": list(self.tokens),
            "view": self.view,
            **{name: value for name, value in image.items() if value is not None},
            "entities": [entity.to_dict() for entity in self.entities],
            **({"image_text": self.image_text} if self.image_text is not None else {}),
        }


ANSWER_COLUMNS = ("text", "tokens", "view", "image_status", "image_error", "entities", "image_text", "line", "error")


def carried(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of the input for the answer: JSON values, no names that the answer has itself."""
    values = {}
    for name, value in columns.items():
        name = printable(str(name))
        if name in ("text", "tokens") or isinstance(value, bytes | bytearray | memoryview) and name == "image":
            continue
        if name == "image" and isinstance(value, Mapping):
            value = value.get("path")
        values[RENAMED + name if name in ANSWER_COLUMNS else name] = json_value(value)
    return values


def unread_words(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Text and tokens of a post that was not read: under names of the input where they are not of the answer's type."""
    values = {name: json_value(columns[name]) for name in ("text", "tokens") if name in columns}
    return {
        name if name == "text" and isinstance(value, str) else RENAMED + name: value for name, value in values.items()
    }


def json_value(value: Any) -> Any:
    """A value as JSON can hold it; what it knows no type for becomes text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {printable(str(key)): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if hasattr(value, "tolist"):
        return json_value(value.tolist())
    return None if missing_to_none(value) is None else str(value)
