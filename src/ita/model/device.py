"""Where a model runs and in which arithmetic: the settings ``device`` and ``precision``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ita.errors import UserError

if TYPE_CHECKING:
    import torch

WIDE = 256
"""Width from which bf16 is taken on a CPU that computes in it; 384 gained 2.8 times, less was not measured."""


def resolve(device: str) -> torch.device:
    """Turns the setting into what torch understands.

    Args:
        device: auto (a GPU if there is one), cpu or cuda.

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
    return torch.device("cuda" if gpu and device != "cpu" else "cpu")


def arithmetic(place: torch.device, precision: str, width: int) -> torch.dtype:
    """Arithmetic of a model.

    Args:
        place: where it runs.
        precision: fp32, bf16, or auto: bf16 where the hardware computes in it and the model is wide enough to gain.
        width: hidden size of the model.
    """
    import torch

    if precision == "auto":
        if place.type == "cuda":
            # Emulated bf16 (before Ampere) would be slower than fp32 and less exact.
            fast = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            fast = width >= WIDE and cpu_computes_bf16()
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32


def cpu_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_threads(wanted: int) -> int:
    """Sets the CPU threads of this process: as many as wanted, but no more than there are cores for it."""
    import torch

    threads = min(wanted, cpu_cores())
    torch.set_num_threads(threads)
    return threads


def cpu_computes_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies bf16 by itself (Linux on x86: AVX512-BF16 or AMX; elsewhere False)."""
    try:
        text = cpuinfo.read_text()
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    return "avx512_bf16" in flags or "amx_bf16" in flags
