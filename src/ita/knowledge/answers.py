"""Answers that are kept: JSON lines that are only ever appended to, named by what was asked.

A folder holds a file for each source and shard, and all of them are read, so that neither another number of shards nor
another source that asks the same makes anything be asked twice. A killed process loses at most the line that it was
writing. Every line has a checksum: one that is damaged is told and asked for again. Failed answers are not kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Self

from ita.errors import UserError
from ita.knowledge.types import Answer, Question
from ita.log import log

KEY = re.compile("[0-9a-f]{64}")
KEPT = ("ok", "refused", "empty")
"""Statuses that asking again would not change."""
CHECKSUM = "sha256"
NAMES = [field.name for field in fields(Answer)]


def key_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of everything that an answer depends on."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Answers:
    """The answers in a folder, by key.

    Args:
        folder: made if need be.
        name: of the file that new answers are appended to.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.path = folder / f"{name}.jsonl"
        self.known: dict[str, Answer] = {}

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.known = read_answers(self.folder)
            self.file = open(self.path, "ab+")
            self._end_line()
        except OSError as error:
            raise UserError(f"{self.folder}: answers cannot be kept there: {error}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def _end_line(self) -> None:
        """Ends a line that a killed process left half-written, so that the next is not appended to it."""
        if size := self.file.seek(0, os.SEEK_END):
            self.file.seek(size - 1)
            if self.file.read(1) != b"\n":
                self.file.write(b"\n")

    def add(self, question: Question, answer: Answer) -> None:
        """Keeps an answer, on disk before this returns; not a failed one.

        Raises:
            UserError: when the disk refuses it.
        """
        if answer.status not in KEPT:
            return
        self.known[question.key] = answer
        try:
            self.file.write(line_of(question.key, answer))
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error}") from None


def read_answers(folder: Path) -> dict[str, Answer]:
    """The answers in a folder, by key; none where there is no folder."""
    known: dict[str, Answer] = {}
    for path in sorted(folder.glob("*.jsonl")):
        damaged = 0
        with open(path, "rb") as lines:
            for line in lines:
                if (entry := parse_line(line)) is not None:
                    known[entry[0]] = entry[1]
                elif line.strip():
                    damaged += 1
        if damaged:
            log.warning("%s: %d lines are damaged or cut; what they held is asked for again", path, damaged)
    return known


def line_of(key: str, answer: Answer) -> bytes:
    """The line of an answer."""
    values = {"key": key, **asdict(answer)}
    return json.dumps({**values, CHECKSUM: key_of(values)}).encode() + b"\n"


def parse_line(line: bytes) -> tuple[str, Answer] | None:
    """Key and answer of a line, None if it is not one."""
    try:
        values = json.loads(line)
        if values.pop(CHECKSUM) != key_of(values):
            return None
        key = values.pop("key")
        answer = Answer(**{name: values.get(name) for name in NAMES})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if not (isinstance(key, str) and KEY.fullmatch(key) and answer.status in KEPT and isinstance(answer.text, str)):
        return None
    return key, answer
