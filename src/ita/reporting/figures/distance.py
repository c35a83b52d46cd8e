"""Figure 3: how far the image moves what represents a word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ita.config import Figure
from ita.errors import UserError
from ita.reporting import reported
from ita.reporting.figures.style import ReportFigure, panels
from ita.reporting.report_table import name_of, summary
from ita.reporting.runs import Runs

NOTES = [
    "Mean L2 distance between the representations of the posts' words in the two views; bars are means over seeds, "
    "error bars ± one standard deviation, dots are seeds."
]
PAPER = "The paper's values are not printed; it finds: {finding}."


def draw(runs: Runs, settings: Mapping[str, Any], chosen: Figure) -> ReportFigure:
    """One panel per encoder, one bar per system.

    Raises:
        UserError: when a run is missing or was not measured.
    """
    rows = []
    for encoder in chosen.encoders:
        for key in chosen.systems:
            values = []
            for run in runs.of(encoder, key):
                found = run.facts.get("representation_distance", {}).get(chosen.split)
                if found is None:
                    raise UserError(
                        f"{run.metrics}: no representation_distance on the split {chosen.split!r}; the figure needs "
                        "systems that read images, evaluated by this version: leave the others out of its systems"
                    )
                values.append(found)
            name = name_of(settings["systems"][key], key, settings["encoders"][encoder])
            row = {"dataset": settings["dataset"], "encoder": encoder, "system": key, "approach": name}
            rows.append(row | summary(values))
    numbers = pd.DataFrame(rows)
    figure, axes = panels(1, len(chosen.encoders), chosen.width, chosen.height, sharey=True)
    for axis, encoder in zip(axes.flat, chosen.encoders, strict=True):
        axis.set_title(settings["encoders"][encoder], fontsize=8)
        mine = numbers[numbers["encoder"] == encoder]
        axis.bar(list(mine["approach"]), list(mine["mean"]), width=0.6, color="#9ecae1")
        bars = mine["std"].fillna(0.0).astype(float)
        axis.errorbar(
            range(len(mine)), list(mine["mean"]), yerr=list(bars), fmt="none", ecolor="black", capsize=3, linewidth=1
        )
        for place, text in enumerate(mine["seeds"]):
            seeds = [float(value) for value in text.split()]
            axis.plot([place] * len(seeds), seeds, ".", color="#d95f02", markersize=3)
    axes[0, 0].set_ylabel("L2 distance", fontsize=8)
    finding = [
        PAPER.format(finding=row["finding"])
        for row in reported.rows("figures", str(settings["dataset"]))
        if row["figure"] == "figure3"
    ]
    return ReportFigure("Distance between the two views", figure, numbers, runs.about(), NOTES + finding)
