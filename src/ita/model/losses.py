"""Training losses: likelihood of each view, and cross-view alignment (CVA), by which T learns from I+T."""

from __future__ import annotations

import torch
from torch import Tensor

from ita.model.crf import CRF
from ita.model.crf.engine import Potentials
from ita.model.schedule import MicroBatch, TrainingConfig
from ita.model.tagger import Tagger


def compute_loss(tagger: Tagger, batch: MicroBatch, config: TrainingConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a micro-batch: w_T L_T + w_IT L_IT + w_CVA L_CVA, each a mean over the examples of the update.

    Systems whose fusion layer has a second task (UMT: entity boundaries) add its loss.

    Returns:
        The loss, and the sum of each term over the posts of the micro-batch.
    """
    lengths, temperature = batch.inputs.lengths, config.loss.temperature
    with torch.autocast(config.device.type, dtype=config.dtype, enabled=config.dtype != torch.float32):
        vectors = tagger.word_vectors(batch.inputs)
        emissions = tagger.classify(vectors)
    teacher, student = batch.teacher, batch.student
    extra_terms: dict[str, Tensor] = {}
    # In the official schedule a micro-batch may hold no pair of views.
    kind = config.system.alignment if len(student) else "none"
    if kind == "posterior":
        nll, log_marginals = tagger.crf.nll_and_log_marginals(emissions, batch.tags, lengths)
        divergence = posterior_alignment(log_marginals[teacher], log_marginals[student], lengths[student], temperature)
        extra_terms["alignment"] = divergence.sum()
    else:
        nll = tagger.crf.nll(emissions, batch.tags, lengths)
    if kind == "structural":
        divergence = structural_alignment(
            tagger.crf, emissions[teacher], emissions[student], lengths[student], temperature
        )
        extra_terms["alignment"] = divergence.sum()
    nll = nll * batch.loss_mask
    task = tagger.second_task
    if task is not None:
        extra_terms[task.loss] = (task.nll(vectors, batch.tags, lengths) * batch.loss_mask).sum()
    joint = len(config.system.views) > 1
    weights = {
        "t": config.loss.text if joint else 1.0,
        "it": config.loss.image_text if joint else 1.0,
        "alignment": config.loss.alignment,
    }
    if task is not None:
        weights[task.loss] = getattr(config.loss, task.loss)
    sums = {"t": nll[: batch.text_rows].sum(), "it": nll[batch.text_rows :].sum()}
    terms: dict[str, Tensor] = {**{view: sums[view] for view in config.system.views}, **extra_terms}
    return batch.loss_scale * torch.stack([weights[name] * value for name, value in terms.items()]).sum(), terms


def posterior_alignment(teacher: Tensor, student: Tensor, lengths: Tensor, temperature: float) -> Tensor:
    """Position-wise KL of the tempered marginals of two views (Eq. 5; official code: flair
    ``_calculate_multi_view_loss``).

    T^2 * sum_t sum_y q (log q - log p) with q = softmax(teacher / T), p = softmax(student / T). It differs from the
    cross-entropy that Eq. 5 prints by the teacher's entropy, a constant.

    Args:
        teacher: log marginals of the I+T view (B, W, K); no gradient flows into it.
        student: log marginals of the T view (B, W, K).
        lengths: words per post (B,).
        temperature: T.

    Returns:
        Loss of each post (B,), summed over words and tags.
    """
    log_q = torch.log_softmax(teacher.detach() / temperature, dim=2)
    log_p = torch.log_softmax(student / temperature, dim=2)
    divergence = (log_q.exp() * (log_q - log_p)).sum(2)
    mask = torch.arange(divergence.shape[1], device=lengths.device) < lengths.unsqueeze(1)  # True is a word
    return temperature**2 * torch.where(mask, divergence, 0).sum(1)


def structural_alignment(crf: CRF, teacher: Tensor, student: Tensor, lengths: Tensor, temperature: float) -> Tensor:
    """KL between the distributions of two views over whole tag sequences (KB-NER: ``distill_exact``).

    T^2 * KL(q || p) with q, p proportional to exp(score / T). Of the sum over K^W sequences only
    E_q[s_q - s_p] - log Z_q + log Z_p remains; the expectation is linear in the teacher's marginals of words and
    transitions.

    Args:
        crf: gives the potentials of both views; it learns from the student's alone.
        teacher: emissions of the I+T view (B, W, K); no gradient flows into them.
        student: emissions of the T view (B, W, K).
        lengths: words per post (B,).
        temperature: T.

    Returns:
        Loss of each post (B,).
    """
    q = crf.marginals(teacher, lengths, temperature)
    s_p = crf.potentials(student, temperature)
    s_q = Potentials(*(values.detach() for values in crf.potentials(teacher, temperature)))
    mask = torch.arange(student.shape[1], device=lengths.device) < lengths.unsqueeze(1)  # True is a word
    last = q.unary.gather(1, (lengths - 1).view(-1, 1, 1).expand(-1, 1, q.unary.shape[2])).squeeze(1)
    # Differences first: between equal views they are exactly 0.
    expected = (
        (q.unary * torch.where(mask.unsqueeze(2), s_q.emissions - s_p.emissions, 0)).sum((1, 2))
        + (q.transition_counts * (s_q.transitions - s_p.transitions)).sum((1, 2))
        + q.unary[:, 0] @ (s_q.start - s_p.start)
        + last @ (s_q.end - s_p.end)
    )
    return temperature**2 * (expected + crf.log_partition(student, lengths, temperature) - q.log_z)
