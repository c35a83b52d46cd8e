"""Pretrained models from the Hugging Face hub or a folder, with errors that say what to do.

Left alone, transformers retries each file for half a minute when there is no network, and then again for the next one.
One short question to the hub beforehand settles whether the model can be loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ita.errors import UserError
from ita.io.files import sha256
from ita.log import log

PROBE_SECONDS = 5.0


def find(
    model: str | None, revision: str | None, local_files_only: bool, setting: str, mark: str = "config.json"
) -> dict[str, Any]:
    """Where a model can be loaded from.

    Args:
        model: hub id or local folder.
        revision: commit, tag or branch on the hub.
        local_files_only: never ask the hub.
        setting: the setting that names the model, for messages: ``detect.model``.
        mark: a file that every model of the kind has.

    Returns:
        Keywords for ``load``.

    Raises:
        UserError: within seconds, when the model cannot be loaded.
    """
    if not model:
        raise UserError(f"setting {setting}: no model is named; give a hub id or a local folder")
    folder = Path(model).expanduser()
    if (folder / mark).is_file():
        return {"model": str(folder), "revision": None, "local_files_only": True}
    if folder.exists():
        raise UserError(f"setting {setting}: the folder '{model}' holds no {mark}; expected a saved model")
    if model.startswith((".", "/", "~", "results/")) or model.count("/") > 1:
        raise UserError(f"setting {setting}: no such folder: '{model}'")
    source = {"model": model, "revision": revision, "local_files_only": local_files_only}
    problem, cached = ask(model, revision, local_files_only, mark)
    if not problem:
        return source
    if cached:
        if not local_files_only:
            log.info("%s: %s; the copy in the cache is used", model, problem)
        return {**source, "local_files_only": True}
    revision_option = f" --revision {revision}" if revision else ""
    alternative = "" if setting.startswith("encoders") else "; or use files made elsewhere (backend: precomputed)"
    raise UserError(
        f"setting {setting}: the model '{model}' cannot be loaded: {problem}, and it is not in the cache. "
        f"On a machine with network run 'hf download {model}{revision_option}' and set HF_HOME to that cache, or add "
        f"'--local-dir FOLDER' and set {setting} to that folder{alternative}"
    )


def ask(model: str, revision: str | None, local_files_only: bool, mark: str) -> tuple[str | None, bool]:
    """Asks the hub for a file of the model: the problem (None: none), and whether it is cached."""
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    try:
        cached = isinstance(try_to_load_from_cache(model, mark, revision=revision), str)
        if local_files_only:
            return "local_files_only is set", cached
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
            return "HF_HUB_OFFLINE is set", cached
        get_hf_file_metadata(hf_hub_url(model, mark, revision=revision), timeout=PROBE_SECONDS)
    except errors.HFValidationError as error:
        return f"not a hub id ({error})", False
    except errors.GatedRepoError:
        return "it is gated: accept its terms on the hub and run 'hf auth login'", cached
    except errors.RepositoryNotFoundError:
        return "the hub has no model of that name (or it is private and needs 'hf auth login')", cached
    except errors.RevisionNotFoundError:
        return f"it has no revision '{revision}'", cached
    except errors.EntryNotFoundError:
        return f"it has no {mark}, so it is no model of the kind this stage needs", cached
    except Exception as error:  # the HTTP client behind the hub changes; whatever it raises, the hub did not answer
        return f"the hub does not answer ({error})", cached
    return None, cached


def load(auto: str, source: Mapping[str, Any], setting: str, **options: Any) -> Any:
    """Loads one part of a model through an Auto class. Code that comes with a model is never run.

    Args:
        auto: name of the class in transformers, for example ``AutoProcessor``.
        source: what ``find`` returned.
        setting: the setting that names the model, for messages.
        **options: more keywords for ``from_pretrained``.

    Raises:
        UserError: when the files are missing or broken, the model is of another kind, or a package is missing.
    """
    options = {**source, **options}
    model = options.pop("model")
    try:
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        # Resolving the class imports it; that is where a torchvision made for another torch shows.
        return getattr(transformers, auto).from_pretrained(model, trust_remote_code=False, **options)
    except (ImportError, OSError, ValueError, RuntimeError, KeyError, AttributeError) as error:
        text = " ".join(str(error).split())
        hint = ""
        if "torchvision" in text or "Could not import module" in text:
            hint = (
                "; this is about torchvision: a build for another torch has to be removed (pip uninstall torchvision), "
                "and a model that needs it needs the build that fits torch"
            )
        elif "Unrecognized" in text:
            hint = f"; it is not a model of the kind this stage needs ({auto})"
        elif "safetensors" in text:
            hint = "; weights are only read from safetensors files, because pickled ones can run code"
        raise UserError(f"setting {setting}: '{model}' does not load: {text[:600]}{hint}") from error


def load_processor(source: Mapping[str, Any], setting: str) -> Any:
    """The processor of a model for images and text, its resizing Pillow's wherever the model has that.

    torchvision's resizing differs a little and is not on every machine. Models that read videos too (Qwen-VL, SmolVLM)
    have no video processor but torchvision's: they need it, and get Pillow's for images all the same.

    Args:
        source: what ``find`` returned.
        setting: the setting that names the model, for messages.

    Raises:
        UserError: as ``load``.
    """
    try:
        return load("AutoProcessor", source, setting, backend="pil")
    except UserError as error:
        if "Video processor" not in str(error):
            raise
    processor = load("AutoProcessor", source, setting)
    processor.image_processor = load("AutoImageProcessor", source, setting, backend="pil")
    return processor


def folder(source: Mapping[str, Any], files: Sequence[str], setting: str) -> Path:
    """A local folder with a model's files, as far as they exist; downloaded from the hub if necessary.

    Args:
        source: what ``find`` returned.
        files: names of the files.
        setting: the setting that names the model, for messages.

    Raises:
        UserError: when the hub stops answering.
    """
    if Path(source["model"]).is_dir():
        return Path(source["model"])
    from huggingface_hub import snapshot_download

    try:
        options = {"revision": source["revision"], "local_files_only": source["local_files_only"]}
        return Path(snapshot_download(source["model"], allow_patterns=list(files), **options))
    except Exception as error:  # the HTTP client behind the hub changes
        raise UserError(f"setting {setting}: '{source['model']}' cannot be fetched: {error}") from error


def identity(source: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """Identity of a loaded model: name, class, commit on the hub, hashes of the weights in a folder."""
    from huggingface_hub import try_to_load_from_cache

    result = {"model": source["model"], "class": type(model).__name__}
    folder = Path(source["model"])
    if folder.is_dir():
        return {**result, "weights": {file.name: sha256(file) for file in sorted(folder.glob("*.safetensors"))}}
    # The cache files each version of a model under its commit.
    config = try_to_load_from_cache(source["model"], "config.json", revision=source["revision"])
    return {**result, "commit": Path(config).parent.name if isinstance(config, str) else None}
