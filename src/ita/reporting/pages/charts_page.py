"""The page of charts of a data set: learning curves, calibration, types, length of contexts, cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ita.config import System
from ita.log import progress
from ita.reporting.figures.curves import Histories
from ita.reporting.pages import charts
from ita.reporting.pages.chart_data import FEWEST, LengthBin, ViewPredictions, context_lengths, first_split
from ita.reporting.pages.charts import Chart, TypeTable
from ita.reporting.pages.frame import CHARTS, copy_static, write_page
from ita.reporting.pages.run_data import SystemRuns
from ita.reporting.report_rows import ReportSettings
from ita.reporting.tables import cost

STATIC = ("charts.css", "charts.js")
"""Files of the page."""


@dataclass(frozen=True)
class ChartFiles:
    """What the page is made of."""

    groups: Sequence[SystemRuns]
    """Runs of each system, in the order of the page."""
    histories: Sequence[Path]
    contexts: Mapping[str, Path]
    """Name -> table of contexts."""
    benchmarks: Path | None = None
    knowledge: Path | None = None
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class Shown(NamedTuple):
    """Runs of a system, how it is called, and the view that it is read in."""

    runs: SystemRuns
    system: System
    name: str
    encoder: str
    view: str
    predictions: ViewPredictions


class LengthBins(NamedTuple):
    """F1 of a system over the length of contexts, and a system on text alone with its own on the same posts."""

    shown: Shown
    bins: Sequence[LengthBin]
    baseline: tuple[str, Sequence[LengthBin]] | None


@dataclass
class Sections:
    """Charts of all systems by kind."""

    curves: list[Chart] = field(default_factory=list)
    calibration: list[Chart] = field(default_factory=list)
    types: list[TypeTable] = field(default_factory=list)
    lengths: list[Chart] = field(default_factory=list)


def write_charts_page(folder: Path, report: ReportSettings, files: ChartFiles) -> None:
    """Writes the page.

    Args:
        folder: of the report.
        report: names of systems and encoders.
        files: what the page is made of.

    Raises:
        UserError: when a file is none of its kind, or seeds were evaluated on different posts.
    """
    sections = Sections()
    split = first_split(next(iter(files.groups[0].files.values()))) if files.groups else "test"
    histories = Histories(files.histories) if files.histories else None
    limits = f1_limits(histories) if histories else (0.0, 100.0)
    lengths = {name: context_lengths(path) for name, path in files.contexts.items()}
    baselines: dict[str, Shown] = {}
    over_lengths: list[LengthBins] = []
    for number, shown in enumerate(shown_systems(report, files.groups, split)):
        if histories is not None:
            epochs = histories.of(shown.runs.encoder, shown.runs.system)
            if len(epochs):
                sections.curves.append(charts.curve(shown.name, shown.encoder, number, epochs, limits))
        bins, error = shown.predictions.calibration()
        sections.calibration.append(charts.calibration(shown.name, shown.encoder, number, bins, error, shown.view))
        sections.types.append(charts.confusion(shown.name, shown.encoder, shown.predictions.confusion()))
        if shown.view == "t":
            baselines.setdefault(shown.encoder, shown)
        elif any(lengths.get(shown.system.context, {}).values()):
            over_lengths.append(length_bins(shown, lengths[shown.system.context], baselines.get(shown.encoder)))
    sections.lengths = length_charts(over_lengths)
    copy_static(folder, STATIC)
    values = {
        "sections": sections,
        "split": split,
        "fewest": FEWEST,
        "cost": cost_table(files, report.dataset),
        "names": list(dict.fromkeys(chart.name for chart in sections.types)),
        "encoders": list(dict.fromkeys(chart.encoder for chart in sections.types)),
    }
    write_page(folder, CHARTS, "report_charts.html.j2", report.dataset, values)


def f1_limits(histories: Histories) -> tuple[float, float]:
    """Lowest and highest F1 of all runs, with some room."""
    values = histories.epochs[[name for name in histories.epochs if str(name).startswith("dev_f1_")]]
    low, high = float(values.min().min()), float(values.max().max())
    room = 0.05 * max(high - low, 1.0)
    return low - room, high + room


def shown_systems(report: ReportSettings, groups: Sequence[SystemRuns], split: str) -> Iterator[Shown]:
    """Systems with their predictions, in the view that they were made for."""
    for runs in progress(groups, len(groups), "charts", "systems"):
        system = report.systems[runs.system]
        reads_images = "it" in system.views and (system.context != "none" or bool(system.regions))
        view = "it" if reads_images else "t"
        predictions = ViewPredictions.read([runs.files[seed] for seed in runs.seeds], split, view)
        name = report.system_name(runs.system, runs.encoder)
        yield Shown(runs, system, name, report.encoders[runs.encoder], view, predictions)


def length_bins(shown: Shown, words: Mapping[str, int], baseline: Shown | None) -> LengthBins:
    """F1 over the length of contexts, beside the first system that reads text alone on the same posts."""
    beside = None
    if baseline is not None and baseline.predictions.posts == shown.predictions.posts:
        beside = baseline.name, baseline.predictions.over_lengths(words)
    return LengthBins(shown, shown.predictions.over_lengths(words), beside)


def length_charts(systems: Sequence[LengthBins]) -> list[Chart]:
    """Charts of one scale of all systems that have bins."""
    drawn = [row for row in systems if row.bins]
    bins = [part for row in drawn for part in (*row.bins, *(row.baseline[1] if row.baseline else ()))]
    ends = [end for part in bins for end in (part.low, part.high)]
    limits = max(min(ends, default=0.0) - 3, 0.0), min(max(ends, default=100.0) + 3, 100.0)
    return [
        charts.lengths(row.shown.name, row.shown.encoder, number, row.bins, row.baseline, limits)
        for number, row in enumerate(drawn)
    ]


def cost_table(files: ChartFiles, dataset: str) -> dict[str, Any]:
    """Cost of each stage as the paper's table has it, and the share of all seconds that each row took."""
    table = cost.build(files.benchmarks, dataset, files.knowledge, files.prices)
    seconds = [float(value) if value == value else 0.0 for value in table.numbers["seconds"].astype(float)]
    longest = max(seconds, default=0.0) or 1.0
    rows = [
        {"labels": list(cells[:2]), "cells": list(cells[2:]), "share": round(100 * value / longest, 1)}
        for cells, value in zip(table.display.itertuples(index=False, name=None), seconds, strict=True)
    ]
    return {"title": table.title, "columns": list(table.display.columns), "rows": rows, "notes": table.notes}
