"""Tagging posts with a trained tagger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch

from ita.corpus.batches import collate, in_order
from ita.corpus.tags import Span, from_bioes, spans
from ita.corpus.views import Encoded
from ita.model.tagger import Tagger


class Tagged(NamedTuple):
    """Tags of one post and how sure the CRF is of each entity."""

    tags: list[str]
    """IOB2 as predicted."""
    spans: list[Span]
    posteriors: list[float]
    """Probability of each span under the CRF, 0 to 1."""


@torch.inference_mode()
def tag(
    tagger: Tagger,
    posts: Sequence[Encoded],
    tag_names: Sequence[str],
    *,
    pad: int,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    posteriors: bool = True,
    progress: Callable[[Iterable[list[int]]], Iterable[list[int]]] = iter,
) -> list[Tagged]:
    """Tags one view of some posts.

    Args:
        tagger: the model, on ``device``.
        posts: the view.
        tag_names: K BIOES tags.
        pad: id of the padding piece.
        batch_size: posts per forward pass.
        device: where the model is.
        dtype: arithmetic of the encoder.
        posteriors: compute span posteriors; without, they are NaN.
        progress: wraps the batches.

    Returns:
        One result per post, in order.
    """
    was_training = tagger.training
    tagger.eval()
    results: dict[int, Tagged] = {}
    for indices in progress(in_order([post.length for post in posts], batch_size)):
        batch = collate([posts[index] for index in indices], pad).to(device)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            emissions = tagger.emissions(batch)
        paths = tagger.crf.viterbi(emissions, batch.lengths).tolist()
        lengths = batch.lengths.tolist()
        names = [from_bioes([tag_names[k] for k in path[:n]]) for path, n in zip(paths, lengths, strict=True)]
        found = [spans(tags) for tags in names]
        places = [(row, s.start, paths[row][s.start : s.end]) for row, row_spans in enumerate(found) for s in row_spans]
        if posteriors:
            sure = tagger.crf.span_log_posterior(emissions, batch.lengths, places).exp().tolist()
        else:
            sure = [float("nan")] * len(places)
        values = iter(sure)
        for index, tags, row_spans in zip(indices, names, found, strict=True):
            results[index] = Tagged(tags, row_spans, [next(values) for _ in row_spans])
    tagger.train(was_training)
    return [results[index] for index in range(len(posts))]
