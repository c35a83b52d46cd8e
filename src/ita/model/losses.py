"""Cross-view alignment (CVA): the text view learns from the text+image view."""

from __future__ import annotations

import torch
from torch import Tensor

from ita.model.crf import CRF


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


def structural_alignment(crf: CRF, teacher: Tensor, student: Tensor, lengths: Tensor, temperature: float) -> Tensor:
    """KL between the distributions of two views over whole tag sequences (KB-NER: ``distill_exact``).

    T^2 * KL(q || p) with q, p proportional to exp(score / T). Of the sum over K^W sequences only
    E_q[s_q - s_p] - log Z_q + log Z_p remains; the expectation is linear in the teacher's marginals of words and moves.

    Args:
        crf: scores moves and words of both views; the student's side of it learns.
        teacher: emissions of the text+image view (B, W, K); no gradient flows into them.
        student: emissions of the text view (B, W, K).
        lengths: words per post (B,).
        temperature: T.

    Returns:
        Loss of each post (B,).
    """
    q = crf.marginals(teacher, lengths, temperature)
    s_p = crf.scores(student, temperature)
    s_q = type(s_p)(*(x.detach() for x in crf.scores(teacher, temperature)))
    inside = torch.arange(student.shape[1], device=lengths.device) < lengths.unsqueeze(1)
    last = q.unary.gather(1, (lengths - 1).view(-1, 1, 1).expand(-1, 1, q.unary.shape[2])).squeeze(1)
    # Differences first: between equal views they are exactly 0.
    expected = (
        (q.unary * torch.where(inside.unsqueeze(2), s_q.emissions - s_p.emissions, 0)).sum((1, 2))
        + (q.moves * (s_q.transitions - s_p.transitions)).sum((1, 2))
        + q.unary[:, 0] @ (s_q.start - s_p.start)
        + last @ (s_q.end - s_p.end)
    )
    return temperature**2 * (expected + crf.log_partition(student, lengths, temperature) - q.log_z)
