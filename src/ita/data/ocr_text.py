"""Statistics of the characters in the images: how many posts have some, and how many (the paper's Table 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean, median
from typing import Any

from ita.data.visual_context import count_words

SPLITS = ("train", "dev", "test")
ALL = "all"


def statistics(posts: Iterable[Mapping[str, Any]], ocr: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Counts posts whose image has text, and its tokens.

    A post counts once, however many share its image; one without an image, or whose image is missing, has no text.

    Args:
        posts: rows of posts.parquet, of which ``split`` and ``image_id`` are read.
        ocr: rows of an ocr table, of which ``image_id`` and ``text`` are read.

    Returns:
        A row for each of train, dev, test and all: ``split``; ``posts``; ``with_text``, posts with at least one token;
        ``share``, those in percent of the posts; ``mean_tokens`` and ``median_tokens`` of those, None if there are
        none.
    """
    read = {row["image_id"]: count_words(row["text"] or "") for row in ocr}
    counts: dict[str, list[int]] = {split: [] for split in (*SPLITS, ALL)}
    for row in posts:
        count = read.get(row["image_id"], 0)
        counts[row["split"]].append(count)
        counts[ALL].append(count)
    return [summary(split, found) for split, found in counts.items()]


def summary(split: str, counts: list[int]) -> dict[str, Any]:
    """The row of a split, from the tokens of each of its posts."""
    some = [count for count in counts if count]
    return {
        "split": split,
        "posts": len(counts),
        "with_text": len(some),
        "share": 100 * len(some) / len(counts) if counts else 0.0,
        "mean_tokens": fmean(some) if some else None,
        "median_tokens": median(some) if some else None,
    }
