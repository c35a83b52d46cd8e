"""figure: runs of a dataset -> {figure}.svg, .pdf, .csv, .json.

What a figure of each kind shows is told by its module in ``ita.reporting.figures``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.cli import read_section, run_stage
from ita.config import Figure
from ita.io.files import write_json, write_text
from ita.io.provenance import provenance_of

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
    from ita.reporting import footer
    from ita.reporting.figures import captions, curves, distance, style
    from ita.reporting.runs import Runs

    chosen = read_section(settings, "figure", Figure)
    if chosen.kind == "curves":
        drawn = curves.draw(histories, settings, chosen)
    else:
        kinds = {"captions": captions.draw, "distance": distance.draw}
        drawn = kinds[chosen.kind](Runs(metrics), settings, chosen)
    stated = footer.facts(settings, "figure", drawn.about)
    if chosen.kind == "curves":
        stated["split"] = "dev"
    notes = [*drawn.notes, *footer.sentences(stated)]
    title = f"{footer.heading(stated['name'])}. {drawn.title}: {stated['dataset']}"
    inputs = {"/".join(path.parts[-4:]): path for path in [*histories, *metrics]}
    provenance = provenance_of(settings, inputs)
    write_text(output.with_suffix(".csv"), drawn.numbers.to_csv(index=False, float_format="%.6g"))
    write_json(output.with_suffix(".json"), {"about": {"title": title, "notes": notes, **stated}, **provenance})
    style.save(drawn, output, title, notes)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the stage."""
    return run_stage("figure", VERSION, work, inputs=INPUTS, argv=argv)


if __name__ == "__main__":
    sys.exit(main())
