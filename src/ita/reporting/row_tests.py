"""Tests of the rows of a table: against the baseline, and against a control that was trained with as many updates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ita.config import Table
from ita.data import VIEWS
from ita.reporting.comparisons import Comparisons, ViewResults, add_corrected_p
from ita.reporting.report_rows import ReportRow, ReportSettings
from ita.reporting.runs import Runs
from ita.reporting.updates import CONTROL_PREFIX, is_controlled, training_cells

ViewResultsOf = Mapping[tuple[str, str, str], ViewResults]
"""(encoder, system, view) -> results"""


def results_of_all(runs: Runs, settings: ReportSettings, table: Table) -> ViewResultsOf:
    """Results of every system in both views.

    Raises:
        UserError: when a run is missing, or the baseline is not among the systems.
    """
    settings.require_baseline(table.baseline)
    return {
        (encoder, system, view): ViewResults(runs.of(encoder, system), table.split, view)
        for encoder in table.encoders
        for system in settings.systems
        for view in VIEWS
    }


def compared(
    row: ReportRow, view: str, results: ViewResultsOf, table: Table, comparisons: Comparisons
) -> dict[str, Any]:
    """Tests of a row in a view, nothing where it is not trained on that view.

    Returns:
        Columns of the comparison with the baseline on text; those of the control's begin with ``updates_``.
    """
    if view not in row.views:
        return {}
    view_results, cells = results[row.encoder, row.system, view], {}
    if table.baseline and row.system != table.baseline:
        cells = comparisons.compare(results[row.encoder, table.baseline, "t"], view_results)
    if is_controlled(row.settings, table, row.system):
        control = results[row.encoder, str(table.updates_control), "t"]
        cells |= against_control(view_results, control, comparisons)
    return cells


def against_control(results: ViewResults, control: ViewResults, comparisons: Comparisons) -> dict[str, Any]:
    """Comparison of a row in one view with the control on text, by columns that begin with ``updates_``.

    Args:
        results: of a row of two views, in one of them.
        control: of the control, on text.
        comparisons: resamples.

    Returns:
        Nothing where the two were not trained with the same number of updates, or do not state it.
    """
    updates = training_cells(results.runs)["updates"]
    if updates is None or updates != training_cells(control.runs)["updates"]:
        return {}
    return {f"{CONTROL_PREFIX}{name}": value for name, value in comparisons.compare(control, results).items()}


def add_marks(rows: Iterable[dict[str, Any]], prefixes: Iterable[str], alpha: float) -> None:
    """Adds corrected p and marks to rows; comparisons with the baseline and with the control are a family each."""
    rows, views = list(rows), list(prefixes)
    for family in ("", CONTROL_PREFIX):
        add_corrected_p(rows, [f"{view}{family}" for view in views], alpha)
