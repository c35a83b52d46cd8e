"""The steps of an epoch: which posts are read together, in which views, and what they teach.

Two schedules. ``paired``: a post is read once, in all its views, so that its text view serves its own likelihood and
the alignment at once. ``official``: each view of a post is a sample of its own, and batches are cut once from the
samples in order of length, as in the official code (KB-NER: finetune_trainer.py:840-1010); with alignment, the text
view is read a second time beside the image-text view that teaches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ita.config import Loss, System, Train
from ita.model.batching import Batch, bucketed, collate, on_device, padded_tags, within_budget
from ita.model.inputs import EncodedView
from ita.model.losses import posterior_alignment, structural_alignment
from ita.model.tagger import Tagger

BUDGET = {False: 1024, True: 16_384}
"""Most pieces of one pass, by whether it is on a GPU: a CPU's matrix products are as fast on few rows as on many."""


@dataclass(frozen=True)
class Examples:
    """Posts of one split."""

    views: dict[str, list[EncodedView]]
    """'t' and 'it', one entry per post."""
    tags: list[list[int]]
    """Index of each word's BIOES tag."""
    gold: list[list[str]]
    """IOB2 tags."""


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides what a run does, besides data and model."""

    train: Train
    system: System
    loss: Loss
    seed: int
    tag_names: list[str]
    device: torch.device
    dtype: torch.dtype


class TrainingExample(NamedTuple):
    """A post and the views it is read in."""

    post: int
    views: tuple[str, ...]


@dataclass(frozen=True)
class MicroBatch:
    """One forward pass over B rows: posts in the text view, then posts in the image-text view."""

    batch: Batch
    tags: Tensor
    """(B, W)."""
    texts: int
    """Rows in the text view."""
    learned: Tensor
    """(B,) 1 where the likelihood of the row counts, 0 where it is read only to be taught by the other view."""
    student: Tensor
    """(P,) rows of the text view taught by ..."""
    teacher: Tensor
    """(P,) ... these rows of the image-text view; empty without alignment."""
    share: float
    """Weight of one row in the update: 1 / (samples in a step * steps in an update)."""


def epoch_of(train: Examples, plan: TrainingConfig, epoch: int) -> list[list[MicroBatch]]:
    """The updates of an epoch, each a list of steps whose losses add up; tensors are on the plan's device.

    ``batch_size`` counts sentences, so a post in both views counts as two. A step of more than ``max_subwords``
    subwords is read in several passes, which changes no sum.
    """
    system, settings = plan.system, plan.train
    views = tuple(system.views)
    if settings.schedule == "paired":
        longest = [train.views[views[-1]][post].length for post in range(len(train.tags))]
        size = max(1, settings.batch_size // len(views))
        drawn = [
            [TrainingExample(post, views) for post in posts] for posts in bucketed(longest, size, (plan.seed, epoch))
        ]
    else:
        samples = [TrainingExample(post, (view,)) for view in views for post in range(len(train.tags))]
        samples.sort(key=lambda sample: train.views[sample.views[0]][sample.post].length)
        cut = [samples[at : at + settings.batch_size] for at in range(0, len(samples), settings.batch_size)]
        drawn = [cut[number] for number in np.random.default_rng((plan.seed, epoch)).permutation(len(cut))]
    updates = []
    for at in range(0, len(drawn), settings.gradient_accumulation):
        group = drawn[at : at + settings.gradient_accumulation]
        updates.append([step for samples in group for step in _passes(samples, train, plan, len(group))])
    return on_device(updates, plan.device)


def updates_per_epoch(posts: int, plan: TrainingConfig) -> int:
    """Optimizer steps of an epoch."""
    views = len(plan.system.views)
    if plan.train.schedule == "paired":
        drawn = -(-posts // max(1, plan.train.batch_size // views))
    else:
        drawn = -(-posts * views // plan.train.batch_size)
    return -(-drawn // plan.train.gradient_accumulation)


def _passes(samples: Sequence[TrainingExample], train: Examples, plan: TrainingConfig, steps: int) -> list[MicroBatch]:
    """The samples of one step as forward passes within the budget of pieces."""
    aligned = plan.system.alignment != "none"
    cost = [
        sum(train.views[view][sample.post].length for view in {*sample.views, *(["t"] if aligned else [])})
        for sample in samples
    ]
    budget = plan.train.max_subwords or BUDGET[plan.device.type == "cuda"]
    passes = within_budget(range(len(samples)), cost, len(samples), budget)
    share = 1 / (len(samples) * steps)
    return [_step([samples[number] for number in numbers], train, aligned, share) for numbers in passes]


def _step(samples: Sequence[TrainingExample], train: Examples, aligned: bool, share: float) -> MicroBatch:
    texts = [sample.post for sample in samples if "t" in sample.views]
    learned_texts = len(texts)
    student, taught = [], []
    for sample in samples:
        if "it" in sample.views:
            taught.append(sample.post)
            if aligned and "t" in sample.views:
                student.append(sum("t" in other.views for other in samples[: samples.index(sample)]))
            elif aligned:
                student.append(len(texts))
                texts.append(sample.post)
    teacher = range(len(texts), len(texts) + len(student))
    posts = {"t": texts, "it": taught}
    learned = [1.0] * learned_texts + [0.0] * (len(texts) - learned_texts) + [1.0] * len(taught)
    return MicroBatch(
        collate([[train.views[view][post] for post in some] for view, some in posts.items() if some]),
        padded_tags([train.tags[post] for some in posts.values() for post in some]),
        len(texts),
        torch.tensor(learned),
        torch.tensor(student, dtype=torch.long),
        torch.tensor(teacher, dtype=torch.long),
        share,
    )


def losses(tagger: Tagger, step: MicroBatch, plan: TrainingConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of one step: w_T L_T + w_IT L_IT + w_CVA L_CVA, each a mean over the samples of the update.

    Returns:
        The loss, and the sum of each term over the step's posts.
    """
    batch = step.batch
    with torch.autocast(plan.device.type, dtype=plan.dtype, enabled=plan.dtype != torch.float32):
        emissions = tagger.emissions(batch)
    crf, lengths, temperature = tagger.crf, batch.lengths, plan.loss.temperature
    teacher, student = step.teacher, step.student
    aligned: dict[str, Tensor] = {}
    # In the official schedule a pass may hold no pair.
    alignment = plan.system.alignment if len(student) else "none"
    if alignment == "posterior":
        nll, marginals = crf.likelihood(emissions, step.tags, lengths)
        divergence = posterior_alignment(marginals[teacher], marginals[student], lengths[student], temperature)
        aligned["alignment"] = divergence.sum()
    else:
        nll = crf.nll(emissions, step.tags, lengths)
    if alignment == "structural":
        divergence = structural_alignment(crf, emissions[teacher], emissions[student], lengths[student], temperature)
        aligned["alignment"] = divergence.sum()
    nll = nll * step.learned
    both = len(plan.system.views) > 1
    weights = {"t": plan.loss.text if both else 1.0, "it": plan.loss.image_text if both else 1.0}
    weights["alignment"] = plan.loss.alignment
    sums = {"t": nll[: step.texts].sum(), "it": nll[step.texts :].sum()}
    terms: dict[str, torch.Tensor] = {**{view: sums[view] for view in plan.system.views}, **aligned}
    return step.share * torch.stack([weights[name] * value for name, value in terms.items()]).sum(), terms
