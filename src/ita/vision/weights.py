"""Weights of published models, read without running anything that is in them and filled in without a gap."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ita.errors import UserError

WRAPPERS = ("model", "state_dict")
PREFIX = "module."
SHOWN = 5


def read(file: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint by name.

    Args:
        file: .safetensors, or a file of ``torch.save`` that holds tensors and plain values only; its weights may stand
            under ``model`` or ``state_dict``, and their names behind ``module.``.

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
            f"{file}: holds more than tensors, and is not read, since that could run code: {reason}"
        ) from None
    except Exception as error:  # what broken bytes raise depends on where they break
        raise UserError(f"{file}: is not a checkpoint that can be read: {' '.join(str(error).split())[:300]}") from None
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{file}: expected weights by name, alone or under {' or '.join(WRAPPERS)}")
    return {name.removeprefix(PREFIX): value for name, value in content.items()}


def fill(module: nn.Module, weights: Mapping[str, Tensor], where: object) -> None:
    """Puts weights into a model that needs exactly these.

    Args:
        module: the model.
        weights: by name.
        where: their source, for messages.

    Raises:
        UserError: naming weights that are missing, not expected, or of another shape.
    """
    own = module.state_dict()
    wrong = [
        f"{name} is {tuple(weights[name].shape)}, expected {tuple(value.shape)}"
        for name, value in own.items()
        if name in weights and weights[name].shape != value.shape
    ]
    problems = {
        "missing": sorted(own.keys() - weights.keys()),
        "not expected": sorted(weights.keys() - own.keys()),
        "of another shape": wrong,
    }
    told = [f"{len(names)} {what}: {_some(names)}" for what, names in problems.items() if names]
    if told:
        raise UserError(f"{where}: the weights do not fit a {type(module).__name__}; {'; '.join(told)}")
    module.load_state_dict({name: weights[name] for name in own})


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
