"""AdamW, Adam and BertAdam by torch's fused update, without what torch's optimizers import (see ``ita.model``)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim.adam import adam

BETAS = (0.9, 0.999)
UNBIASED = math.inf
"""Number of steps after which Adam corrects its moments no more: BertAdam never does."""


class ParameterGroup(NamedTuple):
    """Parameters of one learning rate."""

    parameters: list[Tensor]
    learning_rate: float
    """At the peak of the schedule."""
    weight_decay: float = 0.0


class Optimizer:
    """Adam (Kingma and Ba 2015) in one of three variants.

    - ``adamw``: decoupled weight decay (Loshchilov and Hutter 2019); the gradients are clipped together.
    - ``adam``: the same with weight decay added to the gradients.
    - ``bert_adam``: as ``adamw``, but the moments are not corrected for their start at zero, and each tensor's
      gradient is clipped by itself (jefferyYu/UMT, my_bert/optimization.py).

    Args:
        kind: adamw, adam or bert_adam.
        groups: parameters with their peak learning rate and weight decay.
        epsilon: added to the root of the second moment.
        clip_grad_norm: gradients whose norm, over all parameters or per tensor, is greater are scaled to this norm; 0
            leaves them as they are.
    """

    def __init__(self, kind: str, groups: Iterable[ParameterGroup], epsilon: float, clip_grad_norm: float) -> None:
        self.kind = kind
        self.groups = list(groups)
        self.epsilon = epsilon
        self.clip_grad_norm = clip_grad_norm
        self.state: list[list[dict[str, Tensor]]] = [[{} for _ in group.parameters] for group in self.groups]

    @torch.no_grad()
    def step(self, lr_factor: float) -> None:
        """One update by the present gradients at ``lr_factor`` times the peak learning rates; gradients are dropped."""
        grad_scale = self._clip([p.grad for group in self.groups for p in group.parameters if p.grad is not None])
        for group, states in zip(self.groups, self.state, strict=True):
            active = [(p, state) for p, state in zip(group.parameters, states, strict=True) if p.grad is not None]
            for parameter, state in active:
                if not state:
                    state |= self._initial_state(parameter)
            adam(
                [parameter for parameter, _ in active],
                [parameter.grad for parameter, _ in active],  # type: ignore[misc]
                [state["mean"] for _, state in active],
                [state["square"] for _, state in active],
                [],
                [state["steps"] for _, state in active],
                fused=True,
                grad_scale=grad_scale,
                decoupled_weight_decay=self.kind != "adam",
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=group.learning_rate * lr_factor,
                weight_decay=group.weight_decay,
                eps=self.epsilon,
                maximize=False,
            )
            for parameter in group.parameters:
                parameter.grad = None

    def _clip(self, gradients: list[Tensor]) -> Tensor | None:
        """What the update divides gradients by as it reads them; BertAdam's are scaled here, each by its own norm."""
        if not self.clip_grad_norm:
            return None
        if self.kind == "bert_adam":
            norms = torch.stack(torch._foreach_norm(gradients))
            torch._foreach_mul_(gradients, list((self.clip_grad_norm / (norms + 1e-6)).clamp(max=1)))
            return None
        # torch.nn.utils.clip_grad_norm_ reads the gradients once more.
        return ((torch.nn.utils.get_total_norm(gradients) + 1e-6) / self.clip_grad_norm).clamp(min=1)

    def _initial_state(self, parameter: Tensor) -> dict[str, Tensor]:
        steps = UNBIASED if self.kind == "bert_adam" else 0.0
        return {
            "mean": torch.zeros_like(parameter),
            "square": torch.zeros_like(parameter),
            "steps": torch.full((), steps, device=parameter.device),
        }

    def state_dict(self) -> dict[str, Any]:
        """Moments and counts, in the order of the parameters."""
        return {"state": self.state}

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        """Continues from a state; tensors move to the devices of their parameters."""
        for group, states, saved in zip(self.groups, self.state, content["state"], strict=True):
            for parameter, state, values in zip(group.parameters, states, saved, strict=True):
                state.update({name: value.to(parameter.device, copy=True) for name, value in values.items()})
