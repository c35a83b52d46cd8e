"""Runs as the page of tables shows them: resolved settings, and links to the files and logs of each seed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ita.errors import UserError
from ita.io.files import read_json
from ita.reporting.runs import RunId

FILES = {
    "metrics": "metrics.json",
    "predictions": "predictions.parquet",
    "history": "history.csv",
    "settings": "settings.json",
}
"""What files of a run folder are called."""
LOGS = {"train log": "train", "evaluate log": "evaluate"}
"""What a log is called -> stage that writes it."""
OF_THE_RUN = ("run", "seed", "version")
"""Settings that say which run it is."""


def run_facts(run_settings: Sequence[Path], report: Path) -> dict[str, dict[str, Any]]:
    """Encoder and system -> ``settings`` of their runs and, of each seed, its number, facts and links.

    Args:
        run_settings: settings.json of every run.
        report: folder of the report, which links are relative to.

    Raises:
        UserError: for a file that does not say which run it is of.
    """
    groups: dict[str, dict[str, Any]] = {}
    for path in run_settings:
        stated = read_json(path, "the settings of a run (ita train writes them)")
        try:
            run = RunId(**stated["run"])
        except (KeyError, TypeError):
            raise UserError(f"{path}: does not say which run it is of; train it again with this version") from None
        settings = {key: value for key, value in stated.get("settings", {}).items() if key not in OF_THE_RUN}
        group = groups.setdefault(f"{run.encoder}/{run.system}", {"settings": [*flat(settings)], "seeds": []})
        facts = {name: stated[name] for name in ("best_epoch", "device", "precision") if name in stated}
        group["seeds"].append({"seed": run.seed, "facts": facts, "links": links(run, path.parent, report)})
    for group in groups.values():
        group["seeds"].sort(key=lambda seed: seed["seed"])
    return groups


def links(run: RunId, folder: Path, report: Path) -> list[list[str]]:
    """Name and relative address of the files of a run and of its logs, where the workflow puts them."""
    base = Path(os.path.relpath(folder, report)).as_posix()
    logs = f"../../logs/{run.dataset}"
    named = [[name, f"{base}/{file}"] for name, file in FILES.items()]
    named += [[name, f"{logs}/{stage}/{run.encoder}/{run.system}/seed{run.seed}.log"] for name, stage in LOGS.items()]
    return [[name, quote(address)] for name, address in named]


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[list[str]]:
    """Names with dots and values of nested settings."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            texts = map(yaml_text, value) if isinstance(value, list) else [yaml_text(value)]
            yield [f"{prefix}{key}", ", ".join(texts)]


def yaml_text(value: Any) -> str:
    """A value as YAML would have it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
