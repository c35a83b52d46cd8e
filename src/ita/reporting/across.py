"""Systems over several data sets: interquartile mean, gain, probability of improvement, performance profiles."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ita.data import VIEWS
from ita.errors import UserError
from ita.reporting.figures.style import ReportFigure, panels
from ita.reporting.report_table import ReportTable, format_column
from ita.reporting.runs import Run, Runs
from ita.significance.aggregates import (
    gains,
    interquartile_mean,
    interval,
    performance_profile,
    probability_of_improvement,
    resampled,
)

TITLE = "Systems over data sets and seeds"
PROFILE_TITLE = "Performance profiles"
POINTS = 101
"""Thresholds of a profile."""
NOTES = (
    "Over {runs} runs of each row on {datasets}: F1 in percent (seqeval, default mode, split {split}), views that a "
    "system is trained on. IQM: interquartile mean, of the middle half of the runs. gain: F1 minus the mean of "
    "{baseline} on text on the same data set, IQM over runs.",
    "P(better): probability that a run of the row has a higher F1 than one of {baseline} on text, mean over data sets, "
    "ties half. In brackets 95 % intervals by a stratified bootstrap over seeds within the data sets (Agarwal et al., "
    "2021): what other seeds would give, not other data sets or posts; of five seeds they are rather narrow.",
)
PROFILE_NOTE = (
    "Share of the runs, over seeds and data sets, whose F1 is more than so many points above the mean of {baseline} on "
    "text on the same data set; the bands are 95 % intervals by a stratified bootstrap over seeds."
)


class Row(NamedTuple):
    """A row: names in the configuration, and the view that is read."""

    encoder: str
    system: str
    view: str


@dataclass(frozen=True)
class Across:
    """What is compared."""

    runs: Mapping[str, Runs]
    """By data set."""
    encoders: Collection[str] | None
    """None: all that every data set has; so are ``systems``."""
    systems: Collection[str] | None
    baseline: str
    """System."""
    split: str
    samples: int
    seed: int

    def scores(self, row: Row) -> list[Any]:
        """F1 of the seeds (S,) of each data set."""
        return [
            np.array([run.scores(self.split, row.view)["f1"] for run in runs.of(row.encoder, row.system)])
            for runs in self.runs.values()
        ]

    def rows(self) -> tuple[list[Row], list[str]]:
        """Rows that all data sets have, and names of encoders and systems that some lack.

        Raises:
            UserError: without a row beside the baseline, or without the baseline.
        """
        views_by_row = [
            {(run.id.encoder, run.id.system): views_of(run) for run in runs.all if self.chosen(run)}
            for runs in self.runs.values()
        ]
        names = list(dict.fromkeys(name for of_set in views_by_row for name in of_set))
        common = [name for name in names if all(name in of_set for of_set in views_by_row)]
        encoders = {encoder for encoder, system in common if system == self.baseline}
        rows = [Row(*name, view) for name in common if name[0] in encoders for view in views_by_row[0][name]]
        left_out = ["/".join(name) for name in names if not any(row[:2] == name for row in rows)]
        if len(rows) < 2:
            raise UserError(
                f"nothing to compare on {', '.join(self.runs)}: expected the baseline {self.baseline!r} and another "
                f"system with the same encoder on each of them; not on all: {', '.join(left_out) or 'none'}"
            )
        return rows, left_out

    def chosen(self, run: Run) -> bool:
        """Whether a run is among those that are compared."""
        systems = None if self.systems is None else {*self.systems, self.baseline}
        return (self.encoders is None or run.id.encoder in self.encoders) and (
            systems is None or run.id.system in systems
        )

    @property
    def leaks(self) -> list[str]:
        """Runs whose encoder was trained on test posts, as sentences."""
        return [
            f"{encoder}/{system}: its encoder was trained on {posts:,} test posts of {dataset}."
            for dataset, runs in self.runs.items()
            for (encoder, system), posts in runs.leaks.items()
        ]


def views_of(run: Run) -> list[str]:
    """Views that a run was trained on, without an I+T view that equals T."""
    system = run.metrics["system"]
    reads_images = system.get("context", "none") != "none" or bool(system.get("regions"))
    return [view for view in VIEWS if view in system["views"] and (view == "t" or reads_images)]


def build(across: Across) -> ReportTable:
    """One row per encoder, system and view.

    Raises:
        UserError: when there is nothing to compare.
    """
    rows, left_out = across.rows()
    cells = [row_cells(across, row, number) for number, row in enumerate(rows)]
    names = {"baseline": across.baseline, "split": across.split, "datasets": ", ".join(across.runs)}
    counts = sorted({cell["runs"] for cell in cells})
    notes = [note.format(runs=" to ".join(map(str, counts)), **names) for note in NOTES]
    if left_out:
        notes.append(f"Left out, as not all data sets have them, or their baseline: {', '.join(left_out)}.")
    notes += across.leaks
    numbers = pd.DataFrame(cells)
    return ReportTable(TITLE, numbers, display_frame(numbers, list(across.runs)), notes, label_columns=3)


def row_cells(across: Across, row: Row, number: int) -> dict[str, Any]:
    """Aggregates of a row and their intervals."""
    scores = across.scores(row)
    baseline_row = Row(row.encoder, across.baseline, "t")
    baseline = across.scores(baseline_row)
    drawn = resampled(scores, across.samples, [across.seed, number + 1])
    drawn_baseline = resampled(baseline, across.samples, [across.seed, 0])
    cells: dict[str, Any] = {**row._asdict(), "view": VIEWS[row.view], "runs": sum(map(len, scores))}
    cells |= {f"{name}_mean": float(of_set.mean()) for name, of_set in zip(across.runs, scores, strict=True)}
    measures = {"iqm": (interquartile_mean(np.concatenate(scores)), interquartile_mean(np.concatenate(drawn, axis=1)))}
    if row != baseline_row:
        pairs = (baseline, scores), (drawn_baseline, drawn)
        measures["gain"] = tuple(interquartile_mean(gains(*pair)) for pair in pairs)
        measures["better"] = tuple(probability_of_improvement(*pair) for pair in pairs)
    for name, (value, samples) in measures.items():
        low, high = interval(samples)
        cells |= {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}
    return cells


def display_frame(numbers: pd.DataFrame, datasets: Sequence[str]) -> pd.DataFrame:
    """Means of the data sets, and the aggregates with their intervals."""
    columns = {"Encoder": [*numbers["encoder"]], "System": [*numbers["system"]], "View": [*numbers["view"]]}
    columns |= {name: format_column(numbers[f"{name}_mean"], ".2f") for name in datasets}
    for name, heading, spec in (("iqm", "IQM", ".2f"), ("gain", "gain", "+.2f"), ("better", "P(better)", ".2f")):
        triples = zip(numbers[name], numbers[f"{name}_low"], numbers[f"{name}_high"], strict=True)
        columns[heading] = [with_interval(value, low, high, spec) for value, low, high in triples]
    columns["runs"] = [str(runs) for runs in numbers["runs"]]
    return pd.DataFrame(columns)


def with_interval(value: float, low: float, high: float, spec: str) -> str:
    """``1.20 (0.80 to 1.60)``; empty without a value."""
    return "" if pd.isna(value) else f"{value:{spec}} ({low:{spec}} to {high:{spec}})"


def profiles(across: Across) -> ReportFigure:
    """A line for each row: the share of its runs above each gain, with its band."""
    rows, _ = across.rows()
    spread = [
        gain
        for row in rows
        for gain in gains(across.scores(Row(row.encoder, across.baseline, "t")), across.scores(row))
    ]
    thresholds = np.linspace(np.floor(min(spread)), np.ceil(max(spread)), POINTS)
    numbers = pd.DataFrame([point for points in profile_points(across, rows, thresholds) for point in points])
    canvas, axes = panels(1, 1, 7.0, 3.4)
    axis = axes[0, 0]
    for (encoder, system, view), line in numbers.groupby(["encoder", "system", "view"], sort=False):
        (curve,) = axis.plot(line["gain"], line["share"], linewidth=1.2, label=f"{encoder} {system} {view}")
        axis.fill_between(line["gain"], line["low"], line["high"], color=curve.get_color(), alpha=0.15, linewidth=0)
    axis.axvline(0, color="#888888", linewidth=0.6)
    axis.set_xlabel(f"points of F1 above the mean of {across.baseline}", fontsize=8)
    axis.set_ylabel("share of runs", fontsize=8)
    axis.legend(fontsize=7, frameon=False)
    return ReportFigure(PROFILE_TITLE, canvas, numbers, [PROFILE_NOTE.format(baseline=across.baseline)])


def profile_points(across: Across, rows: Sequence[Row], thresholds: Any) -> Iterator[list[dict[str, Any]]]:
    """Of each row the share of its runs above every threshold."""
    for number, row in enumerate(rows):
        baseline, scores = across.scores(Row(row.encoder, across.baseline, "t")), across.scores(row)
        drawn = resampled(scores, across.samples, [across.seed, number + 1])
        drawn_baseline = resampled(baseline, across.samples, [across.seed, 0])
        share = performance_profile(gains(baseline, scores), thresholds)
        low, high = interval(performance_profile(gains(drawn_baseline, drawn), thresholds))
        labels = {**row._asdict(), "view": VIEWS[row.view]}
        columns = zip(thresholds, share, low, high, strict=True)
        yield [{**labels, "gain": at, "share": part, "low": below, "high": above} for at, part, below, above in columns]
