"""Label schemes: what a CRF tags, words or subwords, and how subword labels become tags of words.

``first_subword`` tags words, each represented by its first subword. ``x_subword`` (UMT, UMGF) tags every subword: the
first of a word has the word's tag, each further one ``X``, the special subwords ``[CLS]`` and ``[SEP]``. The paper's
Table 3 calls the labels of further subwords PAD and compares both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ita.data.tags import tag_set

X, CLS, SEP = "X", "[CLS]", "[SEP]"
EXTRA_LABELS = (X, CLS, SEP)
"""Labels of subwords that are no word's first."""
LABEL = re.compile(r"O|[BIES]-\S.*|X|\[CLS\]|\[SEP\]")
"""Any label of a CRF."""


def label_names(types: Iterable[str], scheme: str, tag_format: str) -> list[str]:
    """The K labels of a CRF, in a fixed order.

    Args:
        types: entity types.
        scheme: first_subword or x_subword.
        tag_format: bioes or iob2.
    """
    names = tag_set(types, "BIES" if tag_format == "bioes" else "BI")
    return [*names, *EXTRA_LABELS] if scheme == "x_subword" else names


def subword_labels(tags: Sequence[str], first_subword: Sequence[int], length: int) -> list[str]:
    """Labels of the L labelled subwords of a post: [CLS], the subwords of its W words, [SEP].

    Args:
        tags: of the words.
        first_subword: (W,) index of each word's first subword among the L; -1 for a word without subwords, which loses
            its tag.
        length: L.
    """
    labels = [CLS, *[X] * (length - 2), SEP]
    for tag, index in zip(tags, first_subword, strict=True):
        if index >= 0:
            labels[index] = tag
    return labels


def x_subword_labels(tags: Sequence[str], subword_counts: Sequence[int], max_length: int | None = None) -> list[str]:
    """Labels of all subwords of a post, special ones included.

    Args:
        tags: of the W words.
        subword_counts: subwords of each word; a word without any loses its tag.
        max_length: longest sequence, special subwords included; further subwords are truncated, in the middle of a
            word if need be.
    """
    labels = [label for tag, count in zip(tags, subword_counts, strict=True) for label in [tag, *[X] * count][:count]]
    if max_length is not None:
        labels = labels[: max_length - 2]
    return [CLS, *labels, SEP]


def word_tags(labels: Sequence[str], first_subword: Sequence[int], extra: str | None = "O") -> list[str]:
    """Tags of words from labels of subwords.

    Args:
        labels: of the subwords of a post.
        first_subword: (W,) index of each word's first subword; -1 for a word without subwords, which is tagged ``O``.
        extra: tag of a word whose first subword has an extra label; None keeps the label.
    """
    tags = ["O" if index < 0 else labels[index] for index in first_subword]
    return tags if extra is None else [extra if tag in EXTRA_LABELS else tag for tag in tags]


def upstream_chunks(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Chunks (type, start, end) as UMT's ``ner_evaluate`` counts them.

    An extra label of a word is an entity of that type, so it costs precision; an ``I-`` after ``O`` or after another
    type opens a chunk.
    """
    chunks: list[tuple[str, int, int]] = []
    kind, start = None, 0
    for position, tag in enumerate([*tags, "O"]):
        prefix, _, suffix = tag.partition("-")
        current = None if tag == "O" else suffix or tag
        if kind is not None and (current != kind or prefix == "B"):
            chunks.append((kind, start, position))
            kind = None
        if current is not None and kind is None:
            kind, start = current, position
    return chunks


def upstream_scores(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Precision, recall, f1 in percent and support over all chunks of :func:`upstream_chunks`.

    Args:
        gold: tags of the words of each post, without extra labels.
        predicted: labels of the words, extra ones kept.
    """
    pairs = [(set(upstream_chunks(a)), set(upstream_chunks(b))) for a, b in zip(gold, predicted, strict=True)]
    matched = sum(len(gold_chunks & predicted_chunks) for gold_chunks, predicted_chunks in pairs)
    support = sum(len(gold_chunks) for gold_chunks, _ in pairs)
    total = sum(len(predicted_chunks) for _, predicted_chunks in pairs)
    denominators = {"precision": total, "recall": support, "f1": (total + support) / 2}
    scores = {name: 100.0 * matched / number if matched else 0.0 for name, number in denominators.items()}
    return {**scores, "support": support}
