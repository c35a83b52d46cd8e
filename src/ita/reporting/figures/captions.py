"""Figure 2: F1 over the number of captions."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ita.config import Figure
from ita.data import VIEWS
from ita.reporting import reported
from ita.reporting.figures.style import COLOURS, ReportFigure, panels, plot_seeds
from ita.reporting.report_rows import ReportSettings, report_rows
from ita.reporting.report_table import summarise
from ita.reporting.runs import Runs

TITLE = "F1 over the number of captions"
NOTE = "Mean over seeds, the band is ± one standard deviation; dots are seeds. No captions: the text alone."


def draw(runs: Runs, settings: ReportSettings, figure: Figure) -> ReportFigure:
    """One panel per encoder, one line per view that the systems are trained on.

    A system without image text is the start of every line.

    Raises:
        UserError: when a run is missing.
    """
    numbers = pd.DataFrame(points(runs, settings, figure))
    canvas, axes = panels(1, len(figure.encoders), figure.width, figure.height, sharey=True)
    for axis, encoder in zip(axes.flat, figure.encoders, strict=True):
        axis.set_title(settings.encoders[encoder], fontsize=8)
        for view in VIEWS:
            rows = numbers[(numbers["encoder"] == encoder) & (numbers["view"] == view)].sort_values("captions")
            if rows["captions"].max() != 0:
                draw_line(axis, rows, view)
        axis.set_xticks(sorted(set(numbers["captions"])))
        axis.set_xlabel("captions", fontsize=8)
    axes[0, 0].set_ylabel(f"{figure.split} F1 (%)", fontsize=8)
    notes = [NOTE, *reported.findings("figure2", settings.dataset)]
    return ReportFigure(TITLE, canvas, numbers, notes, runs.metadata)


def draw_line(axis: Any, rows: pd.DataFrame, view: str) -> None:
    """Mean, band and seeds of one view."""
    std = rows["std"].fillna(0.0).astype(float)
    low, high = rows["mean"] - std, rows["mean"] + std
    axis.plot(rows["captions"], rows["mean"], color=COLOURS[view], marker="o", markersize=3, label=VIEWS[view])
    axis.fill_between(rows["captions"], low, high, color=COLOURS[view], alpha=0.2, linewidth=0)
    for captions, seeds in zip(rows["captions"], rows["seeds"], strict=True):
        plot_seeds(axis, captions, seeds, color=COLOURS[view], alpha=0.5, markersize=2)
    axis.legend(fontsize=7, frameon=False)


def points(runs: Runs, settings: ReportSettings, figure: Figure) -> list[dict[str, Any]]:
    """One row per encoder, system and view."""
    rows = []
    for row in report_rows(settings, figure.encoders, figure.systems):
        # Both views of a tagger without image text are the same.
        for view in row.views if row.reads_images else VIEWS:
            scores = [run.scores(figure.split, view)["f1"] for run in runs.of(row.encoder, row.system)]
            labels = {**row.labels, "encoder": row.encoder}
            captions = settings.captions[row.system]
            rows.append({**labels, "captions": captions, "view": view, **summarise(scores)})
    return rows
