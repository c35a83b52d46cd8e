"""Local files that settings name, as inputs of jobs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ita.config.storage import MADE
from ita.errors import ConfigError


def local_files(names: Iterable[str], setting: str) -> list[str]:
    """Local files among paths, URLs and archive members, which are all there or will be made.

    Args:
        names: paths, URLs, or ``archive::member``.
        setting: where they are named, for messages.

    Raises:
        ConfigError: for a file that is missing.
    """
    paths = {without_dots(name.partition("::")[0]) for name in names if not name.startswith(("http://", "https://"))}
    for path in sorted(paths):
        if not is_there(path):
            raise ConfigError(f"config: {setting} names {path!r}, which is not there (looked for in {Path.cwd()})")
    return sorted(paths)


def present_files(paths: Iterable[str]) -> list[str]:
    """The files that are there or will be made."""
    return [path for path in map(without_dots, paths) if is_there(path)]


def without_dots(path: str) -> str:
    """A path as Snakemake wants it: without ``.`` as a part of it, and without empty parts.

    ``..`` stays: behind a link it is not the folder before.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/" * path.startswith("/") + ("/".join(parts) or "." * (not path.startswith("/")))


def is_there(path: str) -> bool:
    """Whether a file or folder is there or will be made."""
    try:
        return path.startswith(MADE) or Path(path).exists()
    except (OSError, ValueError):  # no file can have this name
        return False
