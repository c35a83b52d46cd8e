"""The updates of an epoch: which posts are read together, in which views, and which losses count.

Two schedules. ``paired``: a post is read once, in all its views, so that its text view serves its own likelihood and
the alignment at once. ``official``: each view of a post is an example of its own, and batches are cut once from the
examples in order of length, as in the official code (KB-NER: finetune_trainer.py:840-1010); with alignment, the text
view is read a second time beside the I+T view that teaches it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ita.config import Loss, System, Train
from ita.model.batching import Batch, bucketed_batches, collate, pad_tags, split_by_budget, to_device
from ita.model.dataset import EncodedPosts
from ita.model.inputs import InputLayout

MAX_SUBWORDS_CPU = 1024
"""Most subwords of a micro-batch on a CPU, whose matrix products are as fast on few rows as on many."""
MAX_SUBWORDS_GPU = 16_384
CONTEXT_DROPOUT = 1
"""Tells its random numbers from those that draw batches."""


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
    layout: InputLayout = InputLayout()
    relation_updates: int = 0
    """Updates of the pass over relation data before each epoch (see ``ita.model.relation_training``)."""

    @property
    def sentences_per_post(self) -> int:
        """Sentences that a post counts as in a step."""
        return self.train.sentences_per_post or len(self.system.views)

    @property
    def posts_per_step(self) -> int:
        """Posts of a batch of the paired schedule."""
        return max(1, self.train.batch_size // self.sentences_per_post)

    @property
    def examples_per_step(self) -> int:
        """Views of posts of a batch of the official schedule."""
        return max(1, self.train.batch_size * len(self.system.views) // self.sentences_per_post)


class TrainingExample(NamedTuple):
    """A post and the views it is read in."""

    post: int
    views: tuple[str, ...]


@dataclass(frozen=True)
class MicroBatch:
    """One forward and backward pass over B rows: posts in the T view, then posts in the I+T view."""

    inputs: Batch
    tags: Tensor
    """(B, W)."""
    text_rows: int
    """Rows in the T view."""
    loss_mask: Tensor
    """(B,) 1 where the likelihood of the row counts, 0 where it is read only as a student."""
    student: Tensor
    """(P,) rows of the T view that learn from ..."""
    teacher: Tensor
    """(P,) ... these rows of the I+T view; empty without alignment."""
    loss_scale: float
    """Weight of one row in the update: 1 / (examples in a batch * batches in an update)."""


def epoch_updates(posts: EncodedPosts, config: TrainingConfig, epoch: int) -> list[list[MicroBatch]]:
    """The updates of an epoch, each a list of micro-batches whose gradients add up; tensors are on the device.

    ``batch_size`` counts sentences: a post counts as its views, or as ``sentences_per_post``. A batch of more than
    ``max_subwords`` subwords is read in several micro-batches, which changes no sum.
    """
    posts = drop_contexts(posts, config, epoch)
    draw = _paired_batches if config.train.schedule == "paired" else _official_batches
    batches = draw(posts, config, epoch)
    accumulation = config.train.gradient_accumulation
    updates = []
    for start in range(0, len(batches), accumulation):
        group = batches[start : start + accumulation]
        updates.append([part for batch in group for part in _micro_batches(batch, posts, config, len(group))])
    return to_device(updates, config.device)


def drop_contexts(posts: EncodedPosts, config: TrainingConfig, epoch: int) -> EncodedPosts:
    """The posts, a share of them (``train.context_dropout``, drawn in each epoch) with the text alone as I+T view."""
    share = config.train.context_dropout
    if not share:
        return posts
    dropped = np.random.default_rng((config.seed, epoch, CONTEXT_DROPOUT)).random(len(posts.tags)) < share
    pairs = zip(dropped, posts.views["t"], posts.views["it"], strict=True)
    return replace(posts, views={**posts.views, "it": [text if drop else both for drop, text, both in pairs]})


def _paired_batches(posts: EncodedPosts, config: TrainingConfig, epoch: int) -> list[list[TrainingExample]]:
    views = tuple(config.system.views)
    lengths = [post.length for post in posts.views[views[-1]]]
    batches = bucketed_batches(lengths, config.posts_per_step, (config.seed, epoch))
    return [[TrainingExample(post, views) for post in batch] for batch in batches]


def _official_batches(posts: EncodedPosts, config: TrainingConfig, epoch: int) -> list[list[TrainingExample]]:
    views, size = config.system.views, config.examples_per_step
    examples = [TrainingExample(post, (view,)) for view in views for post in range(len(posts.tags))]
    examples.sort(key=lambda example: posts.views[example.views[0]][example.post].length)
    batches = [examples[start : start + size] for start in range(0, len(examples), size)]
    return [batches[number] for number in np.random.default_rng((config.seed, epoch)).permutation(len(batches))]


def updates_per_epoch(posts: int, config: TrainingConfig) -> int:
    """Optimizer steps of an epoch."""
    if config.train.schedule == "paired":
        batches = math.ceil(posts / config.posts_per_step)
    else:
        batches = math.ceil(posts * len(config.system.views) / config.examples_per_step)
    return math.ceil(batches / config.train.gradient_accumulation)


def max_subwords(config: TrainingConfig) -> int:
    """Most subwords of a micro-batch."""
    default = MAX_SUBWORDS_GPU if config.device.type == "cuda" else MAX_SUBWORDS_CPU
    return config.train.max_subwords or default


def _micro_batches(
    examples: Sequence[TrainingExample], posts: EncodedPosts, config: TrainingConfig, batches: int
) -> list[MicroBatch]:
    """The examples of one batch as micro-batches within the budget of subwords."""
    aligned = config.system.alignment != "none"
    extra = ["t"] if aligned else []
    lengths = [sum(posts.views[view][example.post].length for view in {*example.views, *extra}) for example in examples]
    parts = split_by_budget(range(len(examples)), lengths, len(examples), max_subwords(config))
    loss_scale = 1 / (len(examples) * batches)
    layout = config.layout
    return [_micro_batch([examples[number] for number in part], posts, aligned, loss_scale, layout) for part in parts]


def _micro_batch(
    examples: Sequence[TrainingExample], posts: EncodedPosts, aligned: bool, loss_scale: float, layout: InputLayout
) -> MicroBatch:
    text_posts = [example.post for example in examples if "t" in example.views]
    learned_texts = len(text_posts)
    image_text_posts, student = [], []
    text_row = 0  # of the next example that has the T view
    for example in examples:
        if "it" in example.views:
            image_text_posts.append(example.post)
            if aligned and "t" in example.views:
                student.append(text_row)
            elif aligned:
                student.append(len(text_posts))
                text_posts.append(example.post)
        text_row += "t" in example.views
    teacher = range(len(text_posts), len(text_posts) + len(student))
    rows = {"t": text_posts, "it": image_text_posts}
    students_only = len(text_posts) - learned_texts
    loss_mask = [1.0] * learned_texts + [0.0] * students_only + [1.0] * len(image_text_posts)
    return MicroBatch(
        collate([[posts.views[view][post] for post in numbers] for view, numbers in rows.items() if numbers], layout),
        pad_tags([posts.tags[post] for numbers in rows.values() for post in numbers]),
        len(text_posts),
        torch.tensor(loss_mask),
        torch.tensor(student, dtype=torch.long),
        torch.tensor(teacher, dtype=torch.long),
        loss_scale,
    )
