"""What every table and figure says about itself: data set, labels, systems, encoders, seeds, commit of the code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ita.io.provenance import git_commit
from ita.reporting.evaluations import unchecked_sentence
from ita.reporting.report_rows import ReportSettings


def heading(name: str) -> str:
    """``table1`` -> ``Table 1``."""
    return re.sub(r"(?<=[a-z])(?=\d)", " ", name).replace("_", " ").capitalize()


def footer_metadata(
    settings: ReportSettings,
    metadata: Mapping[str, Any],
    encoders: Sequence[str] = (),
    systems: Sequence[str] = (),
    split: str | None = None,
) -> dict[str, Any]:
    """What a table or figure shows, as data.

    Args:
        settings: of the table or figure.
        metadata: seeds, label version and more, from the files that were read.
        encoders: keys of its encoders.
        systems: keys of its systems.
        split: whose scores it shows.
    """
    return {
        "name": settings.name,
        "dataset": settings.dataset,
        "note": settings.note,
        "split": split,
        "systems": {key: sorted(settings.system_names(key, encoders)) for key in systems},
        "encoders": {key: settings.encoders[key] for key in encoders},
        **metadata,
        "commit": git_commit(),
    }


def footer_sentences(metadata: Mapping[str, Any]) -> list[str]:
    """The same for reading; what is unknown is left out."""
    models = metadata.get("models") or {}
    encoders = [f"{name} ({models[key]})" if models.get(key) else name for key, name in metadata["encoders"].items()]
    systems = [" / ".join(names) for names in metadata["systems"].values()]
    phrases = {
        "Dataset": [metadata["dataset"]],
        "labels": [metadata.get("label_version")],
        "split": [metadata.get("split") if encoders else None],
        "systems": systems,
        "encoders" if len(encoders) > 1 else "encoder": encoders,
        "seeds": metadata.get("seeds") or [],
        "OCR engines": list((metadata.get("ocr_engines") or {}).values()),
        "code": [short_commit(metadata["commit"])] if metadata.get("commit") else [],
    }
    parts = {name: ", ".join(str(value) for value in values if value) for name, values in phrases.items()}
    lines = ["; ".join(f"{name} {text}" for name, text in parts.items() if text) + "."]
    commits = [short_commit(commit) for commit in metadata.get("run_commits") or [] if commit != metadata["commit"]]
    if commits:
        lines.append(f"Runs were made by code {', '.join(commits)}.")
    for system, models_read in (metadata.get("system_models") or {}).items():
        if names := metadata["systems"].get(system):
            lines.append(f"{' / '.join(names)} reads {' and '.join(models_read)}.")
    lines += unchecked_sentence(metadata)
    if metadata.get("note"):
        lines.append(str(metadata["note"]))
    return lines


def short_commit(commit: str) -> str:
    """The first ten digits of a commit, with the + of a changed tree."""
    return commit[:10] + ("+" if commit.endswith("+") else "")
