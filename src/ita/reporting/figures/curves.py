"""Learning curves: dev F1 after each epoch, one panel per encoder and system, one thin line per seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ita.config import Figure
from ita.data import VIEWS
from ita.errors import UserError
from ita.io.files import read_json
from ita.reporting.figures.style import COLOURS, ReportFigure, panels
from ita.reporting.report_rows import ReportSettings, report_rows
from ita.reporting.runs import single_label_version

TITLE = "Learning curves"
NOTE = "Thin lines are seeds, the thick one is their mean."
PANELS = 4
"""Most panels side by side."""
RUN = ["encoder", "system", "seed"]
"""Columns of a history that say which run it is of."""


class Histories:
    """Histories of all runs of a figure.

    Attributes:
        epochs: one row per run and epoch, with columns that say which run it is of.
        files: the files by readable names.
        label_version: of the runs; None where it is not known.
    """

    def __init__(self, histories: Sequence[Path], run_settings: Sequence[Path] = ()) -> None:
        """Reads history.csv and settings.json of every run.

        Raises:
            UserError: without histories, for a file that is none, or for runs on different labels.
        """
        if not histories:
            raise UserError("no histories: expected --histories FILE...")
        frames = {path: read_history(path) for path in histories}
        self.epochs = pd.concat(frames.values(), ignore_index=True)
        self.files = {f"{_run_name(frame)}/history.csv": path for path, frame in frames.items()}
        expected = "the settings of a run (ita train writes them)"
        self.label_version = single_label_version(
            read_json(path, expected).get("label_version") for path in run_settings
        )

    def of(self, encoder: str, system: str) -> pd.DataFrame:
        """Epochs of the runs of one system with one encoder."""
        return self.epochs[(self.epochs["encoder"] == encoder) & (self.epochs["system"] == system)]


def read_history(path: Path) -> pd.DataFrame:
    """The history of a run.

    Raises:
        UserError: for a file that is none or does not say which run it is of.
    """
    try:
        history = pd.read_csv(path, dtype={"encoder": str, "system": str})
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a history.csv ({error})") from None
    if missing := [column for column in [*RUN, "epoch"] if column not in history]:
        raise UserError(f"{path}: no columns {', '.join(missing)}; train the run again with this version")
    if history.empty:
        raise UserError(f"{path}: no epochs; train the run again")
    return history


def draw(histories: Histories, settings: ReportSettings, figure: Figure) -> ReportFigure:
    """Draws the curves of every view trained on."""
    rows = list(report_rows(settings, figure.encoders, figure.systems))
    columns = min(PANELS, len(rows))
    lines = math.ceil(len(rows) / columns)
    canvas, axes = panels(lines, columns, figure.width, figure.height, sharex=True, sharey=True)
    for axis, row in zip(axes.flat, rows, strict=False):
        axis.set_title(row.approach, fontsize=8)
        draw_panel(axis, histories.of(row.encoder, row.system))
    label_axes(axes, len(rows), columns)
    epochs = histories.epochs
    curves = [f"dev_f1_{view}" for view in VIEWS if f"dev_f1_{view}" in epochs]
    metadata = {
        "seeds": sorted({int(seed) for seed in epochs["seed"]}),
        "label_version": histories.label_version,
        "split": "dev",
    }
    return ReportFigure(TITLE, canvas, epochs[[*RUN, "epoch", *curves]], [NOTE], metadata)


def draw_panel(axis: Any, runs: pd.DataFrame) -> None:
    """Curves of one system: seeds and their mean, in each view that it has."""
    for view, label in VIEWS.items():
        column = f"dev_f1_{view}"
        if column not in runs or runs[column].isna().all():
            continue
        for _, run in runs.groupby("seed"):
            axis.plot(run["epoch"], run[column], color=COLOURS[view], alpha=0.35, linewidth=0.7)
        mean = runs.groupby("epoch")[column].mean()
        axis.plot(mean.index, mean, color=COLOURS[view], linewidth=1.6, label=label)
        axis.legend(fontsize=7, loc="lower right", frameon=False)


def label_axes(axes: Any, count: int, columns: int) -> None:
    """Labels below the lowest panel of each column and left of the first one of each line; hides empty panels."""
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    for position, axis in enumerate(axes.flat[:count]):
        if position + columns >= count:
            axis.set_xlabel("epoch", fontsize=8)
            axis.tick_params(labelbottom=True)
        if position % columns == 0:
            axis.set_ylabel("dev F1 (%)", fontsize=8)


def _run_name(history: pd.DataFrame) -> str:
    """``bert/crf/seed1``."""
    encoder, system, seed = history.loc[0, RUN]
    return f"{encoder}/{system}/seed{seed}"
