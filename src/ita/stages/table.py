"""table: runs of a dataset -> {table}.csv, .md, .tex, .html, .json.

Each kind of table is a module of ``ita.reporting.tables``, which says what it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Table
from ita.io.provenance import environment_of, provenance_of


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
    """Writes the table in all its formats, and what it was made from.

    Args:
        settings: ``table``, ``name``, ``dataset``, ``note``, ``systems``, ``encoders`` (names), ``control_systems``
            (row: system that reads the image text of other posts) and ``matched_rows`` (rows that differ from their
            control system in nothing else).
        csv: the numbers.
        markdown: the table for reading.
        latex: the same for a paper.
        html: the same as a page.
        provenance: JSON that says what the table shows and was made from.
        metrics: metrics.json of every run.
        predictions: predictions.parquet of the same runs (all kinds that read runs).
        posts: posts.parquet (kinds ocr and analysis).
        images: images.parquet (kind analysis).
        ocr: OCR tables, one for each of table.ocr_engines (kind ocr), or one (kind analysis).

    Raises:
        UserError: when something that the table needs is missing, or runs were made on different labels.
    """
    from ita.reporting.render import TableFiles, write_table
    from ita.reporting.runs import Runs
    from ita.reporting.tables import make_table

    section = read_section(settings, "table", Table)
    runs = Runs(str(settings["dataset"]), metrics, predictions)
    table, metadata = make_table(settings, runs, posts, images, ocr)
    engines = section.ocr_engines if section.kind == "ocr" else [section.ocr_engine]
    ocr_files = {f"ocr/{engine}": path for engine, path in zip(engines, ocr, strict=False)}
    inputs = {**runs.files, "posts": posts, "images": images, **ocr_files}
    files = TableFiles(csv=csv, markdown=markdown, latex=latex, html=html, provenance=provenance)
    write_table(table, files, metadata, {**provenance_of(settings, inputs), "environment": environment_of()})
