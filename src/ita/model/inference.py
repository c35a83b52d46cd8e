"""Tagging posts with a trained tagger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ita.data.tags import Span, from_bioes, spans
from ita.model.batching import collate, longest_first, to_device
from ita.model.inputs import EncodedView
from ita.model.tagger import Tagger

MAX_SUBWORDS = 16_384

Hook = Callable[[Sequence[int], Tensor], None]
"""Called with the posts of a batch and their word vectors (B, W, H)."""


class Prediction(NamedTuple):
    """Predicted tags and entities of one post."""

    tags: list[str]
    """IOB2 as predicted."""
    spans: list[Span]
    posteriors: list[float]
    """Probability of each span under the CRF, 0 to 1."""


class _Decoded(NamedTuple):
    """One batch after the forward pass; tensors are still on the device."""

    posts: list[int]
    emissions: Tensor
    """(B, W, K)."""
    lengths: Tensor
    """(B,)."""
    paths: Tensor
    """(B, W)."""


@torch.inference_mode()
def predict_tags(
    tagger: Tagger,
    posts: Sequence[EncodedView],
    tag_names: Sequence[str],
    *,
    batch_size: int,
    max_subwords: int = MAX_SUBWORDS,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    posteriors: bool = True,
    progress: Callable[[Iterable[list[int]]], Iterable[list[int]]] = iter,
    hook: Hook | None = None,
) -> list[Prediction]:
    """Tags one view of posts.

    Args:
        tagger: the model, on ``device``.
        posts: the view.
        tag_names: K BIOES tags.
        batch_size: most posts per forward pass.
        max_subwords: most subwords per forward pass; a single longer post is read all the same.
        device: where the model is.
        dtype: arithmetic of the encoder.
        posteriors: compute span posteriors; without, they are NaN.
        progress: wraps the batches.
        hook: called after the forward pass of each batch.

    Returns:
        One prediction per post, in order.
    """
    was_training = tagger.training
    tagger.eval()
    batches = []
    for indices in progress(longest_first([post.length for post in posts], batch_size, max_subwords)):
        batch = to_device(collate([[posts[index] for index in indices]]), device)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            vectors = tagger.word_vectors(batch)
            emissions = tagger.classify(vectors)
        if hook:
            hook(indices, vectors)
        batches.append(_Decoded(indices, emissions, batch.lengths, tagger.crf.decode(emissions, batch.lengths)))
    tagger.train(was_training)
    predictions: dict[int, Prediction] = {}
    # Results are read only now, so that the device never waits between batches.
    for decoded in batches:
        lengths = [len(posts[index].first_subword) for index in decoded.posts]
        predictions |= _predictions(tagger, decoded, lengths, tag_names, posteriors)
    return [predictions[index] for index in range(len(posts))]


def _predictions(
    tagger: Tagger, decoded: _Decoded, lengths: Sequence[int], tag_names: Sequence[str], posteriors: bool
) -> dict[int, Prediction]:
    """Predictions of the posts of one batch."""
    paths = [path[:length] for path, length in zip(decoded.paths.tolist(), lengths, strict=True)]
    tags = [from_bioes([tag_names[tag] for tag in path]) for path in paths]
    entities = [spans(post_tags) for post_tags in tags]
    indexed = [
        (row, span.start, paths[row][span.start : span.end])
        for row, post_spans in enumerate(entities)
        for span in post_spans
    ]
    if posteriors:
        log_posteriors = tagger.crf.span_log_posterior(decoded.emissions, decoded.lengths, indexed)
        values = iter(log_posteriors.exp().tolist())
    else:
        values = iter([float("nan")] * len(indexed))
    return {
        post: Prediction(post_tags, post_spans, [next(values) for _ in post_spans])
        for post, post_tags, post_spans in zip(decoded.posts, tags, entities, strict=True)
    }
