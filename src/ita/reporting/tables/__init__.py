"""Tables: one module per kind."""

from __future__ import annotations

from collections.abc import Callable

from ita.config import Table
from ita.reporting.report_rows import ReportSettings
from ita.reporting.report_table import ReportTable
from ita.reporting.runs import Runs
from ita.reporting.tables import best, f1, labels, types

BUILDERS: dict[str, Callable[[Runs, ReportSettings, Table], ReportTable]] = {
    "f1": f1.build,
    "best": best.build,
    "labels": labels.build,
    "types": types.build,
}
"""Kinds that need nothing but runs."""
