"""Pretrained models from the Hugging Face hub or a folder, with errors that say what to do.

Left alone, transformers retries each file for half a minute when there is no network, and then again for the next one.
One short question to the hub beforehand settles whether the model can be had.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ita.errors import UserError
from ita.io.files import sha256

log = logging.getLogger("ita")

PROBE_SECONDS = 5.0


def find(
    model: str | None, revision: str | None, local_files_only: bool, setting: str, mark: str = "config.json"
) -> dict[str, Any]:
    """Finds out where a model comes from.

    Args:
        model: hub id or local folder.
        revision: commit, tag or branch on the hub.
        local_files_only: never ask the hub.
        setting: the setting that names the model, for messages: ``detect.model``.
        mark: a file that every model of the kind has.

    Returns:
        Keywords for ``load``.

    Raises:
        UserError: within seconds, when the model can not be had.
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
    found = {"model": model, "revision": revision, "local_files_only": local_files_only}
    problem, kept = ask(model, revision, local_files_only, mark)
    if not problem:
        return found
    if kept:
        if not local_files_only:
            log.info("%s: %s; the copy in the cache is used", model, problem)
        return {**found, "local_files_only": True}
    pinned = f" --revision {revision}" if revision else ""
    instead = "" if setting.startswith("encoders") else "; or use files made elsewhere (backend: precomputed)"
    raise UserError(
        f"setting {setting}: the model '{model}' can not be had: {problem}, and it is not in the cache. "
        f"On a machine with network run 'hf download {model}{pinned}' and set HF_HOME to that cache, or add "
        f"'--local-dir FOLDER' and set {setting} to that folder{instead}"
    )


def ask(model: str, revision: str | None, local_files_only: bool, mark: str) -> tuple[str | None, bool]:
    """Asks the hub for a file of the model: what stands in the way (None: nothing), and whether it is cached."""
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    try:
        kept = isinstance(try_to_load_from_cache(model, mark, revision=revision), str)
        if local_files_only:
            return "local_files_only is set", kept
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
            return "HF_HUB_OFFLINE is set", kept
        get_hf_file_metadata(hf_hub_url(model, mark, revision=revision), timeout=PROBE_SECONDS)
    except errors.HFValidationError as error:
        return f"not a hub id ({error})", False
    except errors.GatedRepoError:
        return "it is gated: accept its terms on the hub and run 'hf auth login'", kept
    except errors.RepositoryNotFoundError:
        return "the hub has no model of that name (or it is private and needs 'hf auth login')", kept
    except errors.RevisionNotFoundError:
        return f"it has no revision '{revision}'", kept
    except errors.EntryNotFoundError:
        return f"it has no {mark}, so it is no model of the kind this stage needs", kept
    except Exception as error:  # the HTTP client behind the hub changes; whatever it raises, the hub did not answer
        return f"the hub does not answer ({error})", kept
    return None, kept


def load(auto: str, found: Mapping[str, Any], setting: str, **options: Any) -> Any:
    """Loads one part of a model through an Auto class. Code that comes with a model is never run.

    Args:
        auto: name of the class in transformers, for example ``AutoProcessor``.
        found: what ``find`` returned.
        setting: the setting that names the model, for messages.
        **options: more keywords for ``from_pretrained``.

    Raises:
        UserError: when the files are missing or broken, the model is of another kind, or a package is missing.
    """
    where = dict(found)
    model = where.pop("model")
    try:
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        # Resolving the class imports it; that is where a torchvision made for another torch shows.
        return getattr(transformers, auto).from_pretrained(model, trust_remote_code=False, **where, **options)
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


def folder(found: Mapping[str, Any], files: Sequence[str], setting: str) -> Path:
    """A local folder with those of a model's files that there are, fetched from the hub if need be.

    Args:
        found: what ``find`` returned.
        files: names of the files.
        setting: the setting that names the model, for messages.

    Raises:
        UserError: when the hub stops answering.
    """
    if Path(found["model"]).is_dir():
        return Path(found["model"])
    from huggingface_hub import snapshot_download

    try:
        where = {"revision": found["revision"], "local_files_only": found["local_files_only"]}
        return Path(snapshot_download(found["model"], allow_patterns=list(files), **where))
    except Exception as error:  # the HTTP client behind the hub changes
        raise UserError(f"setting {setting}: '{found['model']}' can not be fetched: {error}") from error


def facts(found: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """What identifies a loaded model: its name, class, commit on the hub, hashes of the weights in a folder."""
    from huggingface_hub import try_to_load_from_cache

    about = {"model": found["model"], "class": type(model).__name__}
    folder = Path(found["model"])
    if folder.is_dir():
        return {**about, "weights": {file.name: sha256(file) for file in sorted(folder.glob("*.safetensors"))}}
    # The cache files each version of a model under its commit.
    kept = try_to_load_from_cache(found["model"], "config.json", revision=found["revision"])
    return {**about, "commit": Path(kept).parent.name if isinstance(kept, str) else None}
