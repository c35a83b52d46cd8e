"""Beam search of microsoft/Oscar's default path (oscar/modeling/modeling_utils.py), without a loop over images.

It differs from others: a caption's score is its log-probability over a power of its length with [CLS] and without
[SEP], the bound that ends a search assumes the longest possible caption, and at the last step every candidate is closed
without its last subword, but with that subword's log-probability. Equal captions can therefore be among the best.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ita.vision.captioners.common import Captions


class Decoder(Protocol):
    """A network in the course of a search."""

    def __call__(self, last_ids: Tensor, parents: Tensor) -> Tensor:
        """Logits (B, K, vocabulary) of the next subwords.

        Args:
            last_ids: (B, K) last subword of each beam.
            parents: (B, K) the beam of the step before that each beam continues.
        """
        ...


@dataclass(frozen=True)
class BeamConfig:
    """Options of a search."""

    beams: int
    """K; with one the search is greedy, and its score a mean over subwords whatever the length penalty."""
    captions: int
    """Captions kept per image."""
    max_length: int
    """Length of the longest caption with [CLS] and [SEP], at least 2."""
    cls_id: int
    sep_id: int
    pad_id: int
    length_penalty: float = 1.0
    """Power of the length that a log-probability is divided by."""


def search(decoder: Decoder, images: int, config: BeamConfig, device: torch.device) -> Captions:
    """Captions of the images of a decoder: [CLS], subwords, [SEP], then [PAD]; scores in float32."""
    return (greedy_search if config.beams == 1 else beam_search)(decoder, images, config, device)


def beam_search(decoder: Decoder, images: int, config: BeamConfig, device: torch.device) -> Captions:
    """See :func:`search`. A caption for which there was no candidate is all [PAD] and scores minus infinity."""
    beams, captions, max_length = config.beams, config.captions, config.max_length
    history = torch.full((images, beams, max_length), config.pad_id, device=device)
    history[:, :, 0] = config.cls_id
    last_ids = history[:, :, 0]
    parents = torch.arange(beams, device=device).expand(images, -1)
    # The beams start out equal, and only one may be continued.
    sums = torch.full((images, beams), -1e9, device=device)
    sums[:, 0] = 0
    # Scores in double precision, as upstream's Python numbers are.
    best_scores = torch.full((images, captions), -torch.inf, dtype=torch.float64, device=device)
    best_ids = torch.full((images, captions, max_length), config.pad_id, device=device)
    done = torch.zeros(images, dtype=torch.bool, device=device)
    for length in range(1, max_length):
        log_probs = decoder(last_ids, parents).float().log_softmax(-1)
        vocab_size = log_probs.shape[-1]
        candidate_sums, index = (sums[:, :, None] + log_probs).flatten(1).topk(2 * beams)
        parent, next_ids = index // vocab_size, index % vocab_size
        # No open caption can become better than this: a length penalty favours the longest.
        bound = candidate_sums[:, 0].double() / (max_length - 1) ** config.length_penalty
        done |= best_scores[:, -1].isfinite() & (best_scores[:, -1] >= bound)
        ends = next_ids == config.sep_id if length + 1 < max_length else torch.ones_like(next_ids, dtype=torch.bool)
        # An end counts if it ranks before the last of the beams that go on.
        closed = ends & ((~ends).cumsum(1) < beams) & ~done[:, None]
        scores = (candidate_sums.double() / length**config.length_penalty).masked_fill(~closed, -torch.inf)
        ids = take_rows(history, parent)
        ids[:, :, length] = config.sep_id
        best_scores, order = torch.cat([best_scores, scores], dim=1).sort(dim=1, descending=True, stable=True)
        best_scores, order = best_scores[:, :captions], order[:, :captions]
        best_ids = take_rows(torch.cat([best_ids, ids], dim=1), order)
        if length + 1 == max_length or bool(done.all()):
            break
        open_beams = ends.to(torch.int8).argsort(dim=1, stable=True)[:, :beams]
        last_ids, parents, sums = (values.gather(1, open_beams) for values in (next_ids, parent, candidate_sums))
        history = take_rows(history, parents)
        history[:, :, length] = last_ids
    return Captions(best_ids, best_scores.float())


def greedy_search(decoder: Decoder, images: int, config: BeamConfig, device: torch.device) -> Captions:
    """See :func:`search`."""
    ids = torch.full((images, 1, config.max_length), config.pad_id, device=device)
    ids[:, :, 0] = config.cls_id
    parents = torch.zeros(images, 1, dtype=torch.long, device=device)
    sums = torch.zeros(images, 1, device=device)
    lengths = torch.zeros(images, 1, device=device)
    unfinished = torch.ones(images, 1, dtype=torch.bool, device=device)
    for length in range(1, config.max_length):
        log_probs, next_ids = decoder(ids[:, :, length - 1], parents).float().log_softmax(-1).max(-1)
        sums += log_probs * unfinished
        lengths += unfinished
        if length + 1 == config.max_length:
            next_ids = torch.full_like(next_ids, config.sep_id)
        ids[:, :, length] = next_ids.masked_fill(~unfinished, config.pad_id)
        unfinished &= next_ids != config.sep_id
        if not bool(unfinished.any()):
            break
    return Captions(ids, sums / lengths)


def take_rows(ids: Tensor, index: Tensor) -> Tensor:
    """Rows (B, m, T) of ids (B, n, T) by their indices (B, m)."""
    return ids.gather(1, index[:, :, None].expand(-1, -1, ids.shape[2]))
