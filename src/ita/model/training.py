"""The training loop: epochs, losses of a step, choice of the best epoch, resuming."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ita.corpus.batches import bucketed, collate, padded_tags
from ita.corpus.scores import f1
from ita.corpus.views import Encoded
from ita.model.losses import posterior_alignment
from ita.model.tagger import Tagger
from ita.model.tagging import tag
from ita.settings import Loss, System, Train
from ita.stage import atomic, log, progress

EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Examples:
    """Posts of one split."""

    views: dict[str, list[Encoded]]
    """'t' and 'it', one entry per post."""
    tags: list[list[int]]
    """Index of each word's BIOES tag."""
    gold: list[list[str]]
    """IOB2 tags."""


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a run does, besides data and model."""

    train: Train
    system: System
    loss: Loss
    seed: int
    tag_names: list[str]
    pad: int
    device: torch.device
    dtype: torch.dtype


@dataclass
class Progress:
    """Where a run stands after an epoch; what a resume file holds."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)


def fit(tagger: Tagger, train: Examples, dev: Examples, plan: Plan, resume: Path, stamp: str) -> Progress:
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
    """
    size = max(1, plan.train.batch_size // len(plan.system.views))
    batches = math.ceil(len(train.tags) / size)
    updates = math.ceil(batches / plan.train.accumulation)
    optimizer = optimizer_of(tagger, plan.train)
    state = load_resume(resume, stamp, tagger, optimizer)
    while state.epoch < plan.train.epochs:
        torch.manual_seed(plan.seed * 1_000_003 + state.epoch)
        started = time.monotonic()
        record = run_epoch(tagger, train, plan, optimizer, state.epoch, size, updates)
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


def optimizer_of(tagger: Tagger, train: Train) -> torch.optim.AdamW:
    """AdamW with one rate for encoder and linear layer and another for the CRF; fused where the device has it."""
    crf = list(tagger.crf.parameters())
    rest = [*tagger.encoder.parameters(), *tagger.linear.parameters()]
    return torch.optim.AdamW(
        [{"params": rest, "peak": train.learning_rate}, {"params": crf, "peak": train.crf_learning_rate}],
        lr=train.learning_rate,
        eps=train.epsilon,
        weight_decay=train.weight_decay,
        fused=True,
    )


def rate(update: int, total: int, warmup: float) -> float:
    """Share of the peak learning rate before update number ``update`` (from 0): linear rise, then linear fall to 0."""
    rising = warmup * total
    if update < rising:
        return (update + 1) / (rising + 1)
    return (total - update) / max(total - rising, 1)


def run_epoch(
    tagger: Tagger, train: Examples, plan: Plan, optimizer: torch.optim.AdamW, epoch: int, size: int, updates: int
) -> dict[str, float]:
    """One pass over the training posts.

    Returns:
        Means of the loss terms per step, pieces read per second, learning rate at the start.
    """
    tagger.train()
    longest = [train.views[plan.system.views[-1]][index].length for index in range(len(train.tags))]
    batches = list(bucketed(longest, size, (plan.seed, epoch)))
    group = plan.train.accumulation
    update = epoch * updates
    first_rate = rate(update, updates * plan.train.epochs, plan.train.warmup)
    totals: dict[str, Tensor] = {}
    pieces, started = 0, time.monotonic()
    for step, indices in enumerate(progress(batches, len(batches), f"epoch {epoch + 1}", "step")):
        terms, read = step_losses(tagger, train, indices, plan)
        steps_in_group = min(group, len(batches) - step // group * group)
        loss = torch.stack([weight * value for weight, value in terms.values()]).sum() / steps_in_group
        loss.backward()
        pieces += read
        for name, (_, value) in terms.items():
            totals[name] = totals.get(name, 0) + value.detach()
        if (step + 1) % group == 0 or step + 1 == len(batches):
            factor = rate(update, updates * plan.train.epochs, plan.train.warmup)
            for parameters in optimizer.param_groups:
                parameters["lr"] = parameters["peak"] * factor
            torch.nn.utils.clip_grad_norm_(tagger.parameters(), plan.train.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            update += 1
    means = {f"loss_{name}": float(total) / len(batches) for name, total in totals.items()}
    speed = pieces / (time.monotonic() - started)
    return {**means, "pieces_per_second": speed, "learning_rate": plan.train.learning_rate * first_rate}


def step_losses(
    tagger: Tagger, train: Examples, indices: Sequence[int], plan: Plan
) -> tuple[dict[str, tuple[float, Tensor]], int]:
    """The loss terms of one step: L = w_T L_T + w_IT L_IT + w_CVA L_CVA.

    Both views of a post are read in the same step, so the text view serves its own likelihood and the alignment at
    once.

    Returns:
        Term -> (weight, mean over posts), and the word pieces read.
    """
    views = plan.system.views
    batches = [collate([train.views[view][index] for index in indices], plan.pad).to(plan.device) for view in views]
    with torch.autocast(plan.device.type, dtype=plan.dtype, enabled=plan.dtype != torch.float32):
        per_view = [tagger.emissions(batch) for batch in batches]
    # The views have the same words, so one pass of the CRF serves them all: (V * B, W, K).
    emissions = torch.cat(per_view)
    lengths = torch.cat([batch.lengths for batch in batches])
    tags = padded_tags([train.tags[index] for index in indices]).to(plan.device).repeat(len(views), 1)
    terms: dict[str, tuple[float, Tensor]] = {}
    if plan.system.alignment == "none":
        log_z = tagger.crf.log_partition(emissions, lengths)
    else:
        log_z, marginals = tagger.crf.forward_backward(emissions, lengths)
        student, teacher = marginals.chunk(2)
        divergence = posterior_alignment(teacher, student, batches[0].lengths, plan.loss.temperature)
        terms["alignment"] = plan.loss.alignment, divergence.mean()
    nll = (log_z - tagger.crf.sequence_score(emissions, tags, lengths)).view(len(views), -1).mean(1)
    weights = {"t": plan.loss.text, "it": plan.loss.image_text} if len(views) > 1 else dict.fromkeys(views, 1.0)
    terms = {**{view: (weights[view], nll[number]) for number, view in enumerate(views)}, **terms}
    return terms, sum(batch.pieces for batch in batches)


def evaluate(tagger: Tagger, dev: Examples, plan: Plan) -> dict[str, float]:
    """Dev F1 in percent of each view trained on, and their mean as ``dev_f1``."""
    scores = {}
    for view in plan.system.views:
        tagged = tag(
            tagger,
            dev.views[view],
            plan.tag_names,
            pad=plan.pad,
            batch_size=EVALUATION_BATCH,
            device=plan.device,
            dtype=plan.dtype,
            posteriors=False,
        )
        scores[f"dev_f1_{view}"] = f1(dev.gold, [one.tags for one in tagged])
    return {**scores, "dev_f1": sum(scores.values()) / len(scores)}


def save_resume(path: Path, stamp: str, state: Progress, tagger: Tagger, optimizer: torch.optim.AdamW) -> None:
    """Writes everything the next epoch needs, atomically."""
    content: dict[str, Any] = {"stamp": stamp, "state": vars(state), "model": tagger.state_dict()}
    with atomic(path) as part:
        torch.save({**content, "optimizer": optimizer.state_dict()}, part)


def load_resume(path: Path, stamp: str, tagger: Tagger, optimizer: torch.optim.AdamW) -> Progress:
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
