"""Beam search of ImageCaptioning.pytorch (captioning/models/CaptionModel.py), without a loop over images.

Its beams are as many as its candidates. A beam that ends is noted down and goes on with 1000 off its log-probability,
which as good as never lets it win again; and its caption's score is the log-probability unless a penalty is asked for.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ita.errors import UserError
from ita.vision.captioners.updown.recurrent import State

OFF = 1000.0
"""Taken off the log-probability of a beam that has ended, and of a word that is not to be written."""


class Model(Protocol):
    """A captioner's network; its context is its own business."""

    def encode(self, regions: Tensor, inside: Tensor) -> Any:
        """Context of B images from regions (B, N, F) and where there are some (B, N)."""
        ...

    def start(self, context: Any, beams: int) -> State:
        """State before the first word."""
        ...

    def step(self, context: Any, words: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (B, K, V + 1) after words (B, K), and the state after these."""
        ...


class Penalty(NamedTuple):
    """How a log-probability becomes a score.

    ``""`` leaves it alone, ``avg_0`` divides it by the length, ``wu_a`` by ((5 + length) / 6) ** a (Wu et al. 2016).
    """

    kind: str
    power: float

    @classmethod
    def of(cls, text: str) -> Penalty:
        """Reads upstream's notation.

        Raises:
            UserError: for anything else.
        """
        match = re.fullmatch(r"(?:(avg|wu)_(\d+(?:\.\d+)?))?", text)
        if not match:
            raise UserError(
                f"length penalty '{text}': expected '' (none), 'avg_0' or 'wu_' and a number, as in 'wu_0.7'"
            )
        return cls(match[1] or "", float(match[2] or 0))

    def __call__(self, logprobs: Tensor, length: int) -> Tensor:
        """Scores of captions of some length, their end counted."""
        if self.kind == "avg":
            return logprobs / length
        return logprobs / ((5 + length) ** self.power / 6**self.power) if self.kind else logprobs


class BeamConfig(NamedTuple):
    """What a search is bound to."""

    beams: int
    """K; with one the search is greedy and writes the unknown word where it is the likeliest, as upstream does."""
    keep: int
    """Captions kept of an image, at most K."""
    longest: int
    """Most words of a caption."""
    penalty: Penalty = Penalty("", 0.0)
    unknown: int | None = None
    """Number of the word that is not to be written."""


class Captions(NamedTuple):
    """The best captions of B images, best first."""

    words: Tensor
    """(B, keep, longest) 0 ends a caption."""
    logprobs: Tensor
    """(B, keep, longest) of each word and of the end; 0 behind it."""
    scores: Tensor
    """(B, keep) float64."""


def search(model: Model, context: Any, images: int, rules: BeamConfig, device: torch.device) -> Captions:
    """Captions of images."""
    return (greedy if rules.beams == 1 else beam_search)(model, context, images, rules, device)


def beam_search(model: Model, context: Any, images: int, rules: BeamConfig, device: torch.device) -> Captions:
    """See :func:`search`."""
    width, keep, longest = rules.beams, rules.keep, rules.longest
    state = model.start(context, width)
    rows = torch.arange(images, device=device)[:, None]
    words = torch.zeros(images, width, dtype=torch.long, device=device)
    history = torch.zeros(images, width, longest, dtype=torch.long, device=device)
    parts = torch.zeros(images, width, longest, device=device)
    # The beams start out equal, and only one may be continued.
    sums = torch.full((images, width), -torch.inf, device=device)
    sums[:, 0] = 0
    best_scores = torch.full((images, keep), -torch.inf, dtype=torch.float64, device=device)
    best_words, best_parts = history[:, :keep].clone(), parts[:, :keep].clone()
    for step in range(longest):
        logits, state = model.step(context, words, state)
        logprobs = logits.float().log_softmax(-1)
        if rules.unknown is not None:
            logprobs[:, :, rules.unknown] -= OFF
        size = logprobs.shape[-1]
        sums, index = (sums[:, :, None] + logprobs).flatten(1).topk(width)
        origins, words = index // size, index % size
        state = tuple(part[rows, origins] for part in state)
        history, parts = history[rows, origins], parts[rows, origins]
        history[:, :, step] = words
        parts[:, :, step] = logprobs.flatten(1).gather(1, index)
        ends = words == 0 if step + 1 < longest else torch.ones_like(words, dtype=torch.bool)
        scores = rules.penalty(sums.double(), step + 1).masked_fill(~ends, -torch.inf)
        best_scores, order = torch.cat([best_scores, scores], dim=1).sort(dim=1, descending=True, stable=True)
        best_scores, order = best_scores[:, :keep], order[:, :keep]
        best_words = torch.cat([best_words, history], dim=1)[rows, order]
        best_parts = torch.cat([best_parts, parts], dim=1)[rows, order]
        sums = sums - OFF * ends
        # A sum can only fall, and every penalty is mildest on the longest caption: nothing better is to come.
        if bool((best_scores[:, -1] >= rules.penalty(sums.max(1).values.double(), longest)).all()):
            break
    return Captions(best_words, best_parts, best_scores)


def greedy(model: Model, context: Any, images: int, rules: BeamConfig, device: torch.device) -> Captions:
    """See :func:`search`."""
    state = model.start(context, 1)
    words = torch.zeros(images, 1, dtype=torch.long, device=device)
    history = torch.zeros(images, 1, rules.longest, dtype=torch.long, device=device)
    parts = torch.zeros(images, 1, rules.longest, device=device)
    going = torch.ones(images, 1, dtype=torch.bool, device=device)
    scores = torch.zeros(images, 1, dtype=torch.float64, device=device)
    for step in range(rules.longest):
        logits, state = model.step(context, words, state)
        logprobs, words = logits.float().log_softmax(-1).max(-1)
        words = words * going
        history[:, :, step] = words
        parts[:, :, step] = logprobs * going
        scores = torch.where(going, rules.penalty(parts.double().sum(2), step + 1), scores)
        going = going & (words != 0)
        if not bool(going.any()):
            break
    return Captions(history, parts, scores)
