"""The training loop that detector and captioner share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ita.log import log, progress


def optimise(
    name: str,
    parameters: Iterable[Tensor],
    batch_loss: Callable[[], Tensor],
    *,
    steps: int,
    learning_rate: float,
    max_norm: float,
) -> None:
    """Trains by AdamW with one cycle of the learning rate.

    Args:
        name: of the model, for the log.
        parameters: what is trained.
        batch_loss: loss of the next batch.
        steps: updates.
        learning_rate: its peak.
        max_norm: largest norm of the gradient; larger ones are clipped.
    """
    parameters = list(parameters)
    optimizer = torch.optim.AdamW(parameters, learning_rate, weight_decay=1e-2)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
    loss = torch.zeros(())
    for _ in progress(range(steps), steps, name, "step"):
        loss = batch_loss()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, max_norm)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    log.info("%s: loss of the last step %.3f", name, float(loss.detach()))
