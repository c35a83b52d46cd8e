"""AdamW by torch's fused update: ``torch.optim.AdamW`` without what constructing one imports (see ``ita.model``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim.adamw import adamw

BETAS = (0.9, 0.999)


class ParameterGroup(NamedTuple):
    """Parameters of one learning rate."""

    parameters: list[Tensor]
    learning_rate: float
    """At the peak of the schedule."""


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    Args:
        groups: (parameters, peak learning rate) of each group.
        epsilon: added to the root of the second moment.
        weight_decay: of all groups.
        clip_grad_norm: gradients whose norm over all parameters is greater are scaled to this norm.
    """

    def __init__(
        self,
        groups: Iterable[tuple[Sequence[Tensor], float]],
        epsilon: float,
        weight_decay: float,
        clip_grad_norm: float,
    ) -> None:
        self.groups = [ParameterGroup(list(parameters), learning_rate) for parameters, learning_rate in groups]
        self.epsilon = epsilon
        self.weight_decay = weight_decay
        self.clip_grad_norm = clip_grad_norm
        self.state: list[list[dict[str, Tensor]]] = [[{} for _ in group.parameters] for group in self.groups]

    @torch.no_grad()
    def step(self, lr_factor: float) -> None:
        """One update by the present gradients at ``lr_factor`` times the peak learning rates; gradients are dropped."""
        gradients = [p.grad for group in self.groups for p in group.parameters if p.grad is not None]
        # The update divides by this as it reads the gradients; torch.nn.utils.clip_grad_norm_ reads them once more.
        grad_scale = ((torch.nn.utils.get_total_norm(gradients) + 1e-6) / self.clip_grad_norm).clamp(min=1)
        for group, states in zip(self.groups, self.state, strict=True):
            active = [(p, state) for p, state in zip(group.parameters, states, strict=True) if p.grad is not None]
            for parameter, state in active:
                if not state:
                    state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
                    state["steps"] = torch.zeros((), device=parameter.device)
            adamw(
                [parameter for parameter, _ in active],
                [parameter.grad for parameter, _ in active],  # type: ignore[misc]
                [state["mean"] for _, state in active],
                [state["square"] for _, state in active],
                [],
                [state["steps"] for _, state in active],
                fused=True,
                grad_scale=grad_scale,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=group.learning_rate * lr_factor,
                weight_decay=self.weight_decay,
                eps=self.epsilon,
                maximize=False,
            )
            for parameter in group.parameters:
                parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Moments and counts, in the order of the parameters."""
        return {"state": self.state}

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        """Continues from a state; tensors move to the devices of their parameters."""
        for group, states, saved in zip(self.groups, self.state, content["state"], strict=True):
            for parameter, state, values in zip(group.parameters, states, saved, strict=True):
                state.update({name: value.to(parameter.device, copy=True) for name, value in values.items()})
