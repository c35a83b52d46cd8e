"""No language model: the template with its slots filled is the text.

It shows how knowledge passes through the pipeline, and is what a table with a model compares with: the same words
without a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ita.config import Knowledge
from ita.knowledge.backends import identity_of
from ita.knowledge.types import Answer, Question, Record

NOTE = "no language model: a template filled with what detector, captioner and OCR engine found"


class FilledTemplate:
    """Answers with the question."""

    reads_images = False

    def __init__(self, settings: Knowledge) -> None:
        self.identity: dict[str, Any] = identity_of(settings)
        self.metadata: dict[str, Any] = {**self.identity, "note": NOTE}

    def ask(self, questions: Sequence[Question], record: Record) -> None:
        """Answers all questions."""
        for question in questions:
            text = " ".join(question.text.split())
            answer = Answer("ok", text) if text else Answer("empty", error="no slot of the template has a text")
            record(question, answer)
