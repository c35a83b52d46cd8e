"""table: runs of a dataset -> {table}.csv, .md, .tex, .html, .json.

What a table of each kind holds is told by its module in ``ita.reporting``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.cli import read_section, run_stage
from ita.config import Table
from ita.errors import UserError
from ita.io.provenance import provenance_of

VERSION = 2
INPUTS = {
    "metrics[]": "metrics.json of every run, predictions.parquet beside it",
    "predictions[]": "those predictions, for the record",
    "posts?": "posts.parquet (kinds ocr and analysis)",
    "images?": "images.parquet (kind analysis)",
    "ocr[]": "character tables, one for each of table.ocr_engines (kind ocr), or one (kind analysis)",
}


def work(
    settings: dict[str, Any],
    output: Path,
    metrics: Sequence[Path] = (),
    predictions: Sequence[Path] = (),
    posts: Path | None = None,
    images: Path | None = None,
    ocr: Sequence[Path] = (),
) -> None:
    """Writes the table in all its forms, and what it was made from.

    Args:
        settings: ``table``, ``name``, ``dataset``, ``systems``, ``encoders`` (names), ``controls`` (row: system
            that reads the image text of other posts) and ``alike`` (rows that differ from theirs in nothing else).
        output: the CSV; .md, .tex, .html and .json (provenance) are written beside it.
        metrics: metrics.json of every run, in folders {encoder}/{system}/seed{seed}.
        predictions: predictions.parquet of those runs, which lie beside.
        posts: posts.parquet.
        images: images.parquet.
        ocr: character tables.

    Raises:
        UserError: when something that the table needs is missing, or runs were made on other labels than others.
    """
    from ita.reporting import footer, render
    from ita.reporting.runs import Runs
    from ita.reporting.tables import analysis, best, f1, types
    from ita.reporting.tables import ocr as characters

    chosen = read_section(settings, "table", Table)
    if chosen.kind == "ocr":
        made = characters.build(posts, ocr, settings, chosen)
    elif chosen.kind == "analysis":
        if len(ocr) > 1:
            raise UserError("a table of the kind 'analysis' reads one character table: give --ocr once")
        made = analysis.build(Runs(metrics), posts, images, ocr[0] if ocr else None, settings, chosen)
    else:
        kinds = {"f1": f1.build, "best": best.build, "types": types.build}
        made = kinds[chosen.kind](Runs(metrics), settings, chosen)
    inputs = {"/".join(path.parts[-4:]): path for path in [*metrics, *predictions]}
    inputs |= {"/".join(path.parts[-2:]): path for path in [posts, images, *ocr] if path}
    stated = footer.facts(settings, "table", made.about)
    render.write(made, output, stated, provenance_of(settings, inputs))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the stage."""
    return run_stage("table", VERSION, work, inputs=INPUTS, argv=argv)


if __name__ == "__main__":
    sys.exit(main())
