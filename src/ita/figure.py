"""figure: histories of all runs of a dataset -> curves.svg (dev F1 after each epoch, one thin line per seed)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ita import stage
from ita.settings import Figure
from ita.stage import UserError

VERSION = 1
COLUMNS = 4
VIEWS = {"dev_f1_t": ("T", "#1f77b4"), "dev_f1_it": ("I+T", "#d95f02")}


def work(settings: dict[str, Any], output: Path, histories: Sequence[Path]) -> None:
    """Draws one panel per encoder and system: thin lines are seeds, the thick one is their mean.

    Args:
        settings: ``figure``, ``dataset``, the ``systems`` and ``encoders`` with their names, and their ``order``.
        output: an SVG.
        histories: history.csv of every run, in folders {encoder}/{system}/seed{seed}.

    Raises:
        UserError: when a history cannot be read.
    """
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "ita"  # the same curves give the same file
    import matplotlib.pyplot as plt

    chosen = stage.section(settings, "figure", Figure)
    runs = read_histories(histories)
    order = settings["order"]
    panels = [(encoder, key) for encoder in order["encoders"] for key in order["systems"]]
    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(chosen.width, chosen.height * lines), sharex=True, sharey=True, squeeze=False
    )
    for axis, (encoder, key) in zip(axes.flat, panels, strict=False):
        name = settings["encoders"][encoder]
        axis.set_title(settings["systems"][key].get("name", key).format(encoder=name), fontsize=8)
        mine = runs[(runs["encoder"] == encoder) & (runs["system"] == key)]
        for column, (label, colour) in VIEWS.items():
            if column not in mine or mine[column].isna().all():
                continue
            for _, seed in mine.groupby("seed"):
                axis.plot(seed["epoch"], seed[column], color=colour, alpha=0.35, linewidth=0.7)
            mean = mine.groupby("epoch")[column].mean()
            axis.plot(mean.index, mean, color=colour, linewidth=1.6, label=label)
        axis.legend(fontsize=7, loc="lower right", frameon=False)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3, linewidth=0.5)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    figure.supxlabel("epoch", fontsize=8)
    figure.supylabel("dev F1 (%)", fontsize=8)
    figure.suptitle(f"{settings['dataset']}: learning curves", fontsize=9)
    figure.tight_layout()
    with stage.atomic(output) as part:
        figure.savefig(part, format="svg", metadata={"Date": None})
    plt.close(figure)


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


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the stage."""
    return stage.main("figure", VERSION, work, inputs={"histories[]": "history.csv of every run"}, argv=argv)


if __name__ == "__main__":
    sys.exit(main())
