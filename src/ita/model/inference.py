"""Tagging posts with a trained tagger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ita.data.tags import Span, from_bioes, spans
from ita.model.batching import collate, in_order, on_device
from ita.model.inputs import EncodedView
from ita.model.tagger import Tagger

MAX_SUBWORDS = 16_384


class Prediction(NamedTuple):
    """Tags of one post and how sure the CRF is of each entity."""

    tags: list[str]
    """IOB2 as predicted."""
    spans: list[Span]
    posteriors: list[float]
    """Probability of each span under the CRF, 0 to 1."""


@torch.inference_mode()
def tag(
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
    witness: Callable[[Sequence[int], Tensor], None] | None = None,
) -> list[Prediction]:
    """Tags one view of some posts.

    Args:
        tagger: the model, on ``device``.
        posts: the view.
        tag_names: K BIOES tags.
        batch_size: most posts per forward pass.
        max_subwords: most word pieces per forward pass; a single longer post is read all the same.
        device: where the model is.
        dtype: arithmetic of the encoder.
        posteriors: compute span posteriors; without, they are NaN.
        progress: wraps the batches.
        witness: is told of each batch which posts it holds, and what represents their words (B, W, H).

    Returns:
        One result per post, in order.
    """
    was_training = tagger.training
    tagger.eval()
    read = []
    for indices in progress(in_order([post.length for post in posts], batch_size, max_subwords)):
        batch = on_device(collate([[posts[index] for index in indices]]), device)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            vectors = tagger.words(batch)
            emissions = tagger.scores(vectors)
        if witness:
            witness(indices, vectors)
        read.append((indices, emissions, batch.lengths, tagger.crf.viterbi(emissions, batch.lengths)))
    tagger.train(was_training)
    results: dict[int, Prediction] = {}
    # Only now are results asked for: the device has not waited between batches.
    for indices, emissions, lengths, best in read:
        paths = best.tolist()
        ends = [len(posts[index].first) for index in indices]
        names = [from_bioes([tag_names[k] for k in path[:n]]) for path, n in zip(paths, ends, strict=True)]
        found = [spans(tags) for tags in names]
        places = [(row, s.start, paths[row][s.start : s.end]) for row, row_spans in enumerate(found) for s in row_spans]
        if posteriors:
            sure = tagger.crf.span_log_posterior(emissions, lengths, places).exp().tolist()
        else:
            sure = [float("nan")] * len(places)
        values = iter(sure)
        for index, tags, row_spans in zip(indices, names, found, strict=True):
            results[index] = Prediction(tags, row_spans, [next(values) for _ in row_spans])
    return [results[index] for index in range(len(posts))]
