"""Visual contexts as words: the paper's linearisation of objects, captions and characters (section 2.1).

A context is a list of (word, kind). Kinds are the paper's alignments ``la`` (objects with attributes), ``ga``
(captions), ``oca`` (characters), names of further texts, and ``sep`` for a separator, which becomes the encoder's
own.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ita.data.formats import SEPARATOR

SEP = "sep"
Word = tuple[str, str]


def words(text: str, kind: str) -> list[Word]:
    """Words of a text, parted by white space, without unprintable characters."""
    printable = (w if w.isprintable() else "".join(filter(str.isprintable, w)) for w in text.split())
    return [(word, kind) for word in printable if word]


def count_words(text: str) -> int:
    """Tokens of a text: the words of an uncut context OCA, which white space parts. The paper does not define them."""
    return len(words(text, "oca"))


def join(parts: Iterable[list[Word]]) -> list[Word]:
    """Non-empty parts with a separator between them."""
    joined: list[Word] = []
    for part in filter(None, parts):
        joined += [(SEPARATOR, SEP), *part] if joined else part
    return joined


def local_alignment(objects: Sequence[Mapping[str, Any]], threshold: float, attributes: int, tags: int) -> list[Word]:
    """LA: every object after its attributes, objects by falling confidence.

    Args:
        objects: rows of the objects table, in rank order.
        threshold: an attribute counts above this confidence.
        attributes: most attributes of an object; they come by falling confidence (our choice).
        tags: most labels, objects and attributes together; the first object that does not fit ends the list.
    """
    result: list[Word] = []
    used = 0
    for item in objects:
        kept = [a["label"] for a in item["attributes"] or () if a["score"] is None or a["score"] > threshold]
        labels = [*kept[:attributes], item["label"]]
        if used + len(labels) > tags:
            break
        used += len(labels)
        result += [word for label in labels for word in words(label, "la")]
    return result


def global_alignment(captions: Sequence[str], most: int) -> list[Word]:
    """GA: the captions, best first, joined by the separator [X]."""
    return join(words(caption, "ga") for caption in captions[:most])


def aligned_texts(texts: Sequence[str], kind: str) -> list[Word]:
    """Further texts of a kind, joined by the separator."""
    return join(words(text, kind) for text in texts)


def within(context: list[Word], budget: int | None) -> tuple[list[Word], int]:
    """The first words of a context, separators not counted, and the number of words cut."""
    if budget is None:
        return context, 0
    kept: list[Word] = []
    count = 0
    for word in context:
        count += word[1] != SEP
        if count > budget:
            break
        kept.append(word)
    while kept and kept[-1][1] == SEP:
        kept.pop()
    total = sum(kind != SEP for _, kind in context)
    return kept, total - sum(kind != SEP for _, kind in kept)


def others(count: int, seed: int) -> list[int]:
    """For each of ``count`` posts the index of another one: a random cyclic permutation (no post keeps its own)."""
    order = list(range(count))
    generator = random.Random(seed)
    for i in range(count - 1, 0, -1):  # Sattolo's algorithm: one cycle, hence no fixed point
        j = generator.randrange(i)
        order[i], order[j] = order[j], order[i]
    return order
