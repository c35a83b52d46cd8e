"""Both views of a split, tagged by one model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ita.config import Evaluate
from ita.data import VIEWS
from ita.data.visual_context import VisualContext
from ita.log import progress
from ita.model.dataset import Corpus
from ita.model.distance import RepresentationDistance
from ita.model.inference import Hook, Prediction, predict_tags
from ita.model.inputs import EncodedView, ViewEncoder, encode_views
from ita.model.tagger import Tagger


@dataclass(frozen=True)
class TaggedView:
    """One view of a split after tagging."""

    predictions: list[Prediction]
    seconds: float
    truncated: int
    """Context words that did not fit."""


@dataclass(frozen=True)
class TaggedSplit:
    """A split after tagging."""

    posts: list[dict[str, Any]]
    """Rows of posts.parquet."""
    views: dict[str, TaggedView]
    """'t' and 'it'."""
    distance: float | None
    """Mean distance between the word vectors of the views (Fig. 3 of the paper); None where the views are the same."""


def tag_split(
    tagger: Tagger,
    encoder: ViewEncoder,
    tag_names: Sequence[str],
    corpus: Corpus,
    split: str,
    settings: Evaluate,
    device: torch.device,
    dtype: torch.dtype,
) -> TaggedSplit:
    """Tags a split in both views, or once where no post has a context or regions."""
    posts = corpus.split(split)
    encoded = encode_views(encoder, posts, corpus.contexts, corpus.features)

    def tag(view: str, hook: Hook | None) -> TaggedView:
        started = time.monotonic()
        predictions = predict_tags(
            tagger,
            encoded[view],
            tag_names,
            batch_size=settings.batch_size,
            max_subwords=settings.max_subwords,
            device=device,
            dtype=dtype,
            progress=partial(progress, total=None, what=f"{split} {view}", unit="batch"),
            hook=hook,
        )
        seconds = time.monotonic() - started
        return TaggedView(predictions, seconds, sum(post.truncated for post in encoded[view]))

    if same_views(posts, corpus.contexts, encoded["it"]):
        return TaggedSplit(posts, dict.fromkeys(VIEWS, tag("t", None)), None)
    distance = RepresentationDistance([len(post["tokens"]) for post in posts])
    views = {"t": tag("t", distance.store), "it": tag("it", distance.compare)}
    return TaggedSplit(posts, views, distance.mean())


def same_views(
    posts: Sequence[Mapping[str, Any]], contexts: Mapping[str, VisualContext], encoded: Sequence[EncodedView]
) -> bool:
    """Whether the I+T view of every post is its T view: no post has a context or regions."""
    return not any(
        contexts[post["post_id"]].words or view.has_regions for post, view in zip(posts, encoded, strict=True)
    )
