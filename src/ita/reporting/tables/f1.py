"""Tables 1 and 4: F1 of systems on text and on text with image text, beside the paper's, tested against text alone."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import pandas as pd

from ita.config import Table
from ita.data import VIEWS
from ita.reporting import reported
from ita.reporting.comparisons import TEST_COLUMNS, Comparisons
from ita.reporting.notes import run_notes
from ita.reporting.report_rows import ReportRow, ReportSettings, report_rows
from ita.reporting.report_table import (
    ReportTable,
    format_column,
    format_marked,
    mean_and_std,
    summarise,
)
from ita.reporting.row_tests import ViewResultsOf, add_marks, compared, results_of_all
from ita.reporting.runs import Runs
from ita.reporting.updates import (
    CONTROL_PREFIX,
    TRAINING_COLUMNS,
    control_heading,
    training_cells,
    training_display,
)
from ita.significance import power, seeds

TITLE = "F1 of the approaches on text (T) and on text and image text (I+T)"
NOTES = (
    "F1 in percent (seqeval, default mode): mean ± standard deviation over seeds.{paper}",
    "† / ‡: differs, up or down, from {baseline} on text with p < {alpha} by Welch's t-test over seeds, uncorrected / "
    "by Holm over the {comparisons} comparisons of this table. Tested are the views that a system is trained on. The "
    "CSV has exact p of this test, of the paired t-test over seeds, and of paired bootstrap and approximate "
    "randomisation over posts.",
)
PAPER = " diff: ours minus the paper's."
CONTROL = "vs random: I+T minus that of {control}, which reads the image text of other posts{matched}."
MATCHED = " and otherwise is {rows}"

LABELS = ("dataset", "encoder", "system", "approach", "trained_on")
COLUMNS = (
    *("mean", "std", "n", "seeds", "strict_mean", "strict_std", "paper", "difference", "mark"),
    *(*TEST_COLUMNS, "p_bootstrap_seeds", "p_randomisation_seeds", "random", "random_p_welch"),
    *(f"{CONTROL_PREFIX}{column}" for column in (*TEST_COLUMNS, "mark")),
)
"""Columns of each view in the CSV."""


def build(runs: Runs, settings: ReportSettings, table: Table) -> ReportTable:
    """One row per encoder and system.

    Raises:
        UserError: when a run of the table is missing.
    """
    results = results_of_all(runs, settings, table)
    comparisons = Comparisons(table.resamples, table.seed)
    reported_f1 = reported_values(settings.dataset)
    rows: list[dict[str, Any]] = []
    for encoder in table.encoders:
        for row in report_rows(settings, [encoder], table.systems):
            cells: dict[str, Any] = {**row.labels, "trained_on": row.trained_on}
            cells |= training_cells(runs.of(encoder, row.system))
            for view in VIEWS:
                paper = reported_f1.get((encoder, row.system), {}).get(view)
                cell = view_cell(row, view, results, paper) | compared(row, view, results, table, comparisons)
                cells |= {f"{view}_{column}": value for column, value in cell.items()}
            rows.append(cells)
        for key in table.reported:
            rows += reported_row(reported_f1.get((encoder, key)), settings, encoder, key)
    prefixes = [f"{view}_" for view in VIEWS]
    add_marks(rows, prefixes, table.significance_level)
    columns = [*LABELS, *TRAINING_COLUMNS, *(f"{view}{column}" for view in prefixes for column in COLUMNS)]
    numbers = pd.DataFrame(rows, columns=columns)
    notes = [
        *table_notes(settings, table, numbers),
        *run_notes(runs, settings, table, rows, prefixes),
        *power_note(numbers, comparisons.standard_errors),
    ]
    display = display_frame(numbers, table.digits, control_heading(table))
    return ReportTable(TITLE, numbers, display, notes, runs.metadata, label_columns=3)


def view_cell(row: ReportRow, view: str, results: ViewResultsOf, paper: float | None) -> dict[str, Any]:
    """F1 of a row in a view by both scorers, the paper's value, and the difference to the control system."""
    view_results = results[row.encoder, row.system, view]
    has_view = view == "t" or row.reads_images
    cell = summarise(view_results.f1() if has_view else [])
    strict = summarise(view_results.f1("strict") if has_view else [])
    cell |= {"strict_mean": strict["mean"], "strict_std": strict["std"], "paper": paper}
    cell["difference"] = None if paper is None or cell["mean"] is None else cell["mean"] - paper
    control = row.settings.control_systems.get(row.system)
    if control and view == "it":
        control_f1 = results[row.encoder, control, view].f1()
        cell["random"] = cell["mean"] - statistics.mean(control_f1)
        cell["random_p_welch"] = seeds.welch(control_f1, view_results.f1())
    return cell


def reported_values(dataset: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The paper's F1 by (encoder, system) and view, and names of approaches that are no systems here."""
    values = {}
    for row in [*reported.rows("table1", dataset), *reported.rows("table4", dataset)]:
        f1 = {view: reported.number(row[view]) for view in VIEWS}
        values[row["encoder"], row["system"]] = {"name": row.get("name") or row["system"], **f1}
    return values


def reported_row(
    paper: Mapping[str, Any] | None, settings: ReportSettings, encoder: str, key: str
) -> list[dict[str, Any]]:
    """A row with the paper's values alone; no row where it has none."""
    values = {f"{view}_paper": paper[view] for view in VIEWS if paper and paper.get(view) is not None}
    if not paper or not values:
        return []
    labels = (settings.dataset, settings.encoders[encoder], key, paper["name"], "")
    return [{**dict(zip(LABELS, labels, strict=True)), **{f"{view}_n": 0 for view in VIEWS}, **values}]


def table_notes(settings: ReportSettings, table: Table, numbers: pd.DataFrame) -> list[str]:
    """Scorer, marks, and what the control systems are."""
    tested = sum(int(numbers[f"{view}_p_welch"].notna().sum()) for view in VIEWS)

    def names(key: str) -> str:
        return " / ".join(settings.system_names(key, table.encoders))

    has_paper = any(numbers[f"{view}_paper"].notna().any() for view in VIEWS)
    values = {
        "paper": PAPER if has_paper else "",
        "alpha": table.significance_level,
        "baseline": names(table.baseline) if table.baseline else "",
        "comparisons": tested,
    }
    notes = [note.format(**values) for note in (NOTES if tested else NOTES[:1])]
    for control in dict.fromkeys(settings.control_systems.values()):
        rows = [names(row) for row in settings.matched_rows if settings.control_systems[row] == control]
        matched = MATCHED.format(rows=" or ".join(rows)) if rows else ""
        notes.append(CONTROL.format(control=names(control), matched=matched))
    return notes


def power_note(numbers: pd.DataFrame, standard_errors: list[float]) -> list[str]:
    """The minimum detectable difference with these seeds and these posts."""
    parts = []
    stds = [float(std) for view in VIEWS for std in numbers[f"{view}_std"].dropna()]
    fewest = min((int(n) for view in VIEWS for n in numbers[f"{view}_n"] if n > 1), default=0)
    if stds and fewest > 1:
        pooled = statistics.mean(std**2 for std in stds) ** 0.5
        points = power.detectable_over_seeds(pooled, fewest)
        parts.append(f"{points:.2f} points over {fewest} seeds (t-test, pooled standard deviation {pooled:.2f})")
    if standard_errors:
        points = power.detectable_on_test(statistics.median(standard_errors))
        parts.append(
            f"{points:.2f} points over these posts (paired bootstrap, median standard error of the comparisons)"
        )
    if not parts:
        return []
    return [f"Minimum detectable difference (alpha 0.05, power 0.8): {' and '.join(parts)}."]


def display_frame(numbers: pd.DataFrame, digits: int, control: str) -> pd.DataFrame:
    """Mean ± deviation with its mark, p, the paper's value, the difference; the controls; updates; seeds.

    Args:
        numbers: for the CSV.
        digits: decimals.
        control: heading of the comparison with the control of as many updates.
    """
    columns: dict[str, list[str]] = {
        "Encoder": list(numbers["encoder"]),
        "Approach": list(numbers["approach"]),
        "Trained on": list(numbers["trained_on"]),
    }

    def add(heading: str, column: str, spec: str) -> None:
        if numbers[column].notna().any():
            columns[heading] = format_column(numbers[column], spec)

    for view, name in VIEWS.items():
        if numbers[f"{view}_mean"].notna().any():
            cells = zip(*(numbers[f"{view}_{column}"] for column in ("mean", "std", "mark")), strict=True)
            columns[name] = [mean_and_std(mean, std, digits) + (mark or "") for mean, std, mark in cells]
        add(f"p {name}", f"{view}_p_welch", ".2g")
        add(f"paper {name}", f"{view}_paper", ".2f")
        add(f"diff {name}", f"{view}_difference", f"+.{digits}f")
    for view, name in VIEWS.items():
        gains, marks = (numbers[f"{view}_{CONTROL_PREFIX}{column}"] for column in ("gain", "mark"))
        if gains.notna().any():
            columns[f"{control} {name}"] = format_marked(gains, marks, f"+.{digits}f")
    add("vs random", "it_random", f"+.{digits}f")
    columns |= training_display(numbers)
    columns["n"] = [str(int(n)) if n else "" for n in numbers["t_n"]]
    return pd.DataFrame(columns)
