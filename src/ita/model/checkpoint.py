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

from ita.config import Encoder
from ita.errors import UserError
from ita.io.files import atomic, sha256, write_json
from ita.model import hub
from ita.model.bert import Bert, EncoderConfig, packable, position_offset
from ita.model.inputs import ViewEncoder
from ita.model.tagger import Tagger
from ita.model.tokenizer import FILES, AutoTokenizer, JsonTokenizer, Tokenizer, plain

PACKAGE = "package:"
SETTING = "encoders.*.model"
WEIGHTS = "model.safetensors"
CONFIG = "config.json"


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


def load_encoder(encoder: Encoder, padded: bool = False, hollow: bool = False) -> tuple[Any, Tokenizer]:
    """The transformer and its tokenizer.

    Args:
        encoder: which.
        padded: take the transformers model even where ours can run packed.
        hollow: the weights of a packed model will be assigned later; it gets no memory for them.

    Raises:
        UserError: when the model cannot be reached or is another one than expected; it says what to do.
    """
    where = located(encoder.model)
    if encoder.sha256:
        check_weights(Path(where), encoder.sha256)
    found = hub.find(where, encoder.revision, encoder.local_files_only, SETTING)
    folder = hub.folder(found, [CONFIG, *FILES, *([WEIGHTS] if encoder.pretrained else [])], SETTING)
    about = read_config(folder)
    packed = packable(about) and not padded
    if packed and encoder.pretrained:
        model = pretrained(folder, about, found)
    elif packed:
        with torch.device("meta"):
            model = Bert(EncoderConfig.of(about))
        if not hollow:
            model.to_empty(device="cpu").draw()
    elif encoder.pretrained:
        model = hub.load("AutoModel", found, SETTING, use_safetensors=True, dtype=torch.float32)
    else:
        from transformers import AutoModel

        model = AutoModel.from_config(hub.load("AutoConfig", found, SETTING), dtype=torch.float32)
    if plain(folder, about.get("model_type", "")):
        return model, JsonTokenizer(folder)
    return model, AutoTokenizer(hub.load("AutoTokenizer", found, SETTING, add_prefix_space=True))


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a folder.

    Raises:
        UserError: when it is not a JSON object.
    """
    try:
        about = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"setting {SETTING}: {folder / CONFIG} can not be read: {error}") from None
    if not isinstance(about, dict):
        raise UserError(f"setting {SETTING}: {folder / CONFIG} holds no JSON object")
    return about


def pretrained(folder: Path, about: dict[str, Any], found: dict[str, Any]) -> Bert:
    """A model of the BERT family with the weights of a folder."""
    with torch.device("meta"):
        model = Bert(EncoderConfig.of(about))
    wanted = model.state_dict().keys()
    weights = {}
    if (folder / WEIGHTS).is_file():
        try:
            weights = {renamed(name): value.float() for name, value in load_file(folder / WEIGHTS).items()}
        except SafetensorError as error:
            raise UserError(f"setting {SETTING}: {folder / WEIGHTS} can not be read: {error}") from None
    if not wanted <= weights.keys():
        # Several files, or other names: transformers knows them all, and says what is wrong with the rest.
        weights = hub.load("AutoModel", found, SETTING, use_safetensors=True, dtype=torch.float32).state_dict()
    try:
        model.load_state_dict({name: weights[name] for name in wanted}, assign=True)
    except (KeyError, RuntimeError) as error:
        raise UserError(
            f"setting {SETTING}: weights of '{found['model']}' do not fit its config.json: {error}"
        ) from None
    return model


def renamed(name: str) -> str:
    """Name of a weight in ``Bert``: without the head's prefix, and with today's names of normalisation."""
    name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
    return name.removeprefix("bert.").removeprefix("roberta.")


def check_weights(folder: Path, expected: str) -> None:
    """Raises UserError when a local folder's weights are not the expected ones."""
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise UserError(f"encoder {folder}: encoders.*.sha256 is set, but there is no {WEIGHTS} to check")
    if (found := sha256(weights)) != expected:
        raise UserError(f"{weights}: SHA-256 is {found}, expected {expected} (setting encoders.*.sha256)")


def longest_input(config: Any, tokenizer: Tokenizer, wanted: int) -> int:
    """Longest input in pieces: the setting, bounded by what tokenizer and position embeddings allow."""
    positions = getattr(config, "max_position_embeddings", None) or wanted
    return min(wanted, tokenizer.longest, positions - position_offset(config))


def save_model(folder: Path, state: dict[str, torch.Tensor], config: Any, tokenizer: Tokenizer) -> None:
    """Writes weights, encoder configuration and tokenizer; the weights come last, under their final name."""
    if isinstance(config, EncoderConfig):
        write_json(folder / CONFIG, dict(config.file))
    else:
        config.save_pretrained(folder)
    tokenizer.save(folder)
    with atomic(folder / WEIGHTS) as part:
        save_file({name: value.contiguous() for name, value in state.items()}, part, metadata={"format": "pt"})


def load_model(folder: Path) -> tuple[Tagger, ViewEncoder, dict[str, Any]]:
    """A trained tagger, its view encoder and its settings.json.

    Raises:
        UserError: when the folder is not a model folder.
    """
    try:
        about = json.loads((folder / "settings.json").read_text())
        trained = about["settings"]["train"]
        chosen = Encoder(model=str(folder.resolve()), pretrained=False)
        # The folder's weights are the whole tagger's, so they are not loaded here.
        model, tokenizer = load_encoder(chosen, padded=trained.get("padding") == "all", hollow=True)
        width = (about.get("regions") or {}).get("width", 0)
        tagger = Tagger(model, about["tags"], 0.0, trained.get("constrained", False), regions=width)
        tagger.load_state_dict(load_file(folder / WEIGHTS), assign=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder}: not a model folder written by 'ita train' ({error})") from None
    return tagger.eval(), ViewEncoder(tokenizer, about["max_length"]), about
