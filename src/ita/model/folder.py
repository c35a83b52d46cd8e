"""Encoders from hub ids, folders or packages; model folders that are written by training and read by everything else.

A model folder holds model.safetensors, config.json (encoder), tokenizer files and settings.json. Only safetensors are
read, and no code that comes with a model is run.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from ita import hub
from ita.corpus.views import ViewEncoder
from ita.model.encoder import position_offset
from ita.model.tagger import Tagger
from ita.settings import Encoder
from ita.stage import UserError, atomic, sha256

PACKAGE = "package:"
WEIGHTS = "model.safetensors"


def located(model: str) -> str:
    """Folder or hub id of a model name; ``package:NAME/folder`` is a folder of an installed package.

    Raises:
        UserError: when the package is not installed.
    """
    if model.startswith(PACKAGE):
        package, _, folder = model.removeprefix(PACKAGE).partition("/")
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise UserError(
                f"encoder {model}: the Python package {package!r} is not installed (see the extras in README)"
            )
        model = str(Path(found.submodule_search_locations[0]) / folder)
    return model


def load_encoder(encoder: Encoder) -> tuple[nn.Module, Any, Any]:
    """The transformer, its configuration and its tokenizer.

    Raises:
        UserError: when the model cannot be reached or is another one than expected; it says what to do.
    """
    where = located(encoder.model)
    if encoder.sha256:
        check_weights(Path(where), encoder.sha256)
    setting = "encoders.*.model"
    found = hub.find(where, encoder.revision, encoder.local_files_only, setting)
    config = hub.load("AutoConfig", found, setting)
    tokenizer = hub.load("AutoTokenizer", found, setting, add_prefix_space=True)
    if encoder.pretrained:
        model = hub.load("AutoModel", found, setting, use_safetensors=True, dtype=torch.float32)
    else:
        model = AutoModel.from_config(config, dtype=torch.float32)
    return model, config, tokenizer


def check_weights(folder: Path, expected: str) -> None:
    """Raises UserError when a local folder's weights are not the expected ones."""
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise UserError(f"encoder {folder}: encoders.*.sha256 is set, but there is no {WEIGHTS} to check")
    if (found := sha256(weights)) != expected:
        raise UserError(f"{weights}: SHA-256 is {found}, expected {expected} (setting encoders.*.sha256)")


def longest_input(config: Any, tokenizer: Any, wanted: int) -> int:
    """Longest input in pieces: the setting, bounded by what tokenizer and position embeddings allow."""
    positions = getattr(config, "max_position_embeddings", None) or wanted
    return min(wanted, tokenizer.model_max_length, positions - position_offset(config))


def save_model(folder: Path, state: dict[str, torch.Tensor], config: Any, tokenizer: Any) -> None:
    """Writes weights, encoder configuration and tokenizer; the weights come last, under their final name."""
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with atomic(folder / WEIGHTS) as part:
        save_file({name: value.contiguous() for name, value in state.items()}, part, metadata={"format": "pt"})


def load_model(folder: Path) -> tuple[Tagger, ViewEncoder, dict[str, Any]]:
    """A trained tagger, its view encoder and its settings.json.

    Raises:
        UserError: when the folder is not a model folder.
    """
    try:
        about = json.loads((folder / "settings.json").read_text())
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, add_prefix_space=True)
        model = AutoModel.from_config(config, dtype=torch.float32)
        tagger = Tagger(model, about["tags"], 0.0, about["settings"]["train"].get("constrained", False))
        tagger.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder}: not a model folder written by 'ita train' ({error})") from None
    return tagger.eval(), ViewEncoder(tokenizer, about["max_length"]), about
