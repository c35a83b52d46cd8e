"""Figure 2: F1 over the number of captions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ita.config import Figure
from ita.reporting import reported
from ita.reporting.figures.style import COLOURS, ReportFigure, panels
from ita.reporting.report_table import VIEWS, name_of, sees_images, summary, views_of
from ita.reporting.runs import Runs

NOTES = ["Mean over seeds, the band is ± one standard deviation; dots are seeds. No captions: the text alone."]
PAPER = "The paper's values are not printed; it finds: {finding}."


def draw(runs: Runs, settings: Mapping[str, Any], chosen: Figure) -> ReportFigure:
    """One panel per encoder, one line per view that the systems are trained on.

    A system without image text is the start of every line.

    Raises:
        UserError: when a run is missing.
    """
    numbers = pd.DataFrame(points(runs, settings, chosen))
    figure, axes = panels(1, len(chosen.encoders), chosen.width, chosen.height, sharey=True)
    for axis, encoder in zip(axes.flat, chosen.encoders, strict=True):
        axis.set_title(settings["encoders"][encoder], fontsize=8)
        for view, name in VIEWS.items():
            mine = numbers[(numbers["encoder"] == encoder) & (numbers["view"] == view)].sort_values("captions")
            if mine["captions"].max() == 0:
                continue
            std = mine["std"].fillna(0.0).astype(float)
            axis.plot(mine["captions"], mine["mean"], color=COLOURS[view], marker="o", markersize=3, label=name)
            axis.fill_between(
                mine["captions"], mine["mean"] - std, mine["mean"] + std, color=COLOURS[view], alpha=0.2, linewidth=0
            )
            for row in mine.to_dict("records"):
                seeds = [float(value) for value in str(row["seeds"]).split()]
                axis.plot([row["captions"]] * len(seeds), seeds, ".", color=COLOURS[view], alpha=0.5, markersize=2)
            axis.legend(fontsize=7, frameon=False)
        axis.set_xticks(sorted(set(numbers["captions"])))
        axis.set_xlabel("captions", fontsize=8)
    axes[0, 0].set_ylabel(f"{chosen.split} F1 (%)", fontsize=8)
    finding = [
        PAPER.format(finding=row["finding"])
        for row in reported.rows("figures", str(settings["dataset"]))
        if row["figure"] == "figure2"
    ]
    return ReportFigure("F1 over the number of captions", figure, numbers, runs.about(), NOTES + finding)


def points(runs: Runs, settings: Mapping[str, Any], chosen: Figure) -> list[dict[str, Any]]:
    """One row per encoder, system and view."""
    rows = []
    for encoder in chosen.encoders:
        for key in chosen.systems:
            system = settings["systems"][key]
            count = settings["captions"][key]
            # Both views of a tagger without image text are the same.
            views = views_of(system) if sees_images(system) else list(VIEWS)
            for view in views:
                scores = [run.scores(chosen.split, view)["f1"] for run in runs.of(encoder, key)]
                rows.append(
                    {
                        "dataset": settings["dataset"],
                        "encoder": encoder,
                        "system": key,
                        "approach": name_of(system, key, settings["encoders"][encoder]),
                        "captions": count,
                        "view": view,
                        **summary(scores),
                    }
                )
    return rows
