"""figure: runs of a dataset -> {figure}.svg, .pdf, .csv, .json.

What a figure of each kind shows is told by its module in ``ita.drawing``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita import stage
from ita.settings import Figure

VERSION = 2
INPUTS = {
    "histories[]": "history.csv of every run (kind curves)",
    "metrics[]": "metrics.json of every run (kinds captions and distance)",
}


def work(settings: dict[str, Any], output: Path, histories: Sequence[Path] = (), metrics: Sequence[Path] = ()) -> None:
    """Draws the figure, and writes its numbers and what it was made from.

    Args:
        settings: ``figure``, ``name``, ``dataset``, ``systems``, ``encoders`` (names) and, for captions, how many of
            them each system reads.
        output: the SVG; .pdf, .csv (numbers) and .json (provenance) are written beside it.
        histories: history.csv of every run, in folders {encoder}/{system}/seed{seed}.
        metrics: metrics.json of every run, in such folders.

    Raises:
        UserError: when a run is missing or can not be read.
    """
    from ita.artefacts import statement
    from ita.artefacts.runs import Runs
    from ita.drawing import captions, curves, distance, plots

    chosen = stage.section(settings, "figure", Figure)
    if chosen.kind == "curves":
        drawn = curves.draw(histories, settings, chosen)
    else:
        kinds = {"captions": captions.draw, "distance": distance.draw}
        drawn = kinds[chosen.kind](Runs(metrics), settings, chosen)
    stated = statement.facts(settings, "figure", drawn.about)
    if chosen.kind == "curves":
        stated["split"] = "dev"
    notes = [*drawn.notes, *statement.sentences(stated)]
    title = f"{statement.heading(stated['name'])}. {drawn.title}: {stated['dataset']}"
    inputs = {"/".join(path.parts[-4:]): path for path in [*histories, *metrics]}
    provenance = stage.provenance(settings, inputs)
    stage.write_text(output.with_suffix(".csv"), drawn.numbers.to_csv(index=False, float_format="%.6g"))
    stage.write_json(output.with_suffix(".json"), {"about": {"title": title, "notes": notes, **stated}, **provenance})
    plots.save(drawn, output, title, notes)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the stage."""
    return stage.main("figure", VERSION, work, inputs=INPUTS, argv=argv)


if __name__ == "__main__":
    sys.exit(main())
