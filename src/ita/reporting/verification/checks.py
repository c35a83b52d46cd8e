"""What was checked: a line each, with what to do where something does not match."""

from __future__ import annotations

from typing import TextIO

from ita.errors import printable
from ita.reporting.terminal import has_colours, styled

MOST = 5
"""Differences of one kind that are listed; the rest are counted."""


class Checks:
    """Prints checks as they are made.

    Attributes:
        passed: checks that hold.
        failed: checks that do not.
        notes: what could not be checked.
    """

    def __init__(self, stream: TextIO) -> None:
        self.passed = self.failed = self.notes = 0
        self._stream, self._colours = stream, has_colours(stream)

    def ok(self, subject: str, statement: str) -> None:
        """A check that holds."""
        self.passed += 1
        self._print("ok", "green", f"{subject}: {statement}")

    def note(self, subject: str, statement: str) -> None:
        """Something that cannot be checked."""
        self.notes += 1
        self._print("note", "yellow", f"{subject}: {statement}")

    def fail(self, subject: str, problem: str, remedy: str) -> None:
        """A check that does not hold, and what to do."""
        self.failed += 1
        self._print("FAIL", "red", f"{subject}: {problem}")
        self._print("", "dim", f"-> {remedy}")

    def fail_each(self, subject: str, differences: list[str], remedy: str) -> None:
        """Fails with several differences in lines of their own."""
        if not differences:
            return
        for difference in differences[:MOST]:
            self.failed += 1
            self._print("FAIL", "red", f"{subject}: {difference}")
        if rest := differences[MOST:]:
            self.failed += len(rest)
            self._print("", "dim", f"and {len(rest)} more")
        self._print("", "dim", f"-> {remedy}")

    def summary(self) -> str:
        """How many of each."""
        notes = f", {self.notes} notes" if self.notes else ""
        return f"{self.passed} checks hold, {self.failed} do not{notes}"

    def _print(self, mark: str, style: str, text: str) -> None:
        self._stream.write(f"{styled(f'{mark:<4}', style, self._colours)}  {printable(text)}\n")
        self._stream.flush()
