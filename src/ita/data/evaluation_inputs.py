"""Hashes of an evaluation: over its exact inputs, and over its results.

Two runs whose hashes agree were scored on the same posts, words, gold tags and image texts, however and wherever their
files were made; the files themselves also hold a commit and versions, so their own hashes differ more often.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ita.data.visual_context import SEPARATOR, VisualContext
from ita.io.features import Features

RESULTS = ("dataset", "encoder", "system", "seed", "label_version", "scores", "representation_distance", "training")
"""Parts of metrics.json that are results, beside what says how they were made."""


def evaluation_hashes(
    posts: Iterable[Mapping[str, Any]],
    contexts: Mapping[str, VisualContext],
    features: Features | None,
    splits: Collection[str],
) -> dict[str, dict[str, str]]:
    """A hash for each split and view of what a tagger reads and is scored against.

    Of a post these are, in the order of the posts: its name, words and gold tags; in the view I+T also the words of its
    visual context, separators as such, and the features of its image's regions. So the two hashes of a split are equal
    where its two views are. What the longest input leaves out is not: that is the model's.

    Args:
        posts: rows of posts.parquet.
        contexts: visual contexts by post_id.
        features: region features of a tagger that reads some.
        splits: which.

    Returns:
        split -> view -> SHA-256.
    """
    digests = {split: {view: hashlib.sha256() for view in ("t", "it")} for split in splits}
    for post in posts:
        if post["split"] not in digests:
            continue
        text, image_text = digests[post["split"]].values()
        line = [post["post_id"], post["tokens"], post["tags"]]
        text.update(_line([*line, []]))
        image_text.update(_line([*line, _words(contexts[post["post_id"]])]))
        if features is not None:
            start, end = features.spans.get(post["image_id"] or "", (0, 0))
            image_text.update(features.vectors[start:end].tobytes())
    return {split: {view: digest.hexdigest() for view, digest in views.items()} for split, views in digests.items()}


def results_hash(metrics: Mapping[str, Any]) -> str:
    """SHA-256 of the results in a metrics.json."""
    return hashlib.sha256(_line({name: metrics.get(name) for name in RESULTS})).hexdigest()


def _words(context: VisualContext) -> list[str | None]:
    """Words of a context; None is a separator."""
    return [None if kind == SEPARATOR else word for word, kind in zip(context.words, context.kinds, strict=True)]


def _line(value: Any) -> bytes:
    """A value as a line of JSON, always the same bytes for the same value."""
    return (json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n").encode()
