"""How an output came about: settings, versions, commit, hashes of the inputs."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import ita
from ita.io.files import sha256

PACKAGES = (
    *("torch", "transformers", "numpy", "pyarrow", "pandas", "pillow", "aiohttp"),
    *("pytesseract", "rapidocr", "onnxruntime", "paddleocr", "paddlepaddle"),
)


def provenance_of(settings: Mapping[str, Any], inputs: Mapping[str, Path | None] | None = None) -> dict[str, Any]:
    """What is needed to tell how an output came about: settings, versions, commit, hashes of the inputs."""
    versions = {"python": platform.python_version(), "ita": ita.__version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    hashes = {name: sha256(path) for name, path in (inputs or {}).items() if path is not None}
    return {"settings": dict(settings), "versions": versions, "commit": git_commit(), "inputs": hashes}


def git_commit() -> str | None:
    """Git commit of the code, with a ``+`` when the tree has changes; None outside a checkout."""
    here = Path(ita.__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        if not git("ls-files", str(here)):
            return None  # a package installed inside somebody else's repository
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", str(here)) else "")
    except (OSError, subprocess.CalledProcessError):
        return None
