"""Linear-chain conditional random field, in log space and fp32.

p(y | w) is proportional to exp(start[y_1] + sum_t emission[t, y_t] + sum_t transition[y_{t-1}, y_t] + end[y_W])
(Eq. 1 of the paper). The official code keeps START and STOP in its tag set; taking its START column and STOP row as
``start`` and ``end`` gives the same values.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CRF(nn.Module):
    """Transition scores of K tags and the sums over tag sequences.

    Every method takes ``emissions`` (B, W, K) and ``lengths`` (B,), words per post, at least 1; scores beyond a length
    are never read into a result.
    """

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.empty(tags).uniform_(-0.1, 0.1))
        self.transitions = nn.Parameter(torch.empty(tags, tags).uniform_(-0.1, 0.1))  # (from, to)
        self.end = nn.Parameter(torch.empty(tags).uniform_(-0.1, 0.1))

    def forward_scores(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Log alpha (B, W, K): log-sum of all sequences that end in a tag at a word, its emission included.

        Beyond a length the last value is held.
        """
        alpha = self.start + emissions[:, 0]
        scores = [alpha]
        for t in range(1, emissions.shape[1]):
            step = torch.logsumexp(alpha.unsqueeze(2) + self.transitions, dim=1) + emissions[:, t]
            alpha = torch.where((t < lengths).unsqueeze(1), step, alpha)
            scores.append(alpha)
        return torch.stack(scores, dim=1)

    def backward_scores(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Log beta (B, W, K): log-sum of all ways to go on after a tag at a word, its emission not included."""
        beta = self.end.expand(emissions.shape[0], -1)
        scores = [beta]
        for t in range(emissions.shape[1] - 1, 0, -1):
            step = torch.logsumexp(self.transitions + (emissions[:, t] + beta).unsqueeze(1), dim=2)
            beta = torch.where((t < lengths).unsqueeze(1), step, self.end)
            scores.append(beta)
        return torch.stack(scores[::-1], dim=1)

    def log_partition(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """log Z (B,): log-sum over all K^W sequences."""
        return torch.logsumexp(self.forward_scores(emissions, lengths)[:, -1] + self.end, dim=1)

    def forward_backward(self, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """log Z (B,) and log p(y_t = k | w) (B, W, K), both differentiable; beyond a length: noise."""
        alpha = self.forward_scores(emissions, lengths)
        log_z = torch.logsumexp(alpha[:, -1] + self.end, dim=1)
        return log_z, torch.log_softmax(alpha + self.backward_scores(emissions, lengths), dim=2)

    def sequence_score(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Score (B,) of given tags (B, W); tags beyond a length must be valid indices and are not read."""
        inside = torch.arange(tags.shape[1], device=tags.device) < lengths.unsqueeze(1)
        emitted = emissions.gather(2, tags.unsqueeze(2)).squeeze(2)
        moved = self.transitions[tags[:, :-1], tags[:, 1:]]
        last = tags.gather(1, (lengths - 1).unsqueeze(1)).squeeze(1)
        return (
            self.start[tags[:, 0]]
            + torch.where(inside, emitted, 0).sum(1)
            + torch.where(inside[:, 1:], moved, 0).sum(1)
            + self.end[last]
        )

    def nll(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """-log p(tags | w) (B,)."""
        return self.log_partition(emissions, lengths) - self.sequence_score(emissions, tags, lengths)

    @torch.no_grad()
    def viterbi(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Best tags (B, W); 0 beyond a length."""
        batch, words, _ = emissions.shape
        best = self.start + emissions[:, 0]
        came_from = []
        for t in range(1, words):
            step, source = (best.unsqueeze(2) + self.transitions).max(dim=1)
            inside = (t < lengths).unsqueeze(1)
            came_from.append(source)
            best = torch.where(inside, step + emissions[:, t], best)
        tag = (best + self.end).argmax(dim=1)
        path = torch.zeros(batch, words, dtype=torch.long, device=emissions.device)
        for t in range(words - 1, -1, -1):
            inside = t < lengths
            path[:, t] = torch.where(inside, tag, 0)
            if t:
                tag = torch.where(inside, came_from[t - 1].gather(1, tag.unsqueeze(1)).squeeze(1), tag)
        return path

    @torch.no_grad()
    def span_log_posterior(self, emissions: Tensor, lengths: Tensor, spans: list[tuple[int, int, list[int]]]) -> Tensor:
        """log p(y_start..y_end-1 = tags | w) of spans, all tags of a span jointly.

        Args:
            emissions: (B, W, K).
            lengths: (B,).
            spans: (post, start, tags) of each.

        Returns:
            One value per span, on the CPU.
        """
        alpha = self.forward_scores(emissions, lengths)
        beta = self.backward_scores(emissions, lengths)
        log_z = torch.logsumexp(alpha[:, -1] + self.end, dim=1)
        # Single numbers are picked below: one copy to the host instead of a wait for the device at each.
        alpha, beta, log_z, emitted, moved = (x.cpu() for x in (alpha, beta, log_z, emissions, self.transitions))
        values = []
        for post, start, tags in spans:
            end = start + len(tags) - 1
            value = alpha[post, start, tags[0]] + beta[post, end, tags[-1]] - log_z[post]
            for offset in range(1, len(tags)):
                value = value + moved[tags[offset - 1], tags[offset]] + emitted[post, start + offset, tags[offset]]
            values.append(value)
        return torch.stack(values) if values else emitted.new_zeros(0)
