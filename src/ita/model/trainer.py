"""The training loop: epochs, updates, choice of the best epoch, resuming."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ita.config import Train
from ita.data.metrics import f1
from ita.errors import UserError
from ita.io.files import atomic
from ita.log import log, progress
from ita.model.inference import tag
from ita.model.optimizer import AdamW
from ita.model.schedule import Examples, TrainingConfig, epoch_of, losses, updates_per_epoch
from ita.model.tagger import Tagger

EVALUATION_BATCH = 64


@dataclass
class Progress:
    """Where a run stands after an epoch; what a resume file holds."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)


def fit(tagger: Tagger, train: Examples, dev: Examples, plan: TrainingConfig, resume: Path, stamp: str) -> Progress:
    """Trains a tagger and keeps the weights of its best epoch on the development posts.

    The score of an epoch is dev F1 of the view trained on, or the mean of both (official code:
    finetune_trainer.py:1100-1129); of equal scores the later wins. An epoch draws all its random numbers from
    (seed, epoch), so a run that was killed goes on from its last epoch to the same result.

    Args:
        tagger: the model, on the plan's device.
        train: posts to learn from.
        dev: posts to choose the epoch by.
        plan: settings.
        resume: file that keeps the state after each epoch; removed by the caller when the model is written.
        stamp: hash of settings and inputs; a resume file of another stamp is ignored.

    Returns:
        The final state, best weights included.

    Raises:
        UserError: when the loss is no longer a number.
    """
    updates = updates_per_epoch(len(train.tags), plan)
    optimizer = optimizer_of(tagger, plan.train)
    state = load_resume(resume, stamp, tagger, optimizer)
    while state.epoch < plan.train.epochs:
        torch.manual_seed(plan.seed * 1_000_003 + state.epoch)
        started = time.monotonic()
        record = run_epoch(tagger, train, plan, optimizer, state.epoch, updates)
        record["seconds"] = time.monotonic() - started
        record |= evaluate(tagger, dev, plan)
        state.epoch += 1
        state.history.append({"epoch": state.epoch, **record})
        if record["dev_f1"] >= state.best_score:
            state.best_score, state.best_epoch = record["dev_f1"], state.epoch
            state.best = {name: value.detach().cpu().clone() for name, value in tagger.state_dict().items()}
        log.info("epoch %d: %s", state.epoch, {name: round(value, 4) for name, value in record.items()})
        if state.epoch < plan.train.epochs:
            save_resume(resume, stamp, state, tagger, optimizer)
    return state


def optimizer_of(tagger: Tagger, train: Train) -> AdamW:
    """AdamW with one rate for encoder and linear layers and another for the CRF."""
    rest = [*tagger.encoder.parameters(), *tagger.linear.parameters()]
    if tagger.projection is not None:
        rest += tagger.projection.parameters()
    groups = [(rest, train.learning_rate), ([*tagger.crf.parameters()], train.crf_learning_rate)]
    return AdamW(groups, train.epsilon, train.weight_decay, train.clip_grad_norm)


def rate(update: int, total: int, warmup: float) -> float:
    """Share of the peak learning rate before update number ``update`` (from 0): linear rise, then linear fall to 0."""
    rising = warmup * total
    if update < rising:
        return (update + 1) / (rising + 1)
    return (total - update) / max(total - rising, 1)


def run_epoch(
    tagger: Tagger, train: Examples, plan: TrainingConfig, optimizer: AdamW, epoch: int, updates: int
) -> dict[str, float]:
    """One pass over the training posts; nothing in it waits for the device before its end.

    Returns:
        Means of the loss terms per post, word pieces read per second, learning rate at the start.

    Raises:
        UserError: when the loss is no longer a number.
    """
    tagger.train()
    started = time.monotonic()
    total = updates * plan.train.epochs
    first = epoch * updates
    sums: dict[str, Tensor] = {}
    pieces = 0
    drawn = epoch_of(train, plan, epoch)
    for number, steps in enumerate(progress(drawn, len(drawn), f"epoch {epoch + 1}", "update")):
        for step in steps:
            loss, terms = losses(tagger, step, plan)
            loss.backward()
            pieces += step.batch.pieces
            for name, value in terms.items():
                sums[name] = sums.get(name, 0) + value.detach()
        optimizer.step(rate(first + number, total, plan.train.warmup))
    means = {f"loss_{name}": float(value) / len(train.tags) for name, value in sums.items()}
    if not all(map(math.isfinite, means.values())):
        raise UserError(f"epoch {epoch + 1}: the loss is no longer a number ({means}); lower train.learning_rate")
    speed = pieces / (time.monotonic() - started)
    return {
        **means,
        "subwords_per_second": speed,
        "learning_rate": plan.train.learning_rate * rate(first, total, plan.train.warmup),
    }


def evaluate(tagger: Tagger, dev: Examples, plan: TrainingConfig) -> dict[str, float]:
    """Dev F1 in percent of each view trained on, and their mean as ``dev_f1``."""
    scores = {}
    for view in plan.system.views:
        tagged = tag(
            tagger,
            dev.views[view],
            plan.tag_names,
            batch_size=EVALUATION_BATCH,
            device=plan.device,
            dtype=plan.dtype,
            posteriors=False,
        )
        scores[f"dev_f1_{view}"] = f1(dev.gold, [one.tags for one in tagged])
    return {**scores, "dev_f1": sum(scores.values()) / len(scores)}


def save_resume(path: Path, stamp: str, state: Progress, tagger: Tagger, optimizer: AdamW) -> None:
    """Writes everything the next epoch needs, atomically."""
    content: dict[str, Any] = {"stamp": stamp, "state": vars(state), "model": tagger.state_dict()}
    with atomic(path) as part:
        torch.save({**content, "optimizer": optimizer.state_dict()}, part)


def load_resume(path: Path, stamp: str, tagger: Tagger, optimizer: AdamW) -> Progress:
    """Goes on from a resume file if there is one with this stamp; else starts anew."""
    if not path.is_file():
        return Progress()
    content = torch.load(path, map_location="cpu", weights_only=True)
    if content["stamp"] != stamp:
        log.info("resume file of other settings or inputs ignored")
        return Progress()
    tagger.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])
    state = Progress(**content["state"])
    log.info("resuming after epoch %d", state.epoch)
    return state
