"""Learning curves: dev F1 after each epoch, one panel per encoder and system, one thin line per seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ita.config import Figure
from ita.errors import UserError
from ita.reporting.figures.style import COLOURS, ReportFigure, panels
from ita.reporting.report_table import VIEWS, name_of

COLUMNS = 4
NOTES = ["Thin lines are seeds, the thick one is their mean."]


def draw(
    histories: Sequence[Path], run_settings: Sequence[Path], settings: Mapping[str, Any], chosen: Figure
) -> ReportFigure:
    """Draws the curves of every view trained on.

    Raises:
        UserError: when a history cannot be read.
    """
    runs = read_histories(histories)
    shown = [(encoder, key) for encoder in chosen.encoders for key in chosen.systems]
    columns = min(COLUMNS, len(shown))
    figure, axes = panels(-(-len(shown) // columns), columns, chosen.width, chosen.height, sharex=True, sharey=True)
    for axis, (encoder, key) in zip(axes.flat, shown, strict=False):
        axis.set_title(name_of(settings["systems"][key], key, settings["encoders"][encoder]), fontsize=8)
        mine = runs[(runs["encoder"] == encoder) & (runs["system"] == key)]
        for view, label in VIEWS.items():
            column = f"dev_f1_{view}"
            if column not in mine or mine[column].isna().all():
                continue
            for _, seed in mine.groupby("seed"):
                axis.plot(seed["epoch"], seed[column], color=COLOURS[view], alpha=0.35, linewidth=0.7)
            mean = mine.groupby("epoch")[column].mean()
            axis.plot(mean.index, mean, color=COLOURS[view], linewidth=1.6, label=label)
            axis.legend(fontsize=7, loc="lower right", frameon=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    for place, axis in enumerate(axes.flat[: len(shown)]):
        if place + columns >= len(shown):
            axis.set_xlabel("epoch", fontsize=8)
            axis.tick_params(labelbottom=True)
        if place % columns == 0:
            axis.set_ylabel("dev F1 (%)", fontsize=8)
    names = ["encoder", "system", "seed", "epoch", *(f"dev_f1_{view}" for view in VIEWS if f"dev_f1_{view}" in runs)]
    seeds = sorted({int(str(seed).removeprefix("seed")) for seed in runs["seed"]})
    about = {"seeds": seeds, "label_version": labels(run_settings)}
    return ReportFigure("Learning curves", figure, runs[names], about, NOTES)


def labels(run_settings: Sequence[Path]) -> str | None:
    """Label versions of the runs, from their settings.json; None without any."""
    versions = {str(json.loads(path.read_text(encoding="utf-8")).get("label_version")) for path in run_settings}
    return ", ".join(sorted(versions)) or None


def read_histories(paths: Sequence[Path]) -> pd.DataFrame:
    """All histories in one frame, with encoder, system and seed of the run's folder."""
    frames = []
    for path in paths:
        try:
            frame = pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: not a history.csv ({error})") from None
        encoder, system, seed = path.parts[-4:-1]
        frames.append(frame.assign(encoder=encoder, system=system, seed=seed))
    if not frames:
        raise UserError("no histories: expected --histories FILE...")
    return pd.concat(frames, ignore_index=True)
