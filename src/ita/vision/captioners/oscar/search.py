"""Beam search of microsoft/Oscar's default path (oscar/modeling/modeling_utils.py), without a loop over images.

What sets it apart from others: a caption's score is its log-probability over a power of its length with [CLS] and
without [SEP], the bound that ends a search takes the longest possible caption, and at the last step every candidate is
closed without its last word, but with that word's log-probability. Equal captions can therefore be among the best.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Steps(Protocol):
    """A network in the course of a search."""

    def __call__(self, words: Tensor, origins: Tensor) -> Tensor:
        """Logits (B, K, V) after the words (B, K); origins (B, K) says which beam of the step before each continues."""
        ...


class BeamConfig(NamedTuple):
    """What a search is bound to."""

    beams: int
    """K; with one the search is greedy, and its score a mean over words whatever the length penalty."""
    keep: int
    """Captions kept of an image, at most K."""
    longest: int
    """Length of the longest caption with [CLS] and [SEP], at least 2."""
    cls: int
    sep: int
    pad: int
    length_penalty: float = 1.0
    """Power of the length that a log-probability is divided by."""


class Captions(NamedTuple):
    """The best captions of B images, best first."""

    ids: Tensor
    """(B, keep, longest): [CLS], words, [SEP], then [PAD]."""
    scores: Tensor
    """(B, keep) float32."""


def search(steps: Steps, images: int, rules: BeamConfig, device: torch.device) -> Captions:
    """Captions of images whose context the steps know."""
    return (greedy if rules.beams == 1 else beam_search)(steps, images, rules, device)


def beam_search(steps: Steps, images: int, rules: BeamConfig, device: torch.device) -> Captions:
    """See :func:`search`."""
    width, keep, longest = rules.beams, rules.keep, rules.longest
    history = torch.full((images, width, longest), rules.pad, device=device)
    history[:, :, 0] = rules.cls
    words = history[:, :, 0]
    origins = torch.arange(width, device=device).expand(images, -1)
    # The beams start out equal, and only one may be continued.
    sums = torch.full((images, width), -1e9, device=device)
    sums[:, 0] = 0
    # Scores in double precision, as upstream's Python numbers are.
    best_scores = torch.full((images, keep), -torch.inf, dtype=torch.float64, device=device)
    best_ids = torch.full((images, keep, longest), rules.pad, device=device)
    done = torch.zeros(images, dtype=torch.bool, device=device)
    for length in range(1, longest):
        logprobs = steps(words, origins).float().log_softmax(-1)
        size = logprobs.shape[-1]
        reached, index = (sums[:, :, None] + logprobs).flatten(1).topk(2 * width)
        origin, word = index // size, index % size
        # Better than this no open caption can become: a length penalty favours the longest.
        bound = reached[:, 0].double() / (longest - 1) ** rules.length_penalty
        done |= best_scores[:, -1].isfinite() & (best_scores[:, -1] >= bound)
        ends = word == rules.sep if length + 1 < longest else torch.ones_like(word, dtype=torch.bool)
        # An end counts if it ranks before the last of the beams that go on.
        closed = ends & ((~ends).cumsum(1) < width) & ~done[:, None]
        scores = (reached.double() / length**rules.length_penalty).masked_fill(~closed, -torch.inf)
        ids = _beams(history, origin)
        ids[:, :, length] = rules.sep
        best_scores, order = torch.cat([best_scores, scores], dim=1).sort(dim=1, descending=True, stable=True)
        best_scores, order = best_scores[:, :keep], order[:, :keep]
        best_ids = _beams(torch.cat([best_ids, ids], dim=1), order)
        if length + 1 == longest or bool(done.all()):
            break
        going = ends.to(torch.int8).argsort(dim=1, stable=True)[:, :width]
        words, origins, sums = (part.gather(1, going) for part in (word, origin, reached))
        history = _beams(history, origins)
        history[:, :, length] = words
    return Captions(best_ids, best_scores.float())


def greedy(steps: Steps, images: int, rules: BeamConfig, device: torch.device) -> Captions:
    """See :func:`search`."""
    ids = torch.full((images, 1, rules.longest), rules.pad, device=device)
    ids[:, :, 0] = rules.cls
    origins = torch.zeros(images, 1, dtype=torch.long, device=device)
    sums = torch.zeros(images, 1, device=device)
    lengths = torch.zeros(images, 1, device=device)
    going = torch.ones(images, 1, dtype=torch.bool, device=device)
    for length in range(1, rules.longest):
        logprobs, word = steps(ids[:, :, length - 1], origins).float().log_softmax(-1).max(-1)
        sums += logprobs * going
        lengths += going
        if length + 1 == rules.longest:
            word = torch.full_like(word, rules.sep)
        ids[:, :, length] = word.masked_fill(~going, rules.pad)
        going &= word != rules.sep
        if not bool(going.any()):
            break
    return Captions(ids, sums / lengths)


def _beams(ids: Tensor, index: Tensor) -> Tensor:
    """Rows (B, m, longest) of ids (B, n, longest) by their numbers (B, m)."""
    return ids.gather(1, index[:, :, None].expand(-1, -1, ids.shape[2]))
