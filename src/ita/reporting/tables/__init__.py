"""Tables: one module per kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ita.config import Table, load
from ita.errors import UserError
from ita.reporting.footer import footer_metadata
from ita.reporting.report_rows import ReportSettings
from ita.reporting.report_table import ReportTable
from ita.reporting.runs import Runs
from ita.reporting.tables import analysis, best, f1, labels, ocr, types

BUILDERS: dict[str, Callable[[Runs, ReportSettings, Table], ReportTable]] = {
    "f1": f1.build,
    "best": best.build,
    "labels": labels.build,
    "types": types.build,
}
"""Kinds that need nothing but runs."""


def make_table(
    settings: Mapping[str, Any],
    runs: Runs,
    posts: Path | None = None,
    images: Path | None = None,
    ocr_tables: Sequence[Path] = (),
) -> tuple[ReportTable, dict[str, Any]]:
    """A table by the settings of its stage, and ``footer_metadata`` of it.

    Args:
        settings: of the stage.
        runs: all runs that the table reads.
        posts: posts.parquet, for the kinds ocr and analysis.
        images: images.parquet, for the kind analysis.
        ocr_tables: OCR tables, for the same two.

    Raises:
        UserError: when a run or a file that the kind needs is missing.
    """
    section, report = load(Table, settings.get("table", {})), ReportSettings.read(settings)
    report = replace(report, leaks=runs.leaks)
    if section.kind == "ocr":  # reads no runs
        table = ocr.build(posts, ocr_tables, report, section)
        return table, footer_metadata(report, table.metadata)
    if section.kind != "analysis":
        table = BUILDERS[section.kind](runs, report, section)
    elif len(ocr_tables) > 1:
        raise UserError("a table of the kind 'analysis' reads one OCR table: give --ocr once")
    else:
        table = analysis.build(runs, posts, images, ocr_tables[0] if ocr_tables else None, report, section)
    return table, footer_metadata(report, table.metadata, section.encoders, section.systems, section.split)
