"""Tags and spans: IOB2 outside, BIOES inside the model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

TAG = re.compile(r"O|[BI]-\S+")
"""A tag of an annotated file."""


class Span(NamedTuple):
    """An entity: words ``start`` to ``end - 1``, of a type."""

    start: int
    end: int
    type: str


def repair(tags: Sequence[str]) -> tuple[list[str], int]:
    """Makes IOB2 of tags in which an ``I-`` may start an entity (orphan): such an ``I-X`` becomes ``B-X``.

    That keeps every span that lenient scorers (conlleval, seqeval's default, the official code) count.

    Returns:
        The tags and how many were changed.
    """
    fixed: list[str] = []
    changed = 0
    for tag in tags:
        previous = fixed[-1] if fixed else "O"
        if tag.startswith("I-") and previous[2:] != tag[2:]:
            tag = "B" + tag[1:]
            changed += 1
        fixed.append(tag)
    return fixed, changed


def spans(tags: Sequence[str]) -> list[Span]:
    """Entities of tags in IOB2, read leniently: an orphan ``I-`` starts one."""
    found: list[Span] = []
    start, kind = 0, ""
    for position, tag in enumerate([*tags, "O"]):
        if kind and not (tag.startswith("I-") and tag[2:] == kind):
            found.append(Span(start, position, kind))
            kind = ""
        if tag != "O" and not kind:
            start, kind = position, tag[2:]
    return found


def to_bioes(tags: Sequence[str]) -> list[str]:
    """BIOES of valid IOB2: the last word of an entity is ``E-``, the only one ``S-``."""
    result = ["O"] * len(tags)
    for start, end, kind in spans(tags):
        result[start:end] = (
            [f"S-{kind}"] if end - start == 1 else [f"B-{kind}", *[f"I-{kind}"] * (end - start - 2), f"E-{kind}"]
        )
    return result


def from_bioes(tags: Sequence[str]) -> list[str]:
    """IOB of BIOES tags as a model may predict them; an ``I-`` or ``E-`` without a beginning stays an orphan ``I-``.

    Nothing is repaired here, so that a lenient and a strict scorer can differ.
    """
    return ["O" if tag == "O" else {"S": "B", "E": "I"}.get(tag[0], tag[0]) + tag[1:] for tag in tags]


def tag_set(types: Iterable[str]) -> list[str]:
    """The K = 1 + 4 x types BIOES tags, in a fixed order: O, then B, I, E, S of each type by name."""
    return ["O", *(f"{prefix}-{kind}" for kind in sorted(set(types)) for prefix in "BIES")]
