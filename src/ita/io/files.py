"""Files that appear under their name only when complete, and their hashes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

UMASK = os.umask(0)
os.umask(UMASK)  # to be read, it must be set


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary file name beside ``path`` that takes its name when the block ends well.

    Leftovers of killed processes are removed on the way. Two threads must not write the same path at a time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{path.name}.*.part"):
        owner = stale.name.removesuffix(".part").rpartition(".")[2]
        if not (owner.isdigit() and alive(int(owner))):
            stale.unlink(missing_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        part.chmod(0o666 & ~UMASK)  # some libraries write files that nobody else may read
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def alive(process: int) -> bool:
    """True while a process of that number exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON atomically, keys in the given order."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def sha256(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
