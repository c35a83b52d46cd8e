"""Posts of one data set that stand in the test split of another: a model trained on them must not be scored there.

Twitter-GMNER was made of Twitter-2015 and Twitter-2017 with splits of its own, so its training posts are half of their
test posts. Copies of a tweet differ in how words are cut and in their URLs; letters and digits are compared, without
URLs. Of the public test splits the package holds hashes of these alone (``test_splits/*.npy``, 8 bytes a post, sorted;
``ita overlap --hashes FILE`` writes such a file).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

URL = re.compile(r"https?\s*:?\s*/*\s*\S*(?:\s+co\s*/\s*\S+)?")
"""Also where a tokenizer cut it: ``http://t. co/Ab12``."""
NO_LETTER = re.compile(r"[\W_]+")
SHORTEST = 20
"""Letters and digits of a text that is compared; shorter ones are alike by chance."""
PUBLIC = {
    "twitter-2015": "UMT Twitter-2015",
    "twitter-2017": "UMT Twitter-2017",
    "twitter-gmner": "Twitter-GMNER v2.0",
}
"""File of hashes -> label version of the data set whose test split it is of."""

Overlap = dict[str, dict[str, int]]
"""Label version -> ``posts`` of its test split that were found, ``of`` all of them."""


def text_hash(tokens: Sequence[str]) -> int | None:
    """Hash of a post's letters and digits; None of a post with few of them."""
    letters = NO_LETTER.sub("", URL.sub(" ", " ".join(tokens).casefold()))
    if len(letters) < SHORTEST:
        return None
    return int.from_bytes(hashlib.blake2b(letters.encode(), digest_size=8).digest(), "big")


def hashes_of(posts: Iterable[Sequence[str]]) -> NDArray[np.uint64]:
    """Sorted hashes of posts, those that have one."""
    return np.unique(np.array([text for post in posts if (text := text_hash(post)) is not None], np.uint64))


@cache
def public_test_splits() -> Mapping[str, NDArray[np.uint64]]:
    """Hashes of the test split of each public data set, by its label version."""
    folder = resources.files("ita.data") / "test_splits"
    splits = {}
    for name, version in PUBLIC.items():
        with (folder / f"{name}.npy").open("rb") as file:
            splits[version] = np.load(file, allow_pickle=False)
    return splits


def public_overlap(posts: Iterable[Sequence[str]]) -> Overlap:
    """Test posts of the public data sets among some posts, given as words; only data sets with some."""
    hashes = hashes_of(posts)
    counts = {
        version: {"posts": int(np.isin(split, hashes).sum()), "of": len(split)}
        for version, split in public_test_splits().items()
    }
    return {version: count for version, count in counts.items() if count["posts"]}
