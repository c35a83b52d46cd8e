"""Tagging posts with a trained tagger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ita.data.label_schemes import word_tags
from ita.data.tags import Span, from_bioes, spans
from ita.errors import UserError
from ita.log import log
from ita.model.batching import collate, longest_first, to_device
from ita.model.bert import Bert
from ita.model.frozen import FrozenBert
from ita.model.frozen_linear import Precision, has_packed
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
    raw_tags: list[str] | None = None
    """Labels of the words' first subwords where every subword has one: X, [CLS] and [SEP] are not turned into O."""


class _Decoded(NamedTuple):
    """One batch after the forward pass; tensors are still on the device."""

    posts: list[int]
    emissions: Tensor
    """(B, W, K)."""
    lengths: Tensor
    """(B,)."""
    paths: Tensor
    """(B, W)."""


@torch.no_grad()
def prepare_arithmetic(tagger: Tagger, device: torch.device, precision: Precision) -> torch.dtype:
    """Makes a tagger ready for inference on a device in some precision.

    On a CPU our encoders are frozen (``ita.model.frozen``); others stay as they are.

    Returns:
        The ``dtype`` for ``predict_tags``.

    Raises:
        UserError: for 8 bits on a GPU, or with an encoder that is not of the BERT family.
    """
    others = [encoder.config.model_type for encoder in tagger.encoders if not isinstance(encoder, Bert)]
    if precision == "int8" and device.type != "cpu":
        raise UserError("quantize int8 is for the CPU: take device cpu, or precision bf16")
    if precision == "int8" and others:
        raise UserError(
            f"quantize int8 is for encoders of the BERT family; this model's is of type '{others[0]}': leave it out"
        )
    if device.type == "cpu":
        if isinstance(tagger.encoder, Bert):
            tagger.encoder = FrozenBert(tagger.encoder, precision)
        for number, encoder in enumerate(tagger.further_encoders):
            if isinstance(encoder, Bert):
                tagger.further_encoders[number] = FrozenBert(encoder, precision)
    if precision == "bf16" and device.type == "cpu" and not has_packed(torch.bfloat16):
        log.warning("bf16: oneDNN has no products in it for this processor, fp32 is likely to be faster")
    autocast = precision == "bf16" and (device.type != "cpu" or bool(others))
    return torch.bfloat16 if autocast else torch.float32


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
        batch = to_device(collate([[posts[index] for index in indices]], tagger.layout), device)
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
        views = [posts[index] for index in decoded.posts]
        predictions |= _predictions(tagger, decoded, views, tag_names, posteriors)
    return [predictions[index] for index in range(len(posts))]


def _predictions(
    tagger: Tagger, decoded: _Decoded, views: Sequence[EncodedView], tag_names: Sequence[str], posteriors: bool
) -> dict[int, Prediction]:
    """Predictions of the posts of one batch."""
    paths = [path[: len(view.label_index)] for path, view in zip(decoded.paths.tolist(), views, strict=True)]
    labels = [[tag_names[label] for label in path] for path in paths]
    raw: list[list[str] | None] = [None] * len(paths)
    if tagger.layout.label_scheme == "x_subword":
        firsts = [view.label_of_word.tolist() for view in views]
        raw = [word_tags(post, first, extra=None) for post, first in zip(labels, firsts, strict=True)]
        labels = [word_tags(post, first) for post, first in zip(labels, firsts, strict=True)]
    tags = [from_bioes(post_labels) for post_labels in labels]
    entities = [spans(post_tags) for post_tags in tags]
    indexed = []
    for row, (view, post_spans) in enumerate(zip(views, entities, strict=True)):
        for span in post_spans:
            start, end = label_range(view, span)
            indexed.append((row, start, paths[row][start:end]))
    if posteriors:
        log_posteriors = tagger.crf.span_log_posterior(decoded.emissions, decoded.lengths, indexed)
        values = iter(log_posteriors.exp().tolist())
    else:
        values = iter([float("nan")] * len(indexed))
    return {
        post: Prediction(post_tags, post_spans, [next(values) for _ in post_spans], raw_tags)
        for post, post_tags, post_spans, raw_tags in zip(decoded.posts, tags, entities, raw, strict=True)
    }


def label_range(view: EncodedView, span: Span) -> tuple[int, int]:
    """The labels of a span's words, with those of all their subwords: start and end among the labels of the post."""
    if view.labelled is None:
        return span.start, span.end
    firsts = view.label_of_word
    later = firsts[span.end :]
    later = later[later >= 0]
    return int(firsts[span.start]), int(later[0]) if len(later) else len(view.labelled) - 1
