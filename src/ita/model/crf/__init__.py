"""Linear-chain conditional random field, in log space and fp32.

p(y | w) is proportional to exp(start[y_1] + sum_t emission[t, y_t] + sum_t transition[y_{t-1}, y_t] + end[y_W])
(Eq. 1 of the paper). The official code keeps START and STOP in its tag set; taking its START column and STOP row as
``start`` and ``end`` gives the same values.

Nothing is differentiated through a loop: one forward-backward pass gives log Z and all marginals, which are its
gradient; the gradient of the marginals is one more pass.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ita.model.crf.constraints import FORBIDDEN, TransitionConstraints
from ita.model.crf.reference import REFERENCE, Engine, Scores, pairwise, path_score


class Marginals(NamedTuple):
    """What a CRF expects of the posts of a batch."""

    log_z: Tensor
    """(B,)."""
    unary: Tensor
    """p(y_t = k | w) (B, W, K); 0 beyond a length."""
    moves: Tensor
    """Expected number of each move (B, K, K): p(y_t = i, y_{t+1} = j | w) summed over t."""
    pairwise: Tensor | None
    """The same word by word (B, W - 1, K, K), on request; 0 beyond a length."""


@functools.cache
def _kernels() -> Engine | None:
    if find_spec("triton") is None:
        return None
    from ita.model.crf.triton import KERNELS

    return KERNELS


def engine(emissions: Tensor) -> Engine:
    """Kernels for fp32 on CUDA where Triton is installed; else PyTorch. Both give the same numbers."""
    fits = emissions.is_cuda and emissions.dtype == torch.float32
    return (fits and _kernels()) or REFERENCE


class _Likelihood(torch.autograd.Function):
    """log Z or -log p(tags) (B,), and log marginals (B, W, K) if wanted, with closed-form gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        emissions: Tensor,
        transitions: Tensor,
        start: Tensor,
        end: Tensor,
        lengths: Tensor,
        tags: Tensor | None,
        both: bool,
        wanted: bool,
    ) -> tuple[Tensor, Tensor | None]:
        scores = Scores(emissions, transitions, start, end)
        loops = engine(emissions)
        came, value = loops.sweep(scores, lengths, tags, both or wanted)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*scores, came, lengths, tags)
        return value, loops.log_marginals(emissions, came, lengths) if wanted else None

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, weight: Tensor | None, cotangent: Tensor | None) -> tuple[Tensor | None, ...]:
        *saved, came, lengths, tags = ctx.saved_tensors
        scores = Scores(*saved)
        if weight is None:
            weight, tags = scores.emissions.new_zeros(len(lengths)), None
        emitted, moves, ends = engine(scores.emissions).pull(scores, came, lengths, tags, weight, cotangent)
        return emitted, moves.sum(0), *ends.sum(1), None, None, None, None


class CRF(nn.Module):
    """Transition scores of K tags and the sums over tag sequences.

    Every method takes ``emissions`` (B, W, K) and ``lengths`` (B,), words per post, at least 1; scores beyond a length
    are never read into a result. Half precision is raised to fp32.
    """

    legal_start: Tensor | None
    legal_moves: Tensor | None
    legal_end: Tensor | None

    def __init__(self, tags: int, legal: TransitionConstraints | None = None) -> None:
        """Starts from small random scores.

        Args:
            tags: K.
            legal: moves to allow; any other scores -1e4 whatever its parameter. None allows all.
        """
        super().__init__()
        self.start = nn.Parameter(torch.empty(tags).uniform_(-0.1, 0.1))
        self.transitions = nn.Parameter(torch.empty(tags, tags).uniform_(-0.1, 0.1))  # (from, to)
        self.end = nn.Parameter(torch.empty(tags).uniform_(-0.1, 0.1))
        for name in TransitionConstraints._fields:
            self.register_buffer(f"legal_{name}", legal and getattr(legal, name), persistent=False)

    def scores(self, emissions: Tensor, temperature: float = 1.0) -> Scores:
        """All scores as they count, in one precision and divided by a temperature."""
        dtype = torch.promote_types(emissions.dtype, self.transitions.dtype)
        values = [emissions.to(dtype), self.transitions, self.start, self.end]
        legal = [None, self.legal_moves, self.legal_start, self.legal_end]
        values = [x if ok is None else torch.where(ok, x, FORBIDDEN) for x, ok in zip(values, legal, strict=True)]
        return Scores(*(values if temperature == 1 else [x / temperature for x in values]))

    def _likelihood(
        self, scores: Scores, lengths: Tensor, tags: Tensor | None, wanted: bool
    ) -> tuple[Tensor, Tensor | None]:
        both = torch.is_grad_enabled() and any(x.requires_grad for x in scores)
        return _Likelihood.apply(*scores, lengths, tags, both, wanted)

    def log_partition(self, emissions: Tensor, lengths: Tensor, temperature: float = 1.0) -> Tensor:
        """log Z (B,): log-sum over all K^W sequences."""
        return self._likelihood(self.scores(emissions, temperature), lengths, None, False)[0]

    def forward_backward(self, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """log Z (B,) and log p(y_t = k | w) (B, W, K), both differentiable; 0 beyond a length."""
        log_z, marginals = self._likelihood(self.scores(emissions), lengths, None, True)
        assert marginals is not None
        return log_z, marginals

    def likelihood(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``nll`` (B,) and the log marginals of ``forward_backward`` (B, W, K) from one pass, both differentiable."""
        nll, marginals = self._likelihood(self.scores(emissions), lengths, tags, True)
        assert marginals is not None
        return nll, marginals

    def nll(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """-log p(tags | w) (B,)."""
        return self._likelihood(self.scores(emissions), lengths, tags, False)[0]

    def sequence_score(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Score (B,) of given tags (B, W); tags beyond a length must be valid indices and are not read."""
        return path_score(self.scores(emissions), tags, lengths)

    @torch.no_grad()
    def marginals(self, emissions: Tensor, lengths: Tensor, temperature: float = 1.0, pairs: bool = False) -> Marginals:
        """log Z and all marginals, without gradient; ``pairs`` asks for the pairwise ones word by word."""
        scores = self.scores(emissions, temperature)
        loops = engine(scores.emissions)
        came, log_z = loops.sweep(scores, lengths, None, True)
        with torch.autocast(emissions.device.type, enabled=False):
            unary, moves, _ = loops.pull(scores, came, lengths, None, torch.ones_like(log_z), None)
        return Marginals(log_z, unary, moves, pairwise(scores, came, lengths) if pairs else None)

    @torch.no_grad()
    def viterbi(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Best tags (B, W); 0 beyond a length."""
        scores = self.scores(emissions)
        return engine(scores.emissions).decode(scores, lengths)

    @torch.no_grad()
    def span_log_posterior(
        self, emissions: Tensor, lengths: Tensor, spans: Sequence[tuple[int, int, Sequence[int]]]
    ) -> Tensor:
        """log p(y_start..y_end-1 = tags | w) of spans, all tags of a span jointly.

        Args:
            emissions: (B, W, K).
            lengths: (B,).
            spans: (post, start, tags) of each.

        Returns:
            One value per span, on the CPU.
        """
        scores = self.scores(emissions)
        if not spans:
            return scores.emissions.new_zeros(0, device="cpu")
        loops = engine(scores.emissions)
        came, _ = loops.sweep(scores, lengths, None, True)
        device = emissions.device
        first = torch.tensor([(post, start, tags[0]) for post, start, tags in spans], device=device).T
        value = loops.log_marginals(scores.emissions, came, lengths)[*first]
        # Given the first tag, each next one depends on the one before it alone.
        moves = [
            (span, post, start + n, tags[n - 1], tags[n])
            for span, (post, start, tags) in enumerate(spans)
            for n in range(1, len(tags))
        ]
        if moves:
            span, post, word, before, tag = torch.tensor(moves, device=device).T
            onward = (scores.transitions[before] + scores.emissions[post, word] + came[1, post, word]).log_softmax(1)
            value = value.index_add(0, span, onward.gather(1, tag.unsqueeze(1)).squeeze(1))
        return value.cpu()
