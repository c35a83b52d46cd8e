"""Memory that stays level, although no two batches of many clients have the same size."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable

TRIM_SECONDS = 10.0
CACHES = {"LRU_CACHE_CAPACITY": "16", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16"}
"""Shapes for which torch and oneDNN remember how to compute: 1024 by default, which come to some 700 MB."""


def limit_shape_caches() -> None:
    """Limits what is remembered of shapes, unless the user has; torch reads it when it is imported."""
    for name, value in CACHES.items():
        os.environ.setdefault(name, value)


def heap_trimmer() -> Callable[[int], int] | None:
    """The C library's ``malloc_trim``, which closes the gaps in its heap; None where it has none."""
    if sys.platform != "linux":
        return None
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim if callable(trim) else None


async def trim_regularly() -> None:
    """Gives free memory back every few seconds."""
    trim = heap_trimmer()
    while trim is not None:
        await asyncio.sleep(TRIM_SECONDS)
        await asyncio.to_thread(trim, 0)
