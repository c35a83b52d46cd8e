"""Hashes of the files of a model, in its settings.json, so that damage is told when the model is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ita.errors import UserError
from ita.io.files import sha256

HASHES = "sha256"
"""Key of settings.json: name of a file of the model -> its SHA-256. Run folders of earlier versions lack it."""


def hash_files(folder: Path, files: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of those files that are there, by their paths in the folder."""
    return {file.relative_to(folder).as_posix(): sha256(file) for file in files if file.is_file()}


@contextmanager
def verified(folder: Path, settings: Mapping[str, Any]) -> Iterator[None]:
    """Hashes the files of a model in a thread while the block loads them.

    Args:
        folder: run folder.
        settings: its settings.json.

    Raises:
        UserError: at the end of the block, or in place of its error, for a file that is not as training wrote it.
    """
    with ThreadPoolExecutor(1) as thread:
        checking = thread.submit(check_files, folder, settings.get(HASHES) or {})
        try:
            yield
        finally:
            checking.result()


def check_files(folder: Path, hashes: Any) -> None:
    """Raises UserError for a file that is missing or has another hash, and for hashes that are none."""
    if not isinstance(hashes, Mapping):
        raise UserError(f"{folder / 'settings.json'}: expected {HASHES!r} to be an object, found {hashes!r:.80}")
    for name, expected in hashes.items():
        file = folder / name
        if ".." in file.parts or not file.resolve().is_file():
            raise UserError(f"{file}: is not there, or no file of the model; restore it, or train again")
        try:
            actual = sha256(file)
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error.strerror}); restore it, or train again") from None
        if actual != expected:
            raise UserError(
                f"{file}: is damaged, or is not the file that training wrote: its SHA-256 is {actual}, settings.json "
                f"has {expected}; restore both from a copy, or train again"
            )
