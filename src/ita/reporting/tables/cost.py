"""Cost of each stage: seconds and memory, from the benchmark files that Snakemake writes."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ita.config import STAGES
from ita.io import parquet
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
OF_LANGUAGE_MODELS = {
    "prompt_tokens": ("prompt tokens", ",.0f"),
    "completion_tokens": ("answer tokens", ",.0f"),
    "posts_per_second": ("posts/s", ".2f"),
    "price": ("price", ".2f"),
}
"""The same of the stage knowledge, where a language model was asked."""
NOTE_OF_TOKENS = (
    "Tokens are those that the server or model counted, of all answers, those of earlier runs too; posts/s is of the "
    "posts asked in the last run; prices are those of the configuration, without free or cached tokens."
)


def build(
    folder: Path | None,
    dataset: str,
    knowledge: Path | None = None,
    prices: Mapping[str, Mapping[str, float]] | None = None,
) -> ReportTable:
    """One row per stage and, where its jobs have several, encoder, detector, captioner, OCR engine or language model.

    Args:
        folder: benchmarks of the dataset; where there is none the table is empty.
        dataset: its name.
        knowledge: folder of the tables that language models wrote, whose tokens stand in further columns.
        prices: source of knowledge -> prompt_price and completion_price of a million tokens.
    """
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for path in sorted(folder.rglob("*.tsv") if folder else []):
        stage, *wildcards = path.relative_to(str(folder)).with_suffix("").parts
        if stage in STAGES:
            with open(path, newline="", encoding="utf-8") as file:
                last_run = list(csv.DictReader(file, delimiter="\t"))[-1:]
            groups[stage, wildcards[0] if len(wildcards) > 1 else ""] += last_run
    order = list(STAGES)
    tokens = {("knowledge", name): usage(path, (prices or {}).get(name, {})) for name, path in tables_in(knowledge)}
    has_tokens = any(values["prompt_tokens"] for values in tokens.values())
    rows = [
        {"dataset": dataset, "stage": stage, "of": of, **summarise_jobs(jobs), **tokens.get((stage, of), {})}
        for (stage, of), jobs in sorted(groups.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
    ]
    displayed = DISPLAYED | (OF_LANGUAGE_MODELS if has_tokens else {})
    numbers = pd.DataFrame(rows, columns=["dataset", "stage", "of", "jobs", *displayed])
    notes = [*NOTES, *((NOTE_OF_TOKENS,) if has_tokens else ())]
    return ReportTable(TITLE, numbers, display_frame(numbers, displayed), notes, label_columns=2)


def tables_in(folder: Path | None) -> list[tuple[str, Path]]:
    """Name and file of the gathered tables of knowledge."""
    return [(path.stem, path) for path in sorted(folder.glob("*.parquet") if folder else [])]


def usage(path: Path, prices: Mapping[str, float]) -> dict[str, Any]:
    """Tokens, speed and price of what a language model wrote; answers that were kept cost as they did once."""
    counts = parquet.metadata(path).get("counts", {})
    prompt, completion = (int(counts.get(name, 0)) for name in ("prompt_tokens", "completion_tokens"))
    asked, seconds = counts.get("asked", 0), counts.get("asking_seconds", 0.0)
    price = prompt * prices.get("prompt_price", 0.0) + completion * prices.get("completion_price", 0.0)
    return {
        "prompt_tokens": prompt or None,
        "completion_tokens": completion or None,
        "posts_per_second": asked / seconds if asked and seconds else None,
        "price": price / 1e6 if prices else None,
    }


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


def display_frame(numbers: pd.DataFrame, displayed: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """The columns that are shown, with few digits."""
    columns = {"Stage": list(numbers["stage"]), "of": list(numbers["of"]), "jobs": [str(n) for n in numbers["jobs"]]}
    columns |= {heading: format_column(numbers[name], spec) for name, (heading, spec) in displayed.items()}
    return pd.DataFrame(columns)
