"""Figure 3: distance between the representations of a word in the two views."""

from __future__ import annotations

import pandas as pd

from ita.config import Figure
from ita.errors import UserError
from ita.reporting import reported
from ita.reporting.figures.style import ReportFigure, panels, plot_seeds
from ita.reporting.report_rows import ReportSettings, report_rows
from ita.reporting.report_table import summarise
from ita.reporting.runs import Run, Runs

TITLE = "Distance between the two views"
NOTE = (
    "Mean L2 distance between the representations of the posts' words in the two views; bars are means over seeds, "
    "error bars ± one standard deviation, dots are seeds."
)


def draw(runs: Runs, settings: ReportSettings, figure: Figure) -> ReportFigure:
    """One panel per encoder, one bar per system.

    Raises:
        UserError: when a run is missing or was not measured.
    """
    rows = []
    for row in report_rows(settings, figure.encoders, figure.systems):
        distances = [distance_of(run, figure.split) for run in runs.of(row.encoder, row.system)]
        rows.append({**row.labels, "encoder": row.encoder, **summarise(distances)})
    numbers = pd.DataFrame(rows)
    canvas, axes = panels(1, len(figure.encoders), figure.width, figure.height, sharey=True)
    for axis, encoder in zip(axes.flat, figure.encoders, strict=True):
        axis.set_title(settings.encoders[encoder], fontsize=8)
        bars = numbers[numbers["encoder"] == encoder]
        means, stds = list(bars["mean"]), list(bars["std"].fillna(0.0).astype(float))
        axis.bar(list(bars["approach"]), means, width=0.6, color="#9ecae1")
        axis.errorbar(range(len(bars)), means, yerr=stds, fmt="none", ecolor="black", capsize=3, linewidth=1)
        for position, seeds in enumerate(bars["seeds"]):
            plot_seeds(axis, position, seeds, color="#d95f02", markersize=3)
    axes[0, 0].set_ylabel("L2 distance", fontsize=8)
    notes = [NOTE, *reported.findings("figure3", settings.dataset)]
    return ReportFigure(TITLE, canvas, numbers, notes, runs.metadata)


def distance_of(run: Run, split: str) -> float:
    """Mean distance that evaluate measured.

    Raises:
        UserError: when it did not.
    """
    distance = run.metrics.get("representation_distance", {}).get(split)
    if distance is None:
        raise UserError(
            f"{run.metrics_file}: no representation_distance on the split {split!r}; the figure needs systems that "
            "read images, evaluated on that split: remove all that do not from figure.systems"
        )
    return float(distance)
