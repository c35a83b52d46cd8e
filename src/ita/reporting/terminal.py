"""Colours on a terminal, where it shows them and nobody asked for none (``NO_COLOR``, ``TERM=dumb``)."""

from __future__ import annotations

import os
from typing import TextIO

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def has_colours(stream: TextIO) -> bool:
    """Whether a stream shows colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, style: str, colours: bool) -> str:
    """A text in a style of STYLES, or as it is."""
    return f"\033[{STYLES[style]}m{text}\033[0m" if colours and text else text
