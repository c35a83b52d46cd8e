"""Provenance of an output: settings, versions of packages, git commit, SHA-256 of the inputs; the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import ita
from ita.io.files import sha256

PACKAGES = (
    *("torch", "transformers", "numpy", "pyarrow", "pandas", "pillow", "aiohttp"),
    *("seqeval", "scikit-learn", "scipy", "tokenizers", "safetensors"),
    *("pytesseract", "rapidocr", "onnxruntime", "paddleocr", "paddlepaddle"),
)
"""Packages whose versions are recorded, where they are installed."""


def provenance_of(settings: Mapping[str, Any], inputs: Mapping[str, Path | None] | None = None) -> dict[str, Any]:
    """Records how an output is made.

    Args:
        settings: of the stage.
        inputs: name -> file; None for one that is not used.

    Returns:
        The settings, versions of Python, this package and others, the git commit, and the SHA-256 of each input.
    """
    versions = {"python": platform.python_version(), "ita": ita.__version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    hashes = {name: sha256(path) for name, path in (inputs or {}).items() if path is not None}
    return {"settings": dict(settings), "versions": versions, "commit": git_commit(), "inputs": hashes}


def environment_of(**used: Any) -> dict[str, Any]:
    """The machine that makes a result; versions stand in its provenance.

    Shards of one table may be made on several machines, so the tables of the vision stages have none.

    Args:
        **used: what the work ran on, such as ``device``, ``threads`` and ``precision``.
    """
    machine = {"platform": platform.platform(), "cpu": processor_name(), "cores": os.cpu_count()}
    return {"python": platform.python_version(), **machine, **used}


def processor_name() -> str:
    """Name of the processor; its architecture where the system does not say."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = (line.partition(":")[2].strip() for line in file if line.startswith("model name"))
            return next(names, "") or platform.machine()
    except OSError:
        return platform.processor() or platform.machine()


def region_inputs(features: Sequence[Path], objects: Sequence[Path]) -> dict[str, Path]:
    """Shards of both tables, which have the same names, by the names that a record gives them."""
    return {file.name: file for file in features} | {f"objects/{file.name}": file for file in objects}


def git_commit() -> str | None:
    """Git commit of this package, with a ``+`` where its files have changes; None outside a checkout."""
    package = Path(ita.__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if not git("ls-files", str(package)):
            return None  # the package is installed inside another repository
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", str(package)) else "")
    except (OSError, subprocess.CalledProcessError):
        return None
