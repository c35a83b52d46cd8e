"""What every table and figure says about itself: dataset, labels, systems, encoders, seeds, commit of the code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ita.io.provenance import git_commit
from ita.reporting.report_table import name_of

DEMO = "The demo is made by the project: its numbers say that the chain works, nothing about tweets."


def heading(name: str) -> str:
    """``table1`` -> ``Table 1``."""
    return re.sub(r"(?<=[a-z])(?=\d)", " ", name).capitalize()


def facts(settings: Mapping[str, Any], kind: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """The same as data, for the provenance file.

    Args:
        settings: of the stage.
        kind: the section that holds its rows: table or figure.
        about: seeds, label version and more, from what was read.
    """
    chosen = settings[kind]
    encoders = {key: settings["encoders"][key] for key in chosen.get("encoders", [])}
    return {
        "name": settings.get("name", kind),
        "dataset": settings["dataset"],
        "split": chosen.get("split"),
        "systems": {
            key: sorted({name_of(settings["systems"][key], key, name) for name in encoders.values()})
            for key in chosen.get("systems", [])
        },
        "encoders": encoders,
        **about,
        "commit": git_commit(),
    }


def sentences(stated: Mapping[str, Any]) -> list[str]:
    """The same for reading; what is unknown is left out."""
    models = stated.get("models") or {}
    encoders = [f"{name} ({models[key]})" if models.get(key) else name for key, name in stated["encoders"].items()]
    parts = [
        f"Dataset {stated['dataset']}",
        f"labels {stated['label_version']}" if stated.get("label_version") else "",
        f"{stated['split']} split" if stated.get("split") and stated["encoders"] else "",
        "systems " + ", ".join(" / ".join(names) for names in stated["systems"].values()) if stated["systems"] else "",
        f"{'encoders' if len(encoders) > 1 else 'encoder'} {', '.join(encoders)}" if encoders else "",
        "seeds " + ", ".join(map(str, stated["seeds"])) if stated.get("seeds") else "",
        "OCR engines " + ", ".join(stated["ocr_engines"].values()) if stated.get("ocr_engines") else "",
        f"code {short(stated['commit'])}" if stated.get("commit") else "",
    ]
    others = [short(commit) for commit in stated.get("run_commits") or [] if commit != stated.get("commit")]
    lines = ["; ".join(part for part in parts if part) + "."]
    if others:
        lines.append(f"Runs were made by code {', '.join(others)}.")
    return lines + ([DEMO] if stated["dataset"] == "demo" else [])


def short(commit: str) -> str:
    """The first ten digits of a commit, with the + of a changed tree."""
    return commit[:10] + ("+" if commit.endswith("+") else "")
