"""Encoders from hub ids, folders or packages; run folders that training writes and everything else reads.

A run folder holds model.safetensors, config.json (of the encoder), tokenizer files and settings.json; of further
encoders it has config.json and tokenizer files in encoders/2 and so on. Only safetensors
are read, and no code that comes with a model is run.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ita.config import Encoder, System, load
from ita.data.label_schemes import LABEL
from ita.errors import UserError
from ita.io.files import added_files, atomic, read_json, sha256, write_json
from ita.model import hub
from ita.model.bert import Bert, EncoderConfig, packable
from ita.model.bundle import unpack
from ita.model.inputs import ViewEncoder, side_by_side
from ita.model.integrity import hash_files, verified
from ita.model.other_encoders import check_vectors, load_other_encoder, position_limit
from ita.model.region_weights import REGION_WIDTH, select_region_weights
from ita.model.tagger import Tagger
from ita.model.tokenizer import FILES, AutoTokenizer, JsonTokenizer, Tokenizer, is_bert_tokenizer
from ita.model.weights import read_checkpoint

PACKAGE = "package:"
SETTING = "encoders.*.model"
WEIGHTS = "model.safetensors"
PICKLED = "pytorch_model.bin"
"""Weights of encoders that read regions, which are published in no other form; it is read as tensors alone."""
CONFIG = "config.json"
SPECIAL_TOKENS = 2
"""Of every input: one at its start, one at its end."""
LONGEST_ROW = 1 << 24
"""Subwords, more than any encoder reads."""
OWN_PREFIX = "encoder."
"""Before the names of the first encoder's weights in the tagger."""


def resolve_model(model: str) -> str:
    """Folder or hub id of a model name; ``package:NAME/folder`` is a folder of an installed package.

    Raises:
        UserError: when the package is not installed.
    """
    if not model.startswith(PACKAGE):
        return model
    package, _, folder = model.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"encoder {model}: the Python package {package!r} is not installed (see the extras in README)")
    return str(Path(spec.submodule_search_locations[0]) / folder)


def load_encoder(encoder: Encoder, padded: bool = False, without_weights: bool = False) -> tuple[Any, Tokenizer]:
    """The transformer and its tokenizer.

    Args:
        encoder: which.
        padded: take the transformers model even where ours can run packed.
        without_weights: the weights of a packed model will be assigned later; no memory is allocated for them.

    Raises:
        UserError: when the model cannot be reached or is another one than expected; it says what to do.
    """
    name = resolve_model(encoder.model)
    if encoder.sha256:
        check_weights(Path(name), encoder.sha256)
    source = hub.find(name, encoder.revision, encoder.local_files_only, SETTING)
    folder = hub.folder(source, [CONFIG, *FILES, *([WEIGHTS] if encoder.pretrained else [])], SETTING)
    config = read_config(folder)
    if REGION_WIDTH in config and encoder.pretrained and not (folder / WEIGHTS).is_file():
        folder = hub.folder(source, [CONFIG, *FILES, PICKLED], SETTING)
    packed = packable(config) and not padded
    if packed and encoder.pretrained:
        model = load_bert(folder, config, source)
    elif packed:
        with torch.device("meta"):
            model = Bert(EncoderConfig.from_dict(config))
        if not without_weights:
            model.to_empty(device="cpu").init_weights()
    else:
        model = load_other_encoder(source, SETTING, encoder.pretrained)
        if not without_weights:
            check_vectors(model, f"setting {SETTING}: '{source['model']}' (type {config.get('model_type')})")
    if is_bert_tokenizer(folder, config.get("model_type", "")):
        return model, JsonTokenizer(folder)
    # The published ones have a vocab.txt alone.
    kind = "BertTokenizer" if REGION_WIDTH in config else "AutoTokenizer"
    return model, AutoTokenizer(hub.load(kind, source, SETTING, add_prefix_space=True))


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a folder.

    Raises:
        UserError: when it is not a JSON object.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"setting {SETTING}: {folder / CONFIG} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise UserError(f"setting {SETTING}: {folder / CONFIG} holds no JSON object")
    return {"model_type": "bert", **config} if REGION_WIDTH in config else config


def load_bert(folder: Path, config: dict[str, Any], source: dict[str, Any]) -> Bert:
    """A model of the BERT family with the weights of a folder.

    Args:
        folder: with the weights.
        config: its config.json.
        source: what ``hub.find`` returned, should transformers have to load the weights.
    """
    with torch.device("meta"):
        model = Bert(EncoderConfig.from_dict(config))
    expected = model.state_dict().keys()
    weights = read_weights(folder, config)
    if not expected <= weights.keys() and REGION_WIDTH not in config:
        # Several files, or other names: transformers knows them all, and says what is wrong with the rest.
        options = {"use_safetensors": True, "dtype": torch.float32, "output_loading_info": True}
        loaded, report = hub.load("AutoModel", source, SETTING, **options)
        # transformers would go on with random values in their place.
        weights = {name: weight for name, weight in loaded.state_dict().items() if name not in report["missing_keys"]}
    if missing := sorted(expected - weights.keys()):
        listed = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise UserError(f"setting {SETTING}: the weights of '{source['model']}' lack {listed}; use a whole checkpoint")
    try:
        model.load_state_dict({name: weights[name] for name in expected}, assign=True)
    except RuntimeError as error:
        raise UserError(
            f"setting {SETTING}: weights of '{source['model']}' do not fit its config.json: {error}"
        ) from None
    model.region_weights = select_region_weights(weights, config)
    return model


def read_weights(folder: Path, config: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The weights in a folder's only file by their names in ``Bert``; none where there is no such file."""
    file = folder / WEIGHTS
    try:
        if file.is_file():
            weights = load_file(file)
        elif REGION_WIDTH in config and (folder / PICKLED).is_file():
            weights = read_checkpoint(folder / PICKLED)
        else:
            return {}
    except SafetensorError as error:
        raise UserError(f"setting {SETTING}: {file} cannot be read: {error}") from None
    return {weight_name(name): weight.float() for name, weight in weights.items()}


def weight_name(name: str) -> str:
    """Name of a weight in ``Bert``: without the prefix of models with a head, and with today's names of LayerNorm."""
    name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
    return name.removeprefix("bert.").removeprefix("roberta.")


def check_weights(folder: Path, expected: str) -> None:
    """Raises UserError when a local folder's weights are not the expected ones."""
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise UserError(f"encoder {folder}: encoders.*.sha256 is set, but there is no {WEIGHTS} to check")
    actual = sha256(weights)
    if actual != expected:
        raise UserError(f"{weights}: SHA-256 is {actual}, expected {expected} (setting encoders.*.sha256)")


def encoder_identity(encoder: Encoder) -> dict[str, Any]:
    """Name of a pretrained encoder that was loaded, its commit on the hub, and the SHA-256 of its weights by file.

    Weights are none where only the configuration was read.
    """
    from huggingface_hub import try_to_load_from_cache

    identity: dict[str, Any] = {"model": encoder.model}
    folder = Path(resolve_model(encoder.model)).expanduser()
    if not folder.is_dir():
        # The cache files each version of a model under its commit.
        config = try_to_load_from_cache(encoder.model, CONFIG, revision=encoder.revision)
        if not isinstance(config, str):
            return identity
        folder = Path(config).parent
        identity["commit"] = folder.name
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob(PICKLED))
    return {**identity, "weights": hash_files(folder, files) if encoder.pretrained else {}}


def max_input_length(model: Any, tokenizer: Tokenizer, limit: int) -> int:
    """Longest input in subwords: the setting, bounded by what tokenizer and position embeddings allow."""
    return min(limit, tokenizer.max_length, position_limit(model) or limit)


def encoder_folders(folder: Path, count: int) -> list[Path]:
    """Where a run folder has configuration and tokenizer of its encoders: of the first one in itself."""
    return [folder, *(folder / "encoders" / str(number) for number in range(2, count + 1))]


def save_model(
    folder: Path,
    weights: dict[str, torch.Tensor],
    encoders: Sequence[Any],
    tokenizers: Sequence[Tokenizer],
    record_hashes: Callable[[dict[str, str]], None] = lambda hashes: None,
) -> None:
    """Writes weights, and configuration and tokenizer of each encoder.

    The weights, which are those of the whole tagger, come last, under their final name. Those of the first encoder are
    named as in a model of transformers with a head, whose AutoModel finds them and leaves the others.

    Args:
        folder: run folder.
        weights: by their names in the tagger.
        encoders: of the tagger.
        tokenizers: of the encoders.
        record_hashes: takes the SHA-256 of each file before the weights have their name.
    """
    for path, encoder, tokenizer in zip(encoder_folders(folder, len(encoders)), encoders, tokenizers, strict=True):
        with added_files(path) as part:
            if isinstance(encoder.config, EncoderConfig):
                write_json(part / CONFIG, dict(encoder.config.raw))
            else:
                encoder.config.save_pretrained(part)
            tokenizer.save(part)
    prefix = published_prefix(encoders[0])
    named = {renamed(name, OWN_PREFIX, prefix): weight.contiguous() for name, weight in weights.items()}
    folders = encoder_folders(folder, len(encoders))
    with atomic(folder / WEIGHTS) as part:
        save_file(named, part, metadata={"format": "pt"})
        other_hashes = hash_files(folder, [part / name for part in folders for name in (CONFIG, *FILES)])
        record_hashes({WEIGHTS: sha256(part), **other_hashes})


def published_prefix(encoder: Any) -> str:
    """What transformers has before the names of an encoder's weights in models with a head."""
    if isinstance(encoder.config, EncoderConfig):
        return "bert." if encoder.config.model_type == "bert" else "roberta."
    return f"{encoder.base_model_prefix}."


def renamed(name: str, prefix: str, new_prefix: str) -> str:
    """A name with another prefix, where it has this one."""
    return new_prefix + name.removeprefix(prefix) if name.startswith(prefix) else name


def read_tagger_weights(folder: Path, encoder: Any) -> dict[str, torch.Tensor]:
    """The weights of a run folder by their names in the tagger; earlier versions wrote them under these."""
    weights = load_file(folder / WEIGHTS)
    if any(name.startswith(OWN_PREFIX) for name in weights):
        return weights
    prefix = published_prefix(encoder)
    return {renamed(name, prefix, OWN_PREFIX): weight for name, weight in weights.items()}


def load_model(folder: Path) -> tuple[Tagger, ViewEncoder, dict[str, Any]]:
    """A trained tagger, its view encoder and its settings.json.

    Raises:
        UserError: when the folder is not a run folder.
    """
    try:
        unpack(folder)
        settings = read_record(folder)
    except Exception as error:
        raise no_model(folder, error) from error
    with verified(folder, settings):
        try:
            tagger, tokenizers, max_lengths = build_trained(folder, settings)
            views = side_by_side(tokenizers, max_lengths, tagger.layout)
        except Exception as error:
            raise no_model(folder, error) from error
    return tagger.eval(), views, settings


def encoder_record(encoders: Sequence[Encoder]) -> dict[str, Any]:
    """Hashes of encoders; test posts of public data sets that those of them that are run folders were trained on."""
    overlap: dict[str, dict[str, int]] = {}
    for encoder in encoders:
        record = Path(resolve_model(encoder.model)).expanduser() / "settings.json"
        trained = read_json(record, "the settings of a run") if record.is_file() else {}
        for version, count in {**trained.get("encoder_overlap", {}), **trained.get("test_overlap", {})}.items():
            overlap[version] = max(count, overlap.get(version, count), key=lambda count: count["posts"])
    models = {"encoder_models": [encoder_identity(encoder) for encoder in encoders]}
    return {**models, **({"encoder_overlap": overlap} if overlap else {})}


def no_model(folder: Path, error: Exception) -> UserError:
    """What is said of a folder that cannot be loaded: files from strangers are broken in many ways."""
    reason = f"{error}" if isinstance(error, UserError | OSError) else f"{type(error).__name__}: {error}"
    return UserError(f"{folder}: not a model folder written by 'ita train' ({reason[:400]})")


def read_record(folder: Path) -> dict[str, Any]:
    """settings.json of a run folder, as far as a tagger is made of it.

    Raises:
        UserError: naming what in it is wrong.
    """
    file = folder / "settings.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    tags = record["tags"]
    if not isinstance(tags, list) or not tags or not all(isinstance(tag, str) and LABEL.fullmatch(tag) for tag in tags):
        raise UserError(f"{file}: expected 'tags' to be labels such as O and B-PER, found {tags!r:.80}")
    lengths = [record["max_length"], *record.get("further_max_lengths", [])]
    if not all(type(length) is int and SPECIAL_TOKENS < length < LONGEST_ROW for length in lengths):
        raise UserError(f"{file}: expected 'max_length' to be a whole number of subwords, found {lengths!r:.80}")
    images = record.get("images") or {}
    for name, values in {"images": images, "regions": record.get("regions"), **dict(images)}.items():
        if not isinstance(values, Mapping | None):
            raise UserError(f"{file}: expected {name!r} to be an object, found {values!r:.80}")
    return dict(record)


def build_trained(folder: Path, settings: Mapping[str, Any]) -> tuple[Tagger, Sequence[Tokenizer], list[int]]:
    """The tagger of a run folder with its weights, its tokenizers and the longest input of each."""
    train = settings["settings"]["train"]
    max_lengths = [settings["max_length"], *settings.get("further_max_lengths", [])]
    encoders = [
        # The folder's weights are the whole tagger's, so the encoders are made without any.
        load_encoder(Encoder(model=str(part), pretrained=False), train.get("padding") == "all", True)
        for part in encoder_folders(folder.resolve(), len(max_lengths))
    ]
    (model, *further), tokenizers = zip(*encoders, strict=True)
    region_dim = (settings.get("regions") or {}).get("width", 0)
    system = load(System, settings["settings"].get("system", {}))
    constrained = train.get("constrained", False)
    options = {"region_dim": region_dim, "system": system, "further_encoders": further}
    tagger = Tagger(model, settings["tags"], 0.0, constrained, **options)
    tagger.load_state_dict(read_tagger_weights(folder, model), assign=True)
    return tagger, tokenizers, max_lengths
