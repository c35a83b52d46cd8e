"""table: runs of a dataset -> {table}.csv, .md, .tex, .html, .json.

Each kind of table is a module of ``ita.reporting.tables``, which says what it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ita.cli import read_section
from ita.config import Table
from ita.errors import UserError
from ita.io.provenance import provenance_of

if TYPE_CHECKING:  # pandas is not imported for --help
    from ita.reporting.report_rows import ReportSettings
    from ita.reporting.report_table import ReportTable
    from ita.reporting.runs import Runs


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
    from ita.reporting.footer import footer_metadata
    from ita.reporting.render import TableFiles, write_table
    from ita.reporting.report_rows import ReportSettings
    from ita.reporting.runs import Runs

    section = read_section(settings, "table", Table)
    report = ReportSettings.read(settings)
    runs = Runs(report.dataset, metrics, predictions)
    report = replace(report, leaks=runs.leaks)
    table = build_table(section, report, runs, posts, images, ocr)
    if section.kind == "ocr":  # reads no runs
        metadata, engines = footer_metadata(report, table.metadata), section.ocr_engines
    else:
        metadata = footer_metadata(report, table.metadata, section.encoders, section.systems, section.split)
        engines = [section.ocr_engine]
    ocr_files = {f"ocr/{engine}": path for engine, path in zip(engines, ocr, strict=False)}
    inputs = {**runs.files, "posts": posts, "images": images, **ocr_files}
    files = TableFiles(csv=csv, markdown=markdown, latex=latex, html=html, provenance=provenance)
    write_table(table, files, metadata, provenance_of(settings, inputs))


def build_table(
    section: Table, report: ReportSettings, runs: Runs, posts: Path | None, images: Path | None, ocr: Sequence[Path]
) -> ReportTable:
    """The table by the module of its kind.

    Raises:
        UserError: when a run or a file that the kind needs is missing.
    """
    from ita.reporting.tables import BUILDERS, analysis
    from ita.reporting.tables import ocr as ocr_table

    if section.kind == "ocr":
        return ocr_table.build(posts, ocr, report, section)
    if section.kind != "analysis":
        return BUILDERS[section.kind](runs, report, section)
    if len(ocr) > 1:
        raise UserError("a table of the kind 'analysis' reads one OCR table: give --ocr once")
    return analysis.build(runs, posts, images, ocr[0] if ocr else None, report, section)
