"""Questions to a language model, and its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ita.io.image_shards import Member


@dataclass(frozen=True)
class Question:
    """What is asked about one post.

    Attributes:
        key: names question, model and decoding: what ``ita.knowledge.answers`` keeps the answer under.
        system: instructions, may be empty.
        text: what the user says.
        image: picture that is sent before the text.
    """

    key: str
    system: str
    text: str
    image: Path | Member | None = None


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: ok, refused (the model or its provider will not say anything), empty, or failed (may work later).
        text: of status ok; empty otherwise.
        error: why there is no text.
        finish: stop, or length where the answer was cut at the longest that was allowed.
        prompt_tokens: tokens of the question; None: nobody said.
        completion_tokens: tokens of the answer; None: nobody said.
        model: which model answered, by its own account.
        seconds: that the answer took.
    """

    status: str
    text: str = ""
    error: str | None = None
    finish: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    model: str | None = None
    seconds: float | None = None


Record = Callable[[Question, Answer], None]
"""Called with each answer as soon as it is there."""


class Backend(Protocol):
    """What answers questions.

    Attributes:
        metadata: what identifies it, for the metadata of the output.
        identity: that part of it on which answers depend, for their keys.
        reads_images: whether pictures can be sent.
    """

    metadata: dict[str, Any]
    identity: dict[str, Any]
    reads_images: bool

    def ask(self, questions: Sequence[Question], record: Record) -> None:
        """Asks all of them, in any order; ``record`` may raise to stop."""
