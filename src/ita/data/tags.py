"""Tags and spans: IOB2 in our tables, BIOES inside the model, and the other schemes that files have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

TAG = re.compile(r"O|[BIESMLU]-\S+")
"""A tag of IOB1, IOB2, BIOES (also IOBES), BILOU (also BILUO) or BMES."""
BEGINS = {"S", "U"}
"""Prefixes of an entity of one word, in BIOES and BMES, and in BILOU."""
START = "start"
"""What stands before the first word in ``illegal_transitions``."""
INSIDE = {"E", "L", "M"}
"""Prefixes of its last word, in BIOES and BMES, and in BILOU; of a word between, in BMES."""


class Span(NamedTuple):
    """An entity: words ``start`` to ``end - 1``, and its type."""

    start: int
    end: int
    type: str


def repair(tags: Sequence[str]) -> tuple[list[str], int]:
    """Turns IOB into valid IOB2: an orphan ``I-X``, which follows no tag of type X, becomes ``B-X``.

    That keeps every span that lenient scorers (conlleval, seqeval's default, the official code) count.

    Returns:
        The tags, and how many were changed.
    """
    repaired: list[str] = []
    changed = 0
    for tag in tags:
        previous = repaired[-1] if repaired else "O"
        if tag.startswith("I-") and previous[2:] != tag[2:]:
            tag = "B" + tag[1:]
            changed += 1
        repaired.append(tag)
    return repaired, changed


def illegal_transitions(tags: Sequence[str]) -> list[str]:
    """What IOB2 forbids, and ``repair`` mends: tag before an orphan ``I-X`` and the orphan, such as ``O I-PER``.

    There are as many as tags that ``repair`` changes.
    """
    pairs = zip([START, *tags], tags, strict=False)
    return [f"{previous} {tag}" for previous, tag in pairs if tag[:2] == "I-" and previous[2:] != tag[2:]]


def to_iob(tags: Sequence[str]) -> tuple[list[str], Mapping[str, int]]:
    """IOB tags of tags of any scheme; those of IOB1 and IOB2 stay as they are.

    An entity that is closed stays closed: a word that goes on after S, U, E or L begins the next one.

    Returns:
        The tags; prefix of another scheme -> how many tags had it.
    """
    counts = Counter(tag[0] for tag in tags if tag[0] in BEGINS | INSIDE)
    if not counts:
        return list(tags), {}
    result: list[str] = []
    closed = True
    for tag in tags:
        prefix, suffix = tag[0], tag[1:]
        begins = prefix == "B" or prefix in BEGINS or (closed and prefix != "O")
        result.append(tag if prefix == "O" else ("B" if begins else "I") + suffix)
        closed = prefix in BEGINS | {"O", "E", "L"}
    return result, dict(sorted(counts.items()))


def spans(tags: Sequence[str]) -> list[Span]:
    """Entities of IOB2 tags, read leniently: an orphan ``I-`` begins an entity."""
    entities: list[Span] = []
    start, entity_type = 0, ""
    for position, tag in enumerate([*tags, "O"]):
        if entity_type and not (tag.startswith("I-") and tag[2:] == entity_type):
            entities.append(Span(start, position, entity_type))
            entity_type = ""
        if tag != "O" and not entity_type:
            start, entity_type = position, tag[2:]
    return entities


def to_bioes(tags: Sequence[str]) -> list[str]:
    """BIOES tags of valid IOB2 tags: the last word of an entity is ``E-``, the only one ``S-``."""
    result = ["O"] * len(tags)
    for start, end, entity_type in spans(tags):
        inside = ["I"] * (end - start - 2)
        prefixes = ["S"] if end - start == 1 else ["B", *inside, "E"]
        result[start:end] = [f"{prefix}-{entity_type}" for prefix in prefixes]
    return result


def from_bioes(tags: Sequence[str]) -> list[str]:
    """IOB tags of BIOES tags as a model predicts them; an ``I-`` or ``E-`` without a beginning stays an orphan ``I-``.

    Nothing is repaired here, so that a lenient and a strict scorer can differ.
    """
    iob = {"S": "B", "E": "I"}
    return ["O" if tag == "O" else iob.get(tag[0], tag[0]) + tag[1:] for tag in tags]


def tag_set(types: Iterable[str], prefixes: str = "BIES") -> list[str]:
    """The K tags in a fixed order: O, then those of each type by name; BIOES by default, ``BI`` for IOB2."""
    return ["O", *(f"{prefix}-{entity_type}" for entity_type in sorted(set(types)) for prefix in prefixes)]
