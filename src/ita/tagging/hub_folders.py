"""Run folders from and to the Hugging Face Hub, and copies of them."""

from __future__ import annotations

import shutil
from pathlib import Path

from ita.errors import UserError
from ita.io.files import atomic_folder
from ita.tagging.risk import write_calibration

MARK = "settings.json"
"""A file that every run folder has."""
LEFT_OUT = ("checkpoint", "predictions.parquet", ".*")
"""What of a run folder is no part of the model: predictions hold texts of the data."""


def fetch_folder(model: str, revision: str | None = None) -> Path:
    """The run folder of a name: a local one, or a copy of a repository of the hub.

    Raises:
        UserError: when it cannot be reached, within seconds.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    from ita.model import hub

    source = hub.find(model, revision, False, "MODEL", mark=MARK)
    return hub.folder(source, ["*"], "MODEL")


def copy_folder(source: Path, target: Path) -> Path:
    """Copies a run folder; the copy appears when it is complete, in place of what was there."""
    if target.exists() and (not target.is_dir() or any(target.iterdir()) and not (target / MARK).is_file()):
        raise UserError(f"{target}: is there already and holds something else than a model; name another folder")
    if target.resolve() == source.resolve():
        return target
    with atomic_folder(target) as part:
        shutil.copytree(source, part, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
        write_calibration(source, part)
    return target


def push_folder(
    folder: Path,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    revision: str | None = None,
    commit_message: str = "Upload a tagger of ita",
) -> str:
    """Uploads a run folder.

    Raises:
        UserError: with what the hub answered.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    write_calibration(folder, folder)
    try:
        repository = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            revision=revision,
            commit_message=commit_message,
            ignore_patterns=[*LEFT_OUT, "checkpoint/*"],
        )
    except Exception as error:  # the HTTP client behind the hub changes
        raise UserError(f"'{repo_id}' cannot be uploaded: {' '.join(str(error).split())[:400]}") from error
    return str(commit.commit_url)
