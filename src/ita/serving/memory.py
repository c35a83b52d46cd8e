"""Memory that is free, given back to the system: batches of ever other sizes leave gaps in the C library's heap."""

from __future__ import annotations

import asyncio
import ctypes
import sys
from collections.abc import Callable

TRIM_SECONDS = 10.0


def heap_trimmer() -> Callable[[int], int] | None:
    """The C library's ``malloc_trim``; None where it has none."""
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
