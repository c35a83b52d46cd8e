"""Tries inputs of a target in a process of its own."""

import json
import os
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random

from ita.errors import UserError
from tests.fuzz.guard import Broken, Guard, peak_megabytes
from tests.fuzz.targets import TARGETS

CASE_SECONDS = 20
LONGEST_MESSAGE = 700
MOST_LINES = 12
"""Of a message about several settings."""
GROWTH_MEGABYTES = 700
"""What a process may grow by after its first cases: caches and pools, not its inputs."""


def work(name: str, seed: int, seconds: float, folder: Path, kept: Path) -> None:
    """Tries inputs of a target until its time is over."""
    kept = kept.resolve()
    os.chdir(folder)
    target = TARGETS[name](folder)
    guard = Guard(folder)
    counts: Counter[str] = Counter()
    start, before = time.monotonic(), None
    while time.monotonic() - start < seconds or counts["tried"] < 20:
        random = Random(f"{name} {seed} {counts['tried']}")
        data = target.draw(random)
        (folder / "case.bin").write_bytes(data)
        counts["tried"] += 1
        outcome = attempt(target, data, guard)
        if isinstance(outcome, str):
            counts[outcome] += 1
        else:
            counts["broken"] += 1
            if counts["broken"] <= 5:
                (kept / f"{name}-{seed}-{counts['tried']}.bin").write_bytes(data)
                text = "".join(traceback.format_exception(outcome))
                (kept / f"{name}-{seed}-{counts['tried']}.txt").write_text(text, errors="backslashreplace")
                print(f"{name} case {counts['tried']}: {text.strip().splitlines()[-1][:300]}", file=sys.stderr)
        before = peak_megabytes() if counts["tried"] == 20 else before
        if counts["tried"] % 20 == 0:
            save(folder, counts, start)
    if before is not None and peak_megabytes() - before > GROWTH_MEGABYTES:
        counts["broken"] += 1
        print(f"{name}: memory grew from {before:.0f} to {peak_megabytes():.0f} MB", file=sys.stderr)
    save(folder, counts, start)


def save(folder: Path, counts: Counter[str], start: float) -> None:
    """Writes what is known so far."""
    numbers = {key: counts[key] for key in ("tried", "read", "refused", "broken")}
    numbers |= {"seconds": round(time.monotonic() - start), "peak_mb": round(peak_megabytes())}
    (folder / "state.json").write_text(json.dumps(numbers))


def attempt(target, data: bytes, guard: Guard) -> str | BaseException:
    """Tries one input: ``read``, ``refused``, or what broke."""
    try:
        try:
            with guard.watch(CASE_SECONDS):
                target.read(data)
        except UserError as error:
            check_message(str(error))
            if target.whole:
                raise Broken(f"an input without a fault is refused: {error}") from error
            return "refused"
    except (Exception, Broken, SystemExit) as error:
        return error
    return "read"


def check_message(message: str) -> None:
    """Raises Broken unless a message is one line of moderate length that a terminal can show."""
    lines = message.split("\n")
    several = len(lines) > 1 and not message.startswith("config: ")
    if not message or several or len(lines) > MOST_LINES or not all(map(is_clear, lines)):
        raise Broken(f"the message is not one clear line: {message[:900]!r}")


def is_clear(line: str) -> bool:
    """Whether a terminal shows a line as it is, and a person reads it."""
    return line.isprintable() and len(line) <= LONGEST_MESSAGE
