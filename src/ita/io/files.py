"""Files and folders that take their name only when they are complete; hashes; JSON."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ita.errors import UserError
from ita.io.disk_errors import write_error
from ita.io.text import decode, load_json

UMASK = os.umask(0)
os.umask(UMASK)  # it can only be read by setting it


@contextmanager
def reporting_disk_errors(path: Path) -> Iterator[None]:
    """Errors of the disk in writing ``path`` become UserError: path, reason, what to do."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if (message := write_error(path, error)) is not None:
            raise message from error
        raise


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary file name beside ``path``; the file takes its name when the block ends without an error.

    Leftovers of killed processes are removed. Two threads must not write the same path at the same time.

    Raises:
        UserError: when the disk refuses: it is full, read-only, or the folder has gone.
    """
    with reporting_disk_errors(path):
        part = _temporary(path)
        try:
            yield part
            with open(part, "rb+") as file:
                os.fsync(file.fileno())
            part.chmod(0o666 & ~UMASK)  # some libraries write files that only their owner may read
            os.replace(part, path)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside ``path`` to work in, removed at the end; leftovers of killed processes are removed."""
    with reporting_disk_errors(path):
        part = _temporary(path)
        _remove(part)
        part.mkdir()
        try:
            yield part
        finally:
            _remove(part)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """An empty temporary folder beside ``path`` that replaces ``path`` when the block ends without an error."""
    with temporary_folder(path) as part:
        yield part
        replace(part, path)


@contextmanager
def added_files(folder: Path) -> Iterator[Path]:
    """An empty temporary folder whose files go into ``folder``, each whole, when the block ends without an error."""
    with temporary_folder(folder / "added") as part:
        yield part
        for file in sorted(part.iterdir()):
            replace(file, folder / file.name)


def replace(source: Path, target: Path) -> None:
    """Moves a file or folder to ``target``, on the same file system, in place of what is there."""
    if target.is_dir() and not target.is_symlink():
        # A folder cannot be renamed over a full one; setting the old one aside is faster than emptying it first.
        retired = target.with_name(f".{target.name}.old.{os.getpid()}.part")
        os.replace(target, retired)
        os.replace(source, target)
        _remove(retired)
    else:
        os.replace(source, target)


def _temporary(path: Path) -> Path:
    """A name for a temporary file or folder of this process; what killed processes left under such names is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        process = leftover.name.removesuffix(".part").rpartition(".")[2]
        if not (process.isdigit() and alive(int(process))):
            _remove(leftover)
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _remove(path: Path) -> None:
    """Removes a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def alive(process: int) -> bool:
    """True while a process with this number exists."""
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
    """Writes indented JSON atomically, keys in their order."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, expected: str) -> dict[str, Any]:
    """Reads a JSON file that holds an object.

    Args:
        path: the file.
        expected: what it should hold, for messages: "the metrics of a run (ita evaluate writes them)".

    Raises:
        UserError: when the file is missing, unreadable, not JSON, or holds something else than an object.
    """
    try:
        content = load_json(decode(path.read_bytes(), path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); expected {expected}") from None
    except UserError as error:
        raise UserError(f"{error}; expected {expected}") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); expected {expected}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a JSON {type(content).__name__}; expected an object: {expected}")
    return content


def sha256(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
