"""Files of a pretrained detector: where its weights are, its configuration, and what identifies it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ita.config import Detect
from ita.errors import UserError
from ita.io.files import sha256
from ita.model import hub

SETTING = "detect.model"
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".bin", ".pt")


def locate_weights(detect: Detect, filename: str, extra_files: Sequence[str]) -> Path:
    """The file with a model's weights.

    Args:
        detect: ``model`` is a hub id, a local folder, or a file in one.
        filename: name of the published file; a local folder may hold another, alone of its kind.
        extra_files: further files of the model that are fetched with it if there are any.

    Raises:
        UserError: when there are no weights, or it is not clear which to take.
    """
    path = Path(detect.model or "").expanduser()
    if detect.model and path.is_file():
        return path
    if detect.model and path.is_dir() and not (path / filename).is_file():
        for suffix in WEIGHT_SUFFIXES:
            files = sorted(path.glob(f"*{suffix}"))
            if len(files) == 1:
                return files[0]
            if files:
                names = ", ".join(file.name for file in files)
                raise UserError(f"setting {SETTING}: {path} holds several weights ({names}); name one file")
        suffixes = " or ".join(WEIGHT_SUFFIXES)
        raise UserError(f"setting {SETTING}: {path} holds no weights; expected {filename} or one {suffixes}")
    source = hub.find(detect.model, detect.revision, detect.local_files_only, SETTING, mark=filename)
    return hub.folder(source, [filename, *extra_files], SETTING) / filename


def read_config(file: Path) -> dict[str, Any]:
    """A JSON or YAML file that holds an object.

    Raises:
        UserError: for anything else.
    """
    try:
        text = file.read_text(encoding="utf-8")
        content = yaml.safe_load(text) if file.suffix in (".yaml", ".yml") else json.loads(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file}: cannot be read: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(content, dict):
        kind = "YAML map" if file.suffix in (".yaml", ".yml") else "JSON object"
        raise UserError(f"{file}: expected a {kind}, found a {type(content).__name__}")
    return content


def model_metadata(detect: Detect, model: object, files: Sequence[Path]) -> dict[str, Any]:
    """What identifies a loaded model: its name, class, and the SHA-256 of each of its files."""
    hashes = {file.name: sha256(file) for file in files}
    return {"model": detect.model, "class": type(model).__name__, "weights": hashes}
