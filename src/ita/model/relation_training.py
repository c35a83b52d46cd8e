"""The relation task of RpBERT (Sun et al. 2021): whether a post's image adds to its text, read from [CLS].

Before each epoch of NER comes one pass over posts labelled so, of another data set, by the same optimizer; its loss has
a weight of its own (upstream: utils.py ``train``, model/model.py ``itr_forward``; weight 0.05). Posts whose image is
missing, or that are too long to be read beside their image, say nothing about it and are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ita.data.visual_context import VisualContext
from ita.errors import UserError
from ita.io import parquet
from ita.io.features import Features, load_features
from ita.log import progress
from ita.model.batching import Batch, bucketed_batches, collate, longest_first, split_by_budget, to_device
from ita.model.inputs import EncodedView, ViewEncoder
from ita.model.schedule import TrainingConfig, max_subwords
from ita.model.tagger import Tagger

SPLITS = ("train", "dev")
STREAM = 1
"""Distinguishes the batches drawn here from those of NER."""


class RelationPosts(NamedTuple):
    """Posts of one split with their labels."""

    views: list[EncodedView]
    """Text and image regions of each post."""
    related: list[int]
    """1 where the image adds to the text, else 0."""

    def map_views(self, function: Callable[[list[EncodedView]], list[EncodedView]]) -> RelationPosts:
        """The same posts with a function applied to the views."""
        return self._replace(views=function(self.views))


@dataclass(frozen=True)
class RelationData:
    """The relation data of a run."""

    train: RelationPosts
    dev: RelationPosts
    left_out: int
    """Posts without an image that could be read, or too long."""

    def map_views(self, function: Callable[[list[EncodedView]], list[EncodedView]]) -> RelationData:
        """The same data with a function applied to the views."""
        return RelationData(self.train.map_views(function), self.dev.map_views(function), self.left_out)


@dataclass(frozen=True)
class RelationBatch:
    """One forward and backward pass over R posts."""

    inputs: Batch
    related: Tensor
    """(R,) labels."""
    loss_scale: float
    """Weight of one post in the update: 1 / (posts in a batch * batches in an update)."""


def load_relation_features(posts: Path, shards: Sequence[Path], features: Features) -> tuple[Features, Features]:
    """The features of another data set's images behind those of the first, in one table.

    Args:
        posts: posts.parquet of the relation data.
        shards: of the features of their images.
        features: of the posts of NER.

    Returns:
        The features of NER and those of the relation data, over the same table.

    Raises:
        UserError: for files that cannot be read, or features of another width.
    """
    images = {row["image_id"] for row in parquet.rows("posts", posts) if row["image_id"]}
    further = load_features(shards, images)
    if further.width != features.width:
        raise UserError(
            f"{shards[0]}: regions of {further.width} numbers, expected {features.width} as of the posts; the detector "
            "must be the same for both data sets"
        )
    vectors = np.concatenate([features.vectors, further.vectors])
    offset = len(features.vectors)
    spans = {image: (start + offset, end + offset) for image, (start, end) in further.spans.items()}
    return Features(vectors, features.spans), Features(vectors, spans)


def load_relations(posts: Path, features: Features, encoder: ViewEncoder) -> RelationData:
    """Reads relation data.

    Args:
        posts: posts.parquet of the data set.
        features: of its images.
        encoder: the view encoder of the run.

    Raises:
        UserError: when posts have no label, or a split has none with an image.
    """
    rows = parquet.rows("posts", posts)
    splits = {split: [row for row in rows if row["split"] == split] for split in SPLITS}
    encoded = {split: _encode(splits[split], features, encoder, posts) for split in SPLITS}
    for split, relation_posts in encoded.items():
        if not relation_posts.views:
            raise UserError(f"{posts}: no post of the split '{split}' has an image; relation data need images")
    left_out = sum(len(splits[split]) - len(encoded[split].views) for split in SPLITS)
    return RelationData(encoded["train"], encoded["dev"], left_out)


def _encode(rows: Sequence[Mapping[str, Any]], features: Features, encoder: ViewEncoder, posts: Path) -> RelationPosts:
    """The posts of one split whose image is read."""
    for row in rows:
        if row.get("related") is None:
            raise UserError(
                f"{posts}: the post {row['post_id']!r} has no relation label; expected posts.format relation"
            )
    no_context = [VisualContext([], [])] * len(rows)
    regions = [features.rows_of(row["image_id"]) for row in rows]
    views = encoder.encode([row["tokens"] for row in rows], no_context, regions)
    with_regions = [(view, int(row["related"])) for view, row in zip(views, rows, strict=True) if len(view.regions)]
    return RelationPosts([view for view, _ in with_regions], [label for _, label in with_regions])


def relation_updates(posts: int, config: TrainingConfig) -> int:
    """Optimizer steps of a pass over so many posts."""
    return math.ceil(math.ceil(posts / config.train.batch_size) / config.train.gradient_accumulation)


def draw_updates(posts: RelationPosts, config: TrainingConfig, epoch: int) -> list[list[RelationBatch]]:
    """The updates of a pass, each a list of micro-batches whose gradients add up; tensors are on the device."""
    lengths = [view.length for view in posts.views]
    batches = list(bucketed_batches(lengths, config.train.batch_size, (config.seed, epoch, STREAM)))
    accumulation, budget = config.train.gradient_accumulation, max_subwords(config)
    updates: Any = []
    for start in range(0, len(batches), accumulation):
        group = batches[start : start + accumulation]
        updates.append(
            [
                RelationBatch(
                    collate([[posts.views[index] for index in part]], config.layout),
                    torch.tensor([posts.related[index] for index in part]),
                    1 / (len(batch) * len(group)),
                )
                for batch in group
                for part in split_by_budget(batch, lengths, len(batch), budget)
            ]
        )
    return to_device(updates, config.device)


def relation_losses(tagger: Tagger, batch: RelationBatch, config: TrainingConfig) -> Tensor:
    """Cross-entropy (R,), fp32 or fp64, of each post."""
    with torch.autocast(config.device.type, dtype=config.dtype, enabled=config.dtype != torch.float32):
        logits = tagger.relation_logits(batch.inputs)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return functional.cross_entropy(logits, batch.related, reduction="none")


def run_relation_epoch(
    tagger: Tagger, posts: RelationPosts, config: TrainingConfig, step: Callable[[int], None], epoch: int
) -> dict[str, float]:
    """One pass over the relation posts; nothing in it waits for the device before its end.

    Args:
        tagger: with a relation gate.
        posts: training posts.
        config: settings.
        step: makes update number n of the pass by the present gradients, and drops these.
        epoch: counted from 0.

    Returns:
        ``relation_loss``, the mean cross-entropy per post, and the number of ``relation_subwords``.

    Raises:
        UserError: when the loss is no longer a number.
    """
    tagger.train()
    total = torch.zeros((), device=config.device)
    subwords = 0
    updates = draw_updates(posts, config, epoch)
    for number, batches in enumerate(progress(updates, len(updates), f"epoch {epoch + 1} relation", "update")):
        for batch in batches:
            losses = relation_losses(tagger, batch, config)
            (config.loss.relation * batch.loss_scale * losses.sum()).backward()
            total += losses.detach().sum()
            subwords += batch.inputs.size
        step(number)
    loss = float(total) / len(posts.views)
    if not math.isfinite(loss):
        raise UserError(f"epoch {epoch + 1}: the relation loss is no longer a number; lower train.learning_rate")
    return {"relation_loss": loss, "relation_subwords": subwords}


@torch.inference_mode()
def relation_scores(tagger: Tagger, posts: RelationPosts, config: TrainingConfig, batch_size: int) -> dict[str, float]:
    """Accuracy over the posts, and F1 of those whose image adds to the text, in percent."""
    was_training = tagger.training
    tagger.eval()
    predicted = np.zeros(len(posts.views), dtype=bool)
    for indices in longest_first([view.length for view in posts.views], batch_size, max_subwords(config)):
        batch = to_device(collate([[posts.views[index] for index in indices]], config.layout), config.device)
        with torch.autocast(config.device.type, dtype=config.dtype, enabled=config.dtype != torch.float32):
            predicted[indices] = tagger.relation_logits(batch).argmax(1).bool().cpu().numpy()
    tagger.train(was_training)
    gold = np.array(posts.related, dtype=bool)
    true_positives = int((predicted & gold).sum())
    return {
        "relation_dev_accuracy": 100 * float((predicted == gold).mean()),
        "relation_dev_f1": 100 * 2 * true_positives / max(int(predicted.sum() + gold.sum()), 1),
    }
