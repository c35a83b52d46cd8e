"""Weights of published models, loaded into modules without a gap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from ita.errors import UserError

Module = TypeVar("Module", bound=nn.Module)
BATCH_COUNTER = "num_batches_tracked"
"""How many batches a normalisation has seen: only training uses it, and some checkpoints lack it."""
MAX_NAMES = 5
"""Names listed in a message."""


def load_weights(
    module: nn.Module, weights: Mapping[str, Tensor], source: object, rename: Callable[[str], str] = str
) -> None:
    """Loads weights into a module that needs exactly these; batch counters may be missing.

    Args:
        module: the module.
        weights: by name.
        source: their file, for messages.
        rename: name in the module's state dict -> name among the weights.

    Raises:
        UserError: names weights that are missing, not expected, or of another shape.
    """
    state = {rename(name): value for name, value in module.state_dict().items()}
    counters = {name: torch.zeros_like(value, device="cpu") for name, value in state.items() if BATCH_COUNTER in name}
    weights = {**counters, **weights}
    problems = {
        "missing": sorted(state.keys() - weights.keys()),
        "not expected": sorted(weights.keys() - state.keys()),
        "of another shape": [
            f"{name} is {tuple(weights[name].shape)}, expected {tuple(value.shape)}"
            for name, value in state.items()
            if name in weights and weights[name].shape != value.shape
        ],
    }
    messages = [f"{len(names)} {problem}: {_listed(names)}" for problem, names in problems.items() if names]
    if messages:
        raise UserError(f"{source}: the weights do not fit a {type(module).__name__}; {'; '.join(messages)}")
    module.load_state_dict({name: weights[rename(name)] for name in module.state_dict()})


def build_module(
    build: Callable[[], Module],
    weights: Mapping[str, Tensor],
    source: object,
    rename: Callable[[str], str] = str,
) -> Module:
    """A module on the CPU with loaded weights, which are not trained; no memory is spent on initial weights.

    Args:
        build: constructs the module.
        weights: by name.
        source: their file, for messages.
        rename: name in the module's state dict -> name among the weights.

    Raises:
        UserError: as ``load_weights``.
    """
    with torch.device("meta"):
        module = build()
    module = module.to_empty(device="cpu")
    load_weights(module, weights, source, rename)
    return module.requires_grad_(False)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")
