"""The training loop: epochs, updates, choice of the best epoch, checkpoints."""

from __future__ import annotations

import copy
import math
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ita.config import Train
from ita.errors import UserError
from ita.io.files import atomic
from ita.log import log, progress
from ita.model.crf import CRF
from ita.model.dataset import EncodedPosts
from ita.model.inference import predict_tags
from ita.model.losses import compute_loss
from ita.model.optimizer import Optimizer, ParameterGroup
from ita.model.relation_training import RelationData, relation_scores, run_relation_epoch
from ita.model.schedule import TrainingConfig, epoch_updates, updates_per_epoch
from ita.model.tagger import Tagger
from ita.significance.counts import count_spans, micro_f1

EVALUATION_BATCH = 64
TRAILER = b"ita-crc32:"
"""Before the checksum of a checkpoint, behind its last byte: torch does not check those in the file."""
STEP_EPOCHS, STEP_FACTOR = 2, 0.8
"""Of ``lr_schedule: step`` (upstream: ddp_mmner.py of UMGF)."""


@dataclass
class TrainingState:
    """The state of a run after an epoch, as a checkpoint holds it."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the best epoch."""
    summed: dict[str, Tensor] = field(default_factory=dict)
    """Sum of the weights after the last epochs, those that are averaged (``train.average_epochs``)."""


def fit(
    tagger: Tagger,
    train: EncodedPosts,
    dev: EncodedPosts,
    config: TrainingConfig,
    checkpoint: Path,
    fingerprint: str,
    relations: RelationData | None = None,
) -> TrainingState:
    """Trains a tagger and keeps the weights of its best epoch on the development posts, or the mean of the last ones.

    The score of an epoch is dev F1 of the view trained on, or the mean of both (official code:
    finetune_trainer.py:1100-1129); of equal scores the later wins. An epoch draws all its random numbers from
    (seed, epoch), so a run that was killed continues from its last epoch to the same result.

    Args:
        tagger: the model, on the configured device.
        train: training posts.
        dev: posts to choose the epoch by.
        config: settings.
        checkpoint: file that keeps the state after each epoch; removed by the caller when the model is written.
        fingerprint: hash of settings and inputs; a checkpoint of another fingerprint is ignored.
        relations: what trains the relation gate before each epoch.

    Returns:
        The final state, best weights included.

    Raises:
        UserError: when the loss is no longer a number.
    """
    optimizer = configure_optimizer(tagger, config.train)
    state = load_checkpoint(checkpoint, fingerprint, tagger, optimizer)
    while state.epoch < config.train.epochs:
        torch.manual_seed(config.seed * 1_000_003 + state.epoch)
        started = time.monotonic()
        relation = teach_relation(tagger, relations, len(train.tags), config, optimizer, state.epoch)
        record = {**run_epoch(tagger, train, config, optimizer, state.epoch), **relation}
        record["subwords"] += record.pop("relation_subwords", 0)
        record["seconds"] = time.monotonic() - started
        record |= dev_scores(tagger, dev, config)
        if relations:
            record |= relation_scores(tagger, relations.dev, config, EVALUATION_BATCH)
        state.epoch += 1
        state.history.append({"epoch": state.epoch, **record})
        if record["dev_f1"] >= state.best_score:
            state.best_score, state.best_epoch = record["dev_f1"], state.epoch
            state.best = weights_of(tagger)
        log.info("epoch %d: %s", state.epoch, {name: round(value, 4) for name, value in record.items()})
        if config.train.average_epochs > 1:
            sum_weights(state, tagger, config.train)
        if state.epoch < config.train.epochs:
            save_checkpoint(checkpoint, fingerprint, state, tagger, optimizer)
    if config.train.average_epochs > 1:
        keep_average(state, tagger, dev, config)
    return state


def weights_of(tagger: Tagger) -> dict[str, Tensor]:
    """A copy of all weights, in the memory of the CPU."""
    return {name: weight.detach().cpu().clone() for name, weight in tagger.state_dict().items()}


def sum_weights(state: TrainingState, tagger: Tagger, train: Train) -> None:
    """Adds the weights after an epoch to the sum, if it is one of the last ``average_epochs``."""
    if state.epoch > train.epochs - train.average_epochs:
        weights = weights_of(tagger)
        state.summed = (
            {name: state.summed[name] + weight for name, weight in weights.items()} if state.summed else weights
        )


def keep_average(state: TrainingState, tagger: Tagger, dev: EncodedPosts, config: TrainingConfig) -> None:
    """Makes the mean of the last epochs' weights (Izmailov et al. 2018, section 3) the weights of the run."""
    count = min(config.train.average_epochs, config.train.epochs)
    state.best = {
        name: weight / count if weight.is_floating_point() else weight for name, weight in state.summed.items()
    }
    tagger.load_state_dict(state.best)
    state.best_epoch, state.best_score = config.train.epochs, dev_scores(tagger, dev, config)["dev_f1"]
    log.info("mean of the weights of the last %d epochs: dev F1 %.2f", count, state.best_score)


def configure_optimizer(tagger: Tagger, train: Train) -> Optimizer:
    """The optimizer, with a learning rate each for the encoder, what lies between it and the CRF, and the CRF.

    BertAdam decays neither biases nor LayerNorm (upstream: run_mtmner_crf.py).
    """
    in_crf = {id(weight) for module in tagger.modules() if isinstance(module, CRF) for weight in module.parameters()}
    encoder: list[Tensor] = [weight for model in tagger.encoders for weight in model.parameters()]
    grouped = {id(weight) for weight in encoder} | in_crf
    heads: list[Tensor] = [weight for weight in tagger.parameters() if id(weight) not in grouped]
    crf: list[Tensor] = [weight for weight in tagger.parameters() if id(weight) in in_crf]
    decay = train.weight_decay
    groups = []
    for weights, rate in ((encoder, train.learning_rate), (heads, train.head_learning_rate or train.learning_rate)):
        if train.optimizer == "bert_adam":
            groups.append(ParameterGroup([weight for weight in weights if weight.dim() > 1], rate, decay))
            groups.append(ParameterGroup([weight for weight in weights if weight.dim() <= 1], rate, 0.0))
        else:
            groups.append(ParameterGroup(weights, rate, decay))
    groups.append(ParameterGroup(crf, train.crf_learning_rate, decay))
    return Optimizer(train.optimizer, groups, train.epsilon, train.clip_grad_norm)


def lr_factor(update: int, total: int, train: Train) -> float:
    """Share of the peak learning rate at an update (counted from 0 to ``total`` - 1): a linear rise, then the schedule.

    - ``linear``: linear decay from the end of the rise to 0.
    - ``bert_linear``: linear decay counted from the first update, so the rate drops where the rise ends (UMT).
    - ``step``: times 0.8 after every second epoch (UMGF).
    - ``constant`` (RpBERT).
    """
    warmup_updates = train.warmup * total
    if train.lr_schedule == "bert_linear":
        return update / warmup_updates if update < warmup_updates else 1 - update / total
    if update < warmup_updates:
        return (update + 1) / (warmup_updates + 1)
    if train.lr_schedule == "step":
        return float(STEP_FACTOR ** (update * train.epochs // total // STEP_EPOCHS))
    return 1.0 if train.lr_schedule == "constant" else (total - update) / max(total - warmup_updates, 1)


def run_epoch(
    tagger: Tagger, train: EncodedPosts, config: TrainingConfig, optimizer: Optimizer, epoch: int
) -> dict[str, float]:
    """One pass over the training posts; nothing in it waits for the device before its end.

    Returns:
        Means of the loss terms per post, updates (those of relation data before it included), subwords read (image
        regions among them), subwords per second, learning rate at the start.

    Raises:
        UserError: when the loss is no longer a number.
    """
    tagger.train()
    started = time.monotonic()
    per_epoch = updates_per_epoch(len(train.tags), config) + config.relation_updates
    first, total = epoch * per_epoch + config.relation_updates, config.train.epochs * per_epoch
    sums: dict[str, Tensor] = {}
    subwords = 0
    updates = epoch_updates(train, config, epoch)
    for number, micro_batches in enumerate(progress(updates, len(updates), f"epoch {epoch + 1}", "update")):
        for batch in micro_batches:
            loss, terms = compute_loss(tagger, batch, config)
            loss.backward()
            subwords += batch.inputs.size
            for name, value in terms.items():
                sums[name] = sums.get(name, 0) + value.detach()
        optimizer.step(lr_factor(first + number, total, config.train))
    means = {f"loss_{name}": float(value) / len(train.tags) for name, value in sums.items()}
    if not all(map(math.isfinite, means.values())):
        raise UserError(f"epoch {epoch + 1}: the loss is no longer a number ({means}); lower train.learning_rate")
    return {
        **means,
        "updates": per_epoch,
        "subwords": subwords,
        "subwords_per_second": subwords / (time.monotonic() - started),
        "learning_rate": config.train.learning_rate * lr_factor(first, total, config.train),
    }


def teach_relation(
    tagger: Tagger, relations: RelationData | None, posts: int, config: TrainingConfig, optimizer: Optimizer, epoch: int
) -> dict[str, float]:
    """The pass over relation data before an epoch over so many posts; its updates count in the schedule of the rates.

    Returns:
        As of ``run_relation_epoch``; nothing without such data.
    """
    if relations is None:
        return {}
    per_epoch = updates_per_epoch(posts, config) + config.relation_updates
    first, total = epoch * per_epoch, config.train.epochs * per_epoch

    def step(number: int) -> None:
        optimizer.step(lr_factor(first + number, total, config.train))

    return run_relation_epoch(tagger, relations.train, config, step, epoch)


def dev_scores(tagger: Tagger, dev: EncodedPosts, config: TrainingConfig) -> dict[str, float]:
    """Dev F1 in percent of each view trained on, and their mean as ``dev_f1``."""
    scores = {}
    for view in config.system.views:
        predictions = predict_tags(
            tagger,
            dev.views[view],
            config.tag_names,
            batch_size=EVALUATION_BATCH,
            device=config.device,
            dtype=config.dtype,
            posteriors=False,
        )
        # Importing seqeval would take longer than scoring; its default mode gives the same F1.
        scores[f"dev_f1_{view}"] = micro_f1(count_spans(dev.gold, [prediction.tags for prediction in predictions]))
    return {**scores, "dev_f1": sum(scores.values()) / len(scores)}


def save_checkpoint(path: Path, fingerprint: str, state: TrainingState, tagger: Tagger, optimizer: Optimizer) -> None:
    """Writes everything the next epoch needs, atomically, with a checksum behind it."""
    content: dict[str, Any] = {"fingerprint": fingerprint, "state": vars(state), "model": tagger.state_dict()}
    with atomic(path) as part:
        torch.save({**content, "optimizer": optimizer.state_dict()}, part)
        trailer = TRAILER + f"{crc32(part, part.stat().st_size):08x}".encode()
        with open(part, "ab") as file:
            file.write(trailer)


def load_checkpoint(path: Path, fingerprint: str, tagger: Tagger, optimizer: Optimizer) -> TrainingState:
    """Continues from a checkpoint if there is one with this fingerprint; else starts from the beginning.

    One that is damaged is set aside with a warning.
    """
    if not path.is_file():
        return TrainingState()
    weights = {name: weight.clone() for name, weight in tagger.state_dict().items()}
    moments = copy.deepcopy(optimizer.state_dict())
    try:
        check_trailer(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content.get("fingerprint") != fingerprint:
            log.info("checkpoint of other settings or inputs ignored")
            return TrainingState()
        tagger.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
        state = TrainingState(**content["state"])
    except Exception as error:  # what broken bytes raise depends on where they break
        aside = path.with_name(f"{path.name}.damaged")
        reason = " ".join(str(error).split())[:200]
        log.warning("%s: is damaged (%s); set aside as %s, training starts anew", path, reason, aside.name)
        path.replace(aside)
        tagger.load_state_dict(weights)
        optimizer.state = moments["state"]
        return TrainingState()
    log.info("continuing after epoch %d", state.epoch)
    return state


def check_trailer(path: Path) -> None:
    """Raises ValueError for a checkpoint that has another checksum than it says; those of earlier versions say none."""
    length = len(TRAILER) + 8
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(size - length, 0))
        trailer = file.read()
    if trailer.startswith(TRAILER) and trailer.removeprefix(TRAILER) != f"{crc32(path, size - length):08x}".encode():
        raise ValueError("its checksum is another one")


def crc32(path: Path, size: int) -> int:
    """Checksum of so many of a file's first bytes."""
    checksum = 0
    with open(path, "rb") as file:
        while size > 0 and (block := file.read(min(size, 1 << 20))):
            checksum = zlib.crc32(block, checksum)
            size -= len(block)
    return checksum
