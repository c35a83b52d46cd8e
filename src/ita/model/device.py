"""Where a model runs, in which arithmetic and with how much memory: the settings ``device`` and ``precision``."""

from __future__ import annotations

import ctypes
import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ita.errors import UserError

if TYPE_CHECKING:
    import torch

BF16_MIN_WIDTH = 256
"""Hidden size from which auto takes bf16 on a CPU that has it; 384 gained 2.8 times, less was not measured."""

MALLOC_TRIM_THRESHOLD, MALLOC_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt."""
KEPT_BYTES = 1 << 30


def resolve_device(device: str) -> torch.device:
    """The torch device of the setting.

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


def device_name(device: torch.device) -> str:
    """Name of the GPU, or ``cpu``."""
    import torch

    return str(torch.cuda.get_device_name()) if device.type == "cuda" else "cpu"


def compute_dtype(device: torch.device, precision: str, width: int) -> torch.dtype:
    """Arithmetic of a model's matrix products.

    Args:
        device: where it runs.
        precision: fp32, bf16, or auto: bf16 where the hardware computes in it and the model is wide enough to gain.
        width: hidden size of the model.
    """
    import torch

    if precision == "auto":
        if device.type == "cuda":
            # Emulated bf16 (before Ampere) would be slower than fp32 and less exact.
            fast = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            fast = width >= BF16_MIN_WIDTH and cpu_has_bf16()
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32


def cpu_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_threads(limit: int) -> int:
    """Sets the CPU threads of this process: as many as asked for, at most one per core."""
    import torch

    threads = min(limit, cpu_cores())
    torch.set_num_threads(threads)
    return threads


def keep_freed_memory() -> None:
    """Lets this process keep memory that it frees for what it allocates next (glibc; elsewhere nothing happens).

    By default arrays of more than 128 KB come from the system each time, which clears every page of them: a fifth of
    the time of tagging in 8 bits. For programs that do nothing but tag; it holds the most that was in use at a time.
    """
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        for parameter in (MALLOC_TRIM_THRESHOLD, MALLOC_MMAP_THRESHOLD):
            library.mallopt(parameter, KEPT_BYTES)


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """What the processor can do (Linux on x86; elsewhere nothing is known)."""
    try:
        text = cpuinfo.read_text()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in text.splitlines() if line.startswith("flags")), "").split())


def cpu_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor has instructions for bf16 (AVX512-BF16 or AMX)."""
    return not cpu_flags(cpuinfo).isdisjoint({"avx512_bf16", "amx_bf16"})


def cpu_has_vnni(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor sums products of 8 bits in 32 (VNNI or AMX)."""
    return not cpu_flags(cpuinfo).isdisjoint({"avx512_vnni", "avx_vnni", "amx_int8"})


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory of this process in MB: of the GPU where it runs on one, else resident memory."""
    if device.type == "cuda":
        import torch

        return round(torch.cuda.max_memory_allocated() / 1e6, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)
