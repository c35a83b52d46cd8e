"""Where a model runs and in which arithmetic: the settings ``device`` and ``precision``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ita.stage import UserError

if TYPE_CHECKING:
    import torch


def resolve(device: str, precision: str) -> tuple[torch.device, torch.dtype]:
    """Turns the settings into what torch understands.

    Args:
        device: auto (a GPU if there is one), cpu or cuda.
        precision: auto (bf16 on a GPU that computes in it, else fp32), fp32 or bf16.

    Raises:
        UserError: when ``cuda`` is asked for and torch sees no GPU.
    """
    import torch

    gpu = torch.cuda.is_available()
    if device == "cuda" and not gpu:
        build = "is a CPU build" if torch.version.cuda is None else "sees no GPU"
        raise UserError(
            f"setting device: cuda was asked for, but torch {torch.__version__} {build}; "
            "set device to auto or cpu, or install a CUDA build of torch on a machine with a GPU"
        )
    place = torch.device("cuda" if gpu and device != "cpu" else "cpu")
    if precision == "auto":
        # Emulated bf16 (before Ampere) would be slower than fp32 and less exact.
        fast = place.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return place, torch.bfloat16 if fast else torch.float32
    return place, torch.bfloat16 if precision == "bf16" else torch.float32
