"""Visual contexts as words: the paper's linearisation of objects, captions and OCR text (section 2.1).

Every word has a kind: the paper's alignments ``la`` (local: objects with attributes), ``ga`` (global: captions) and
``oca`` (optical character: OCR text), the name of an external text, or ``sep`` for a separator, which becomes the
encoder's own separator.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from ita.data.conll import EOS

if TYPE_CHECKING:
    from ita.config import Context

SEPARATOR = "sep"
"""Kind of a separator."""


class VisualContext(NamedTuple):
    """Words of the image text of a post, and the kind of each."""

    words: Sequence[str]
    kinds: Sequence[str]
    """As many as words. Only the kind tells a separator from a word, whatever the word."""

    @property
    def word_count(self) -> int:
        """Words without the separators."""
        return sum(kind != SEPARATOR for kind in self.kinds)

    def segments(self) -> list[str]:
        """The text between separators; ``join_texts`` makes the same words and separators of it again."""
        groups = groupby(zip(self.words, self.kinds, strict=True), key=lambda pair: pair[1] == SEPARATOR)
        return [" ".join(word for word, _ in group) for separates, group in groups if not separates]

    def runs(self) -> list[tuple[str, str]]:
        """Kind and text of each run of words of one kind, without the separators."""
        groups = groupby(zip(self.words, self.kinds, strict=True), key=lambda pair: pair[1])
        return [(kind, " ".join(word for word, _ in group)) for kind, group in groups if kind != SEPARATOR]


EMPTY = VisualContext((), ())


def split_words(text: str, kind: str) -> VisualContext:
    """Words of a text, split at white space, without unprintable characters."""
    printable = (w if w.isprintable() else "".join(filter(str.isprintable, w)) for w in text.split())
    words = [word for word in printable if word]
    return VisualContext(words, [kind] * len(words))


def count_words(text: str) -> int:
    """Words of a text, as OCA without a budget has them. The paper does not define its tokens."""
    return split_words(text, "oca").word_count


def concatenate(contexts: Iterable[VisualContext]) -> VisualContext:
    """Contexts one after another."""
    words: list[str] = []
    kinds: list[str] = []
    for context in contexts:
        words += context.words
        kinds += context.kinds
    return VisualContext(words, kinds)


def join(contexts: Iterable[VisualContext]) -> VisualContext:
    """Contexts one after another, with a separator between those that are not empty."""
    separated: list[VisualContext] = []
    for context in contexts:
        if context.words:
            separated += [separator(), context] if separated else [context]
    return concatenate(separated)


def separator() -> VisualContext:
    """A separator, as a context of one word: the word that separates contexts in the official files."""
    return VisualContext([EOS], [SEPARATOR])


def local_alignment(
    objects: Sequence[Mapping[str, Any]], threshold: float, max_attributes: int, max_tags: int
) -> VisualContext:
    """LA: every object after its attributes, objects by decreasing confidence.

    Args:
        objects: rows of the objects table, by rank.
        threshold: attributes with a confidence above it are read.
        max_attributes: most attributes of an object, by decreasing confidence (the paper does not say).
        max_tags: most labels, of objects and attributes together; the first object that does not fit ends the list.
    """
    tags: list[str] = []
    for row in objects:
        attributes = [
            attribute["label"]
            for attribute in row["attributes"] or ()
            if attribute["score"] is None or attribute["score"] > threshold
        ]
        labels = [*attributes[:max_attributes], row["label"]]
        if len(tags) + len(labels) > max_tags:
            break
        tags += labels
    return concatenate(split_words(tag, "la") for tag in tags)


def global_alignment(captions: Sequence[str], max_captions: int) -> VisualContext:
    """GA: the captions, best first, joined by the separator [X]."""
    return join_texts(captions[:max_captions], "ga")


def character_alignment(text: str) -> VisualContext:
    """OCA: the OCR text."""
    return split_words(text, "oca")


def join_texts(texts: Iterable[str], kind: str) -> VisualContext:
    """Texts of one kind, joined by the separator."""
    return join(split_words(text, kind) for text in texts)


def image_context(kind: str, context: Context, rows: Sequence[Mapping[str, Any]]) -> VisualContext:
    """Words of one image.

    Args:
        kind: la, ga or oca.
        context: limits of the kinds.
        rows: rows of the image in the table of objects (la), captions (ga) or OCR text (oca), at least one.
    """
    if kind == "oca":
        return character_alignment(rows[0]["text"])
    ranked = sorted(rows, key=lambda row: row["rank"])
    if kind == "la":
        return local_alignment(ranked, context.attribute_threshold, context.attributes, context.tags)
    return global_alignment([row["caption"] for row in ranked], context.captions)


def truncate(context: VisualContext, budget: int | None) -> tuple[VisualContext, int]:
    """Keeps the first words of a context.

    Args:
        context: the words.
        budget: most words, separators not counted; None is no limit.

    Returns:
        The context, which does not end in a separator, and the number of words that were left out.
    """
    if budget is None:
        return context, 0
    end = word_count = 0
    for position, kind in enumerate(context.kinds, 1):
        if kind != SEPARATOR:
            word_count += 1
            if word_count > budget:
                break
            end = position
    return VisualContext(context.words[:end], context.kinds[:end]), max(context.word_count - budget, 0)


def compose(context: Context, by_kind: Mapping[str, VisualContext]) -> tuple[VisualContext, int]:
    """Puts the kinds of one post together in the order of the settings, each within its budget.

    Returns:
        The context and the number of words that were left out.
    """
    truncated = [truncate(by_kind[kind], context.budget.get(kind)) for kind in context.kinds]
    parts = [part for part, _ in truncated]
    combine = join if context.separate_kinds else concatenate
    return combine(parts), sum(count for _, count in truncated)


def cyclic_permutation(count: int, seed: int) -> list[int]:
    """A random permutation of 0 to count - 1 that is a single cycle, so that no post keeps its own context."""
    order = list(range(count))
    generator = random.Random(seed)
    for i in range(count - 1, 0, -1):  # Sattolo's algorithm
        j = generator.randrange(i)
        order[i], order[j] = order[j], order[i]
    return order
