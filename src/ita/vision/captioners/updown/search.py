"""Beam search of ImageCaptioning.pytorch (captioning/models/CaptionModel.py), without a loop over images.

It keeps as many candidates as beams. A beam that ends is recorded and goes on with 1000 subtracted from its
log-probability, so that in effect it never wins again; the score of its caption is the log-probability.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ita.vision.captioners.common import Captions
from ita.vision.captioners.updown.recurrent import State

SUPPRESSION = 1000.0
"""Subtracted from the log-probability of a beam that has ended, and of a word that is never generated."""


class Decoder(Protocol):
    """A captioner's network; the type of its context is its own."""

    def start(self, context: Any, beams: int) -> State:
        """State before the first word."""
        ...

    def step(self, context: Any, words: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (B, K, vocabulary) after words (B, K), and the state after these."""
        ...


def sum_of_log_probs(log_probs: Tensor, length: int) -> Tensor:
    """Score of captions whose length does not count."""
    return log_probs


@dataclass(frozen=True)
class BeamConfig:
    """Options of a search."""

    beams: int
    """K; with one the search is greedy and generates the unknown word where it is the likeliest, as upstream does."""
    captions: int
    """Captions kept per image."""
    max_length: int
    """Most words of a caption."""
    unknown: int | None = None
    """The word that is never generated."""
    score: Callable[[Tensor, int], Tensor] = sum_of_log_probs
    """Score of captions from their log-probabilities and their length, the end counted; highest for the longest."""


def search(decoder: Decoder, context: Any, images: int, config: BeamConfig, device: torch.device) -> Captions:
    """Captions of the images of a context: words, then 0; scores in float64."""
    return (greedy_search if config.beams == 1 else beam_search)(decoder, context, images, config, device)


def beam_search(decoder: Decoder, context: Any, images: int, config: BeamConfig, device: torch.device) -> Captions:
    """See :func:`search`."""
    beams, captions, max_length = config.beams, config.captions, config.max_length
    state = decoder.start(context, beams)
    rows = torch.arange(images, device=device)[:, None]
    words = torch.zeros(images, beams, dtype=torch.long, device=device)
    history = torch.zeros(images, beams, max_length, dtype=torch.long, device=device)
    # The beams start out equal, and only one may be continued.
    sums = torch.full((images, beams), -torch.inf, device=device)
    sums[:, 0] = 0
    best_scores = torch.full((images, captions), -torch.inf, dtype=torch.float64, device=device)
    best_words = torch.zeros(images, captions, max_length, dtype=torch.long, device=device)
    for step in range(max_length):
        logits, state = decoder.step(context, words, state)
        log_probs = logits.float().log_softmax(-1)
        if config.unknown is not None:
            log_probs[:, :, config.unknown] -= SUPPRESSION
        vocab_size = log_probs.shape[-1]
        sums, index = (sums[:, :, None] + log_probs).flatten(1).topk(beams)
        parents, words = index // vocab_size, index % vocab_size
        state = tuple(values[rows, parents] for values in state)
        history = history[rows, parents]
        history[:, :, step] = words
        ends = words == 0 if step + 1 < max_length else torch.ones_like(words, dtype=torch.bool)
        scores = config.score(sums.double(), step + 1).masked_fill(~ends, -torch.inf)
        best_scores, order = torch.cat([best_scores, scores], dim=1).sort(dim=1, descending=True, stable=True)
        best_scores, order = best_scores[:, :captions], order[:, :captions]
        best_words = torch.cat([best_words, history], dim=1)[rows, order]
        sums = sums - SUPPRESSION * ends
        # A sum can only fall, and the score of a sum is highest for the longest caption: no open beam can do better.
        if bool((best_scores[:, -1] >= config.score(sums.max(1).values.double(), max_length)).all()):
            break
    return Captions(best_words, best_scores)


def greedy_search(decoder: Decoder, context: Any, images: int, config: BeamConfig, device: torch.device) -> Captions:
    """See :func:`search`."""
    state = decoder.start(context, 1)
    words = torch.zeros(images, 1, dtype=torch.long, device=device)
    history = torch.zeros(images, 1, config.max_length, dtype=torch.long, device=device)
    sums = torch.zeros(images, 1, dtype=torch.float64, device=device)
    scores = torch.zeros(images, 1, dtype=torch.float64, device=device)
    unfinished = torch.ones(images, 1, dtype=torch.bool, device=device)
    for step in range(config.max_length):
        logits, state = decoder.step(context, words, state)
        log_probs, words = logits.float().log_softmax(-1).max(-1)
        words = words * unfinished
        history[:, :, step] = words
        sums += log_probs * unfinished
        scores = torch.where(unfinished, config.score(sums, step + 1), scores)
        unfinished = unfinished & (words != 0)
        if not bool(unfinished.any()):
            break
    return Captions(history, scores)
