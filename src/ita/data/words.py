"""Words of raw text, as the training data have them.

Twitter-2015 and Twitter-2017 cut alike (measured on all their tokens): at every sign, apostrophes and hyphens too
(``It ' s``), while numbers with points or commas (``10,000``), names with underscores and URLs stay whole. They differ
in marks: Twitter-2017 has ``# NBA`` and ``@ nfl``, Twitter-2015 ``#NBA`` and ``@nfl``. Combining marks and the parts
of an emoji are never cut apart, as the data sets do, whose halves mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Literal

import regex

Marks = Literal["apart", "joined"]
"""Whether the ``#`` of a hashtag and the ``@`` of a mention are words of their own or part of the word."""

URL = r"(?:https?://|www\.)[^\s<>\"]*[^\s<>\"'’”.,;:!?…)\]}]"
EMAIL = r"[\w.+-]{1,64}+@[\w-]+(?:\.[\w-]+)+"
"""With the longest name that addresses have: to look further from every character would be quadratic."""
NUMBER = r"\p{Nd}+(?:[.,]\p{Nd}+)+(?![\p{L}\p{Nd}_])"
LETTERS = r"[\p{L}\p{N}_](?:[\p{L}\p{M}\p{N}_]++|[\u200c\u200d](?=[\p{L}\p{M}]))*+"
KEYCAP = r"[0-9#*]\ufe0f?\u20e3"
EMOTICON = r"(?<!\S)[:;=][-^']?[()DPpOo/\\|](?!\S)"
FLAG = r"[\U0001f1e6-\U0001f1ff]{2}[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]*+"
"""A pair of letters that make a flag, which the pattern of a sign would look for quadratically."""
SIGN = r"(?!\s)\X"
"""A sign with what combines with it: an emoji with its modifiers, joiners and flags is one."""
HASHTAG = r"[#@＃＠]"


@cache
def word_pattern(marks: Marks) -> regex.Pattern[str]:
    """The pattern of a word."""
    mark = rf"{HASHTAG}{LETTERS}|" if marks == "joined" else ""
    return regex.compile(rf"{URL}|{EMAIL}|{KEYCAP}|{mark}{NUMBER}|{LETTERS}|{EMOTICON}|{FLAG}|{SIGN}")


def cut_words(text: str, marks: Marks = "apart") -> list[tuple[int, int]]:
    """Start and end of each word of a text, in characters; white space belongs to none."""
    return [match.span() for match in word_pattern(marks).finditer(text)]


def marks_of(posts: Iterable[Iterable[str]]) -> Marks:
    """How annotated posts write hashtags and mentions: as most of theirs are."""
    counts = {"apart": 0, "joined": 0}
    for words in posts:
        for word in words:
            if word[:1] in "#@" and word:
                counts["apart" if len(word) == 1 else "joined"] += 1
    return "joined" if counts["joined"] > counts["apart"] else "apart"
