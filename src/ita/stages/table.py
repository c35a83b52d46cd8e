"""table: runs of a dataset -> {table}.csv, .md, .tex, .html, .json.

What a table of each kind holds is told by its module in ``ita.reporting``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Table
from ita.errors import UserError
from ita.io.provenance import provenance_of


def work(
    settings: dict[str, Any],
    csv: Path,
    markdown: Path,
    latex: Path,
    html: Path,
    provenance: Path,
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
        csv: the numbers.
        markdown: the table for reading.
        latex: the same for a paper.
        html: the same as a page.
        provenance: JSON that says what the table shows and was made from.
        metrics: metrics.json of every run, in folders {encoder}/{system}/seed{seed}.
        predictions: predictions.parquet of those runs, in the same folders (kinds f1, types and analysis).
        posts: posts.parquet (kinds ocr and analysis).
        images: images.parquet (kind analysis).
        ocr: OCR tables, one for each of table.ocr_engines (kind ocr), or one (kind analysis).

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
        made = analysis.build(Runs(metrics, predictions), posts, images, ocr[0] if ocr else None, settings, chosen)
    else:
        kinds = {"f1": f1.build, "best": best.build, "types": types.build}
        made = kinds[chosen.kind](Runs(metrics, predictions), settings, chosen)
    inputs = {"/".join(path.parts[-4:]): path for path in [*metrics, *predictions]}
    inputs |= {"/".join(path.parts[-2:]): path for path in [posts, images, *ocr] if path}
    stated = footer.facts(settings, "table", made.about)
    forms = render.Forms(csv=csv, markdown=markdown, latex=latex, html=html, provenance=provenance)
    render.write(made, forms, stated, provenance_of(settings, inputs))
