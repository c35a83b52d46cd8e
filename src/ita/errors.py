"""The error that a user can put right."""

from __future__ import annotations

import re

LONGEST = 700
"""Characters of a message; what goes beyond quotes data or another library."""
LINE_END = re.compile(r"\s*[\r\n]\s*")


class UserError(Exception):
    """Something the user can put right: the message says what was found, what was expected and what to do.

    The message is one line that a terminal shows as it is, whatever it quotes of the data or of another library.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shortened(printable(LINE_END.sub(" ", message.strip()))))


class ConfigError(UserError):
    """A setting that is wrong: the message says where it stands, what was found and what is allowed.

    Several settings take a line each.
    """

    def __init__(self, message: str) -> None:
        Exception.__init__(self, "\n".join(shortened(printable(line)) for line in message.split("\n")))


def printable(text: str) -> str:
    r"""A text without characters that a terminal does not show: those are written as ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shortened(line: str) -> str:
    """A line of at most LONGEST characters: its start says what is wrong, its end what to do."""
    if len(line) <= LONGEST:
        return line
    end = LONGEST // 3
    return f"{line[: LONGEST - end - 5]} ... {line[-end:]}"
