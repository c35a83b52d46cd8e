"""Checkpoints of published models, read without running code that they may hold."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ita.errors import UserError

WRAPPERS = ("model", "state_dict")
PREFIX = "module."


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
