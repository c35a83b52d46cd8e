"""What training took: updates and subwords of each row, and what tables say of rows that were trained longer.

``train.batch_size`` counts sentences, so a system that trains on two views gets twice the updates of one on text alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from ita.config import Table
from ita.config.sections import CONTROLLED_KINDS
from ita.reporting.report_rows import ReportSettings
from ita.reporting.report_table import format_number
from ita.reporting.runs import Run, Runs

TRAINING_COLUMNS = ("updates", "subwords")
CONTROL_PREFIX = "updates_"
"""Of the columns that compare with the control of as many updates."""
UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
TRAINING = "updates: optimizer steps of training; subwords: subwords read in training; both are means over seeds."
LONGER = (
    "{rows}: trained with more updates than {baseline}, so that † and ‡ of these rows may come of longer training "
    "alone{remedy}."
)
REMEDY = "; {heading} compares with a system of as many"
CONTROL = (
    "{heading}: F1 minus that of '{control}' on text, trained with as many updates as the rows of two views{marks}; "
    "the CSV has p of all four tests."
)
CONTROL_MARKS = (
    ", with † / ‡ for p < {alpha} by Welch's t-test, uncorrected / by Holm over these {comparisons} comparisons"
)
UNEQUAL = "{rows}: not compared with '{control}', which was trained with another number of updates."


def training_cells(runs: Sequence[Run]) -> dict[str, float | None]:
    """``updates`` and ``subwords`` of training, means over seeds; None where a run does not state them."""
    return {column: _mean([run.training(column) for run in runs]) for column in TRAINING_COLUMNS}


def training_display(numbers: pd.DataFrame) -> dict[str, list[str]]:
    """Columns for reading: heading -> cells such as 2,530 and 1.2 M; none where no run states them."""
    formats = {"updates": lambda value: format_number(value, ",.0f"), "subwords": short_count}
    return {
        column: [formats[column](value) for value in numbers[column]]
        for column in TRAINING_COLUMNS
        if column in numbers and numbers[column].notna().any()
    }


def short_count(value: Any) -> str:
    """A count with one decimal and a unit, such as 1.2 M; empty where there is none."""
    if pd.isna(value):
        return ""
    for unit, letter in UNITS:
        if value >= 0.99995 * unit:  # 999,950 and more are 1.0 M
            return f"{value / unit:.1f} {letter}"
    return f"{value:.0f}"


def control_heading(table: Table) -> str:
    """Heading of the comparison with the control of as many updates."""
    return f"vs {table.updates_control}"


def is_controlled(settings: ReportSettings, table: Table, system: str) -> bool:
    """Whether a row is compared with the control: it trains on two views, and the control is read."""
    reads_control = table.kind in CONTROLLED_KINDS and table.updates_control in settings.systems
    return reads_control and len(settings.systems[system].views) > 1


def longer_notes(
    runs: Runs, settings: ReportSettings, table: Table, tested: Sequence[str], controlled: bool
) -> list[str]:
    """That a baseline of fewer updates is no fair one.

    Args:
        runs: all runs of the table.
        settings: of the table.
        table: its section, with a baseline.
        tested: systems that are tested against the baseline.
        controlled: whether rows are compared with a control of as many updates.
    """
    longer = [key for key in tested if any(_has_more(runs, encoder, key, table) for encoder in table.encoders)]
    if not longer or not table.baseline:
        return []
    remedy = REMEDY.format(heading=control_heading(table)) if controlled else ""
    baseline = settings.joined_names([table.baseline], table.encoders)
    return [LONGER.format(rows=settings.joined_names(longer, table.encoders), baseline=baseline, remedy=remedy)]


def control_notes(
    settings: ReportSettings, table: Table, rows: Sequence[Mapping[str, Any]], prefixes: Sequence[str]
) -> list[str]:
    """What the control of as many updates is, and which rows are not compared with it.

    Args:
        settings: of the table.
        table: its section.
        rows: of the table; ``{prefix}updates_gain`` is there where a row is compared.
        prefixes: of the columns of a view.
    """
    gains = [f"{prefix}{CONTROL_PREFIX}gain" for prefix in prefixes]
    compared = {row["system"] for row in rows if any(row.get(gain) is not None for gain in gains)}
    stated = {row["system"] for row in rows if row.get("updates") is not None}
    unequal = [key for key in table.systems if key in stated - compared and is_controlled(settings, table, key)]
    control = settings.joined_names([str(table.updates_control)], table.encoders) if compared or unequal else ""
    notes = []
    if compared:
        tests = [f"{prefix}{CONTROL_PREFIX}p_welch" for prefix in prefixes]
        comparisons = sum(row.get(test) is not None for row in rows for test in tests)
        marks = CONTROL_MARKS.format(alpha=table.significance_level, comparisons=comparisons) if comparisons else ""
        notes.append(CONTROL.format(heading=control_heading(table), control=control, marks=marks))
    if unequal:
        notes.append(UNEQUAL.format(rows=settings.joined_names(unequal, table.encoders), control=control))
    return notes


def _has_more(runs: Runs, encoder: str, system: str, table: Table) -> bool:
    """Whether a system was trained with more updates than the baseline; False where either is unknown."""
    keys = (system, str(table.baseline))
    updates, of_baseline = (training_cells(runs.of(encoder, key))["updates"] for key in keys)
    return updates is not None and of_baseline is not None and updates > of_baseline


def _mean(values: Sequence[float | None]) -> float | None:
    """Mean of values of which none is missing."""
    recorded = [value for value in values if value is not None]
    return fmean(recorded) if recorded and len(recorded) == len(values) else None
