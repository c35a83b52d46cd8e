"""Values that papers report, as data: one CSV per table, its source in the first line."""

from __future__ import annotations

import csv
from importlib import resources


def rows(name: str, dataset: str | None = None) -> list[dict[str, str]]:
    """Rows of ``{name}.csv`` as text, of one dataset only where one is named."""
    text = resources.files("ita.reporting.reported").joinpath(f"{name}.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [row for row in csv.DictReader(lines) if dataset is None or row["dataset"] == dataset]


def number(text: str | None) -> float | None:
    """A value of a row; None where nothing is reported."""
    return float(text) if text else None


def findings(display: str, dataset: str) -> list[str]:
    """Notes on a table or figure whose values are not at hand: what the paper finds."""
    return [
        f"The paper's values are not at hand as text; it finds: {row['finding']}."
        for row in rows("findings", dataset)
        if row["display"] == display
    ]
