"""Cross-view alignment (CVA): the text view learns from the text+image view."""

from __future__ import annotations

import torch
from torch import Tensor


def posterior_alignment(teacher: Tensor, student: Tensor, lengths: Tensor, temperature: float) -> Tensor:
    """Position-wise KL of the tempered marginals of two views (Eq. 5; official code: flair
    ``_calculate_multi_view_loss``).

    T^2 * sum_t sum_y q (log q - log p) with q = softmax(teacher / T), p = softmax(student / T). It differs from the
    cross-entropy that Eq. 5 prints by the teacher's entropy, a constant.

    Args:
        teacher: log marginals of the text+image view (B, W, K); no gradient flows into it.
        student: log marginals of the text view (B, W, K).
        lengths: words per post (B,).
        temperature: T.

    Returns:
        Loss of each post (B,), summed over words and tags.
    """
    q = torch.log_softmax(teacher.detach() / temperature, dim=2)
    p = torch.log_softmax(student / temperature, dim=2)
    divergence = (q.exp() * (q - p)).sum(2)
    inside = torch.arange(divergence.shape[1], device=lengths.device) < lengths.unsqueeze(1)
    return temperature**2 * torch.where(inside, divergence, 0).sum(1)
