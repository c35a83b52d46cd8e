"""Checkpoints of published models: read without running code that they may hold, loaded into modules without a gap."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ita.errors import UserError

Module = TypeVar("Module", bound=nn.Module)
WRAPPERS = ("model", "state_dict")
PREFIX = "module."
BATCH_COUNTER = "num_batches_tracked"
"""How many batches a normalisation has seen: only training uses it, and some checkpoints lack it."""
MAX_NAMES = 5
"""Names listed in a message."""


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint by name.

    Args:
        file: .safetensors, or a file of ``torch.save`` that holds tensors and plain values only; its weights may be
            under ``model`` or ``state_dict``, and their names may begin with ``module.``.

    Raises:
        UserError: for a file that is missing, broken, or holds anything else.
    """
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(file)
        else:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{file}: holds more than tensors and is not read, because that could run code: {reason}"
        ) from None
    except Exception as error:  # what broken bytes raise depends on where they break
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{file}: is not a checkpoint that can be read: {reason}") from None
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{file}: expected weights by name, alone or under {' or '.join(WRAPPERS)}")
    return {name.removeprefix(PREFIX): value for name, value in content.items()}


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
        weights: as for ``load_weights``, likewise the rest.

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
