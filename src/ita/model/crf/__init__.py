"""Linear-chain conditional random field, in log space and fp32.

p(y | w) is proportional to exp(start[y_1] + sum_t emission[t, y_t] + sum_t transition[y_{t-1}, y_t] + end[y_W])
(Eq. 1 of the paper). The official code keeps START and STOP in its tag set; taking its START column and STOP row as
``start`` and ``end`` gives the same values.

Autograd never unrolls a loop: one forward-backward pass gives log Z and all marginals, which are its gradient; the
gradient of the marginals is one more pass.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ita.model.crf.constraints import FORBIDDEN, TransitionConstraints
from ita.model.crf.engine import Engine, Potentials
from ita.model.crf.torch_engine import TORCH, pairwise_marginals


class Marginals(NamedTuple):
    """Marginals of the posts of a batch; 0 in padding."""

    log_z: Tensor
    """(B,)."""
    unary: Tensor
    """p(y_t = k | w) (B, W, K)."""
    transition_counts: Tensor
    """Expected transition counts (B, K, K): p(y_t = i, y_{t+1} = j | w) summed over t."""
    pairwise: Tensor | None
    """p(y_t = i, y_{t+1} = j | w) (B, W - 1, K, K), on request."""


@functools.cache
def _triton_engine() -> Engine | None:
    if find_spec("triton") is None:
        return None
    from ita.model.crf.triton_engine import TRITON

    return TRITON


def select_engine(emissions: Tensor) -> Engine:
    """Triton kernels for fp32 on CUDA where Triton is installed; else PyTorch. Both give the same numbers."""
    if emissions.is_cuda and emissions.dtype == torch.float32:
        return _triton_engine() or TORCH
    return TORCH


class _ForwardBackward(torch.autograd.Function):
    """log Z or -log p(tags) (B,) and, on request, log marginals (B, W, K), with closed-form gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        emissions: Tensor,
        transitions: Tensor,
        start: Tensor,
        end: Tensor,
        lengths: Tensor,
        tags: Tensor | None,
        need_grad: bool,
        return_marginals: bool,
    ) -> tuple[Tensor, Tensor | None]:
        potentials = Potentials(emissions, transitions, start, end)
        engine = select_engine(emissions)
        messages, value = engine.forward_backward(potentials, lengths, tags, need_grad or return_marginals)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*potentials, messages, lengths, tags)
        return value, engine.log_marginals(emissions, messages, lengths) if return_marginals else None

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_value: Tensor | None, grad_log_marginals: Tensor | None) -> tuple[Tensor | None, ...]:
        *saved, messages, lengths, tags = ctx.saved_tensors
        potentials = Potentials(*saved)
        if grad_value is None:
            grad_value, tags = potentials.emissions.new_zeros(len(lengths)), None
        grad_emissions, grad_transitions, grad_ends = select_engine(potentials.emissions).vjp(
            potentials, messages, lengths, tags, grad_value, grad_log_marginals
        )
        return grad_emissions, grad_transitions.sum(0), *grad_ends.sum(1), None, None, None, None


class CRF(nn.Module):
    """Transition scores of K tags, and sums and maxima over tag sequences.

    Every method takes ``emissions`` (B, W, K) and ``lengths`` (B,), words per post, at least 1; what lies in padding is
    never read into a result. Half precision is raised to fp32.
    """

    allowed_start: Tensor | None
    allowed_transitions: Tensor | None
    allowed_end: Tensor | None

    def __init__(self, num_tags: int, constraints: TransitionConstraints | None = None) -> None:
        """Starts from small random scores.

        Args:
            num_tags: K.
            constraints: transitions to allow; any other scores -1e4 whatever its parameter. None allows all.
        """
        super().__init__()
        self.start = nn.Parameter(torch.empty(num_tags).uniform_(-0.1, 0.1))
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags).uniform_(-0.1, 0.1))  # (from, to)
        self.end = nn.Parameter(torch.empty(num_tags).uniform_(-0.1, 0.1))
        for name in TransitionConstraints._fields:
            allowed = getattr(constraints, name) if constraints is not None else None
            self.register_buffer(f"allowed_{name}", allowed, persistent=False)

    def potentials(self, emissions: Tensor, temperature: float = 1.0) -> Potentials:
        """All log-potentials, constraints applied, in one precision and divided by a temperature."""
        dtype = torch.promote_types(emissions.dtype, self.transitions.dtype)
        values = [emissions.to(dtype), self.transitions, self.start, self.end]
        masks = [None, self.allowed_transitions, self.allowed_start, self.allowed_end]
        values = [
            value if allowed is None else torch.where(allowed, value, FORBIDDEN)
            for value, allowed in zip(values, masks, strict=True)
        ]
        return Potentials(*(values if temperature == 1 else [value / temperature for value in values]))

    def _apply_engine(
        self, potentials: Potentials, lengths: Tensor, tags: Tensor | None, return_marginals: bool
    ) -> tuple[Tensor, Tensor | None]:
        need_grad = torch.is_grad_enabled() and any(value.requires_grad for value in potentials)
        return _ForwardBackward.apply(*potentials, lengths, tags, need_grad, return_marginals)

    def log_partition(self, emissions: Tensor, lengths: Tensor, temperature: float = 1.0) -> Tensor:
        """log Z (B,): log-sum over all K^W sequences."""
        return self._apply_engine(self.potentials(emissions, temperature), lengths, None, False)[0]

    def forward_backward(self, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """log Z (B,) and log marginals log p(y_t = k | w) (B, W, K), both differentiable; 0 in padding."""
        log_z, log_marginals = self._apply_engine(self.potentials(emissions), lengths, None, True)
        assert log_marginals is not None
        return log_z, log_marginals

    def nll(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """-log p(tags | w) (B,); tags (B, W) are valid indices in padding too, where they are not read."""
        return self._apply_engine(self.potentials(emissions), lengths, tags, False)[0]

    def nll_and_log_marginals(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``nll`` (B,) and the log marginals of ``forward_backward`` (B, W, K) from one pass, both differentiable."""
        nll, log_marginals = self._apply_engine(self.potentials(emissions), lengths, tags, True)
        assert log_marginals is not None
        return nll, log_marginals

    @torch.no_grad()
    def marginals(
        self, emissions: Tensor, lengths: Tensor, temperature: float = 1.0, return_pairwise: bool = False
    ) -> Marginals:
        """log Z and all marginals, without gradient; ``return_pairwise`` adds the pairwise ones word by word."""
        potentials = self.potentials(emissions, temperature)
        engine = select_engine(potentials.emissions)
        messages, log_z = engine.forward_backward(potentials, lengths, None, True)
        # Marginals are the gradient of log Z.
        with torch.autocast(emissions.device.type, enabled=False):
            unary, counts, _ = engine.vjp(potentials, messages, lengths, None, torch.ones_like(log_z), None)
        pairwise = pairwise_marginals(potentials, messages, lengths) if return_pairwise else None
        return Marginals(log_z, unary, counts, pairwise)

    @torch.no_grad()
    def decode(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Best tags (B, W) by Viterbi; 0 in padding."""
        potentials = self.potentials(emissions)
        return select_engine(potentials.emissions).viterbi(potentials, lengths)

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
        potentials = self.potentials(emissions)
        if not spans:
            return potentials.emissions.new_zeros(0, device="cpu")
        engine = select_engine(potentials.emissions)
        messages, _ = engine.forward_backward(potentials, lengths, None, True)
        _, log_beta = messages
        device = emissions.device
        first = torch.tensor([(post, start, tags[0]) for post, start, tags in spans], device=device).T
        log_posterior = engine.log_marginals(potentials.emissions, messages, lengths)[*first]
        # Given the first tag, each next one depends on the one before it alone.
        steps = [
            (span, post, start + n, tags[n - 1], tags[n])
            for span, (post, start, tags) in enumerate(spans)
            for n in range(1, len(tags))
        ]
        if steps:
            span, post, word, previous_tag, tag = torch.tensor(steps, device=device).T
            scores = potentials.transitions[previous_tag] + potentials.emissions[post, word] + log_beta[post, word]
            conditional = scores.log_softmax(1).gather(1, tag.unsqueeze(1)).squeeze(1)
            log_posterior = log_posterior.index_add(0, span, conditional)
        return log_posterior.cpu()
