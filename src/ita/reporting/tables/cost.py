"""Cost of each stage: seconds and memory, from the benchmark files that Snakemake writes."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from ita.config import STAGES
from ita.reporting.report_table import ReportTable, format_column

TITLE = "Cost of each stage"
NOTES = (
    "Measured by Snakemake on the machine that ran the jobs: wall-clock seconds of all jobs of a stage, of their mean "
    "and of the longest, CPU seconds, and the largest memory of a job (maximum resident set). A job that ran before "
    "benchmark files were kept is missing.",
)
DISPLAYED = {
    "seconds": ("seconds", ".1f"),
    "mean_seconds": ("mean", ".1f"),
    "most_seconds": ("longest", ".1f"),
    "cpu_seconds": ("CPU seconds", ".1f"),
    "max_rss_mb": ("memory (MB)", ".0f"),
}
"""Column -> its heading and format for reading."""


def build(folder: Path | None, dataset: str) -> ReportTable:
    """One row per stage and, where its jobs have several, encoder, detector, captioner or OCR engine.

    Args:
        folder: benchmarks of the dataset; where there is none the table is empty.
        dataset: its name.
    """
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for path in sorted(folder.rglob("*.tsv") if folder else []):
        stage, *wildcards = path.relative_to(str(folder)).with_suffix("").parts
        if stage in STAGES:
            with open(path, newline="", encoding="utf-8") as file:
                last_run = list(csv.DictReader(file, delimiter="\t"))[-1:]
            groups[stage, wildcards[0] if len(wildcards) > 1 else ""] += last_run
    order = list(STAGES)
    rows = [
        {"dataset": dataset, "stage": stage, "of": of, **summarise_jobs(jobs)}
        for (stage, of), jobs in sorted(groups.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
    ]
    numbers = pd.DataFrame(rows, columns=["dataset", "stage", "of", "jobs", *DISPLAYED])
    return ReportTable(TITLE, numbers, display_frame(numbers), list(NOTES), label_columns=2)


def summarise_jobs(jobs: list[dict[str, str]]) -> dict[str, Any]:
    """Sums, means and maxima over jobs; None for what was not measured ('-' or 'NA', in very short jobs)."""
    seconds, cpu, memory = (measurements(jobs, key) for key in ("s", "cpu_time", "max_rss"))
    return {
        "jobs": len(jobs),
        "seconds": sum(seconds) if seconds else None,
        "mean_seconds": sum(seconds) / len(seconds) if seconds else None,
        "most_seconds": max(seconds, default=None),
        "cpu_seconds": sum(cpu) if cpu else None,
        "max_rss_mb": max(memory, default=None),
    }


def measurements(jobs: list[dict[str, str]], key: str) -> list[float]:
    """The values of a column that are finite numbers."""
    values = []
    for job in jobs:
        try:
            value = float(job.get(key) or "")
        except ValueError:
            continue
        if math.isfinite(value):
            values.append(value)
    return values


def display_frame(numbers: pd.DataFrame) -> pd.DataFrame:
    """The same with few digits."""
    columns = {"Stage": list(numbers["stage"]), "of": list(numbers["of"]), "jobs": [str(n) for n in numbers["jobs"]]}
    columns |= {heading: format_column(numbers[name], spec) for name, (heading, spec) in DISPLAYED.items()}
    return pd.DataFrame(columns)
