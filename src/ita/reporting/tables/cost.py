"""What each stage cost: seconds and memory, from the benchmark files that Snakemake leaves."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from ita.config import STAGES
from ita.reporting.report_table import ReportTable, plain

TITLE = "Cost of each stage"
NOTES = (
    "Measured by Snakemake on the machine that ran the jobs: wall-clock seconds of all jobs of a stage, of their mean "
    "and of the longest, CPU seconds, and the largest memory of a job (maximum resident set). A job that ran before "
    "benchmark files were kept is missing.",
)


def build(folder: Path | None, dataset: str) -> ReportTable:
    """One row per stage and, where its jobs have several, encoder, detector, captioner or reader.

    Args:
        folder: benchmarks of the dataset; where there is none the table is empty.
        dataset: its name.
    """
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    folder = folder or Path("nowhere")
    for path in sorted(folder.rglob("*.tsv")):
        stage, *parts = path.relative_to(folder).with_suffix("").parts
        if stage in STAGES:
            with open(path, newline="", encoding="utf-8") as file:
                groups[stage, parts[0] if len(parts) > 1 else ""] += list(csv.DictReader(file, delimiter="\t"))[-1:]
    order = list(STAGES)
    rows = [
        {"dataset": dataset, "stage": stage, "of": of, **measured(jobs)}
        for (stage, of), jobs in sorted(groups.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
    ]
    names = ["dataset", "stage", "of", "jobs", "seconds", "mean_seconds", "most_seconds", "cpu_seconds", "max_rss_mb"]
    numbers = pd.DataFrame(rows, columns=names)
    return ReportTable(TITLE, numbers, readable(numbers), list(NOTES), {}, names=2)


def measured(jobs: list[dict[str, str]]) -> dict[str, Any]:
    """Sums, means and maxima over jobs; None for what was not measured ('-' or 'NA', in jobs of a moment)."""
    seconds, cpu, memory = ([number(job.get(key)) for job in jobs] for key in ("s", "cpu_time", "max_rss"))
    known = [[value for value in column if value is not None] for column in (seconds, cpu, memory)]
    return {
        "jobs": len(jobs),
        "seconds": sum(known[0]) if known[0] else None,
        "mean_seconds": sum(known[0]) / len(known[0]) if known[0] else None,
        "most_seconds": max(known[0], default=None),
        "cpu_seconds": sum(known[1]) if known[1] else None,
        "max_rss_mb": max(known[2], default=None),
    }


def number(text: str | None) -> float | None:
    """A value of a benchmark file."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value == value else None


def readable(numbers: pd.DataFrame) -> pd.DataFrame:
    """The same with few digits."""
    forms = {
        "seconds": ("seconds", ".1f"),
        "mean_seconds": ("mean", ".1f"),
        "most_seconds": ("longest", ".1f"),
        "cpu_seconds": ("CPU seconds", ".1f"),
        "max_rss_mb": ("memory (MB)", ".0f"),
    }
    columns = {"Stage": list(numbers["stage"]), "of": list(numbers["of"]), "jobs": [str(n) for n in numbers["jobs"]]}
    columns |= {name: [plain(value, form) for value in numbers[key]] for key, (name, form) in forms.items()}
    return pd.DataFrame(columns)
