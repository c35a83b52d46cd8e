"""Table 3: systems with and without labels of all subwords, by our scorer and by that of UMT's code."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd

from ita.config import Table
from ita.data import VIEWS
from ita.reporting import reported
from ita.reporting.comparisons import TEST_COLUMNS, Comparisons, ViewResults, add_corrected_p
from ita.reporting.notes import run_notes
from ita.reporting.report_rows import ReportRow, ReportSettings, report_rows
from ita.reporting.report_table import ReportTable, format_marked, mean_and_std, summarise
from ita.reporting.runs import Runs
from ita.reporting.updates import TRAINING_COLUMNS, training_cells, training_display

TITLE = "Labels of words and of all subwords"
NOTES = (
    "F1 in percent (seqeval, default mode; a label X, [CLS] or [SEP] that is predicted at a word counts as O): mean ± "
    "standard deviation over seeds. Labels: words (of their first subwords), or all subwords (further ones are X).",
    "upstream F1: by the evaluator of UMT's code, in which such a label is an entity of its own and costs precision. "
    "Labels of words have none, so there both scorers agree.",
    "vs X labels: F1 of a system that labels words minus that of the same system with labels of all subwords.{marks}",
)
MARKS = (
    " † / ‡: p < {alpha} by Welch's t-test over seeds, uncorrected / by Holm over the {comparisons} comparisons of "
    "this table; the CSV has p of all four tests."
)
SCHEMES = {"first_subword": "words", "x_subword": "all subwords"}
NOT_COMPARED = ("name", "note", "label_scheme", "tag_format")
"""In what two systems may differ that are compared."""
COLUMNS = (
    *("dataset", "encoder", "system", "approach", "view", "label_scheme", "tag_format", "mean", "std", "n", "seeds"),
    *("strict_mean", "strict_std", "upstream_mean", "upstream_std", "x_system", *TRAINING_COLUMNS),
    *(*TEST_COLUMNS, "p_bootstrap_seeds", "p_randomisation_seeds", "mark"),
)


def build(runs: Runs, settings: ReportSettings, table: Table) -> ReportTable:
    """One row per encoder, system and view trained on.

    Raises:
        UserError: when a run of the table is missing.
    """
    comparisons = Comparisons(table.resamples, table.seed)
    rows = [
        scheme_row(row, view, runs, table, comparisons)
        for row in report_rows(settings, table.encoders, table.systems)
        for view in row.distinct_views
    ]
    add_corrected_p(rows, [""], table.significance_level)
    numbers = pd.DataFrame(rows, columns=list(COLUMNS))
    notes = [*table_notes(table, numbers), *reported.findings("table3", settings.dataset)]
    notes += run_notes(runs, settings, table, rows)
    return ReportTable(TITLE, numbers, display_frame(numbers, table.digits), notes, runs.metadata, label_columns=4)


def scheme_row(row: ReportRow, view: str, runs: Runs, table: Table, comparisons: Comparisons) -> dict[str, Any]:
    """F1 by all scorers, and the comparison with the system that is the same with labels of all subwords."""
    row_runs = runs.of(row.encoder, row.system)
    results = ViewResults(row_runs, table.split, view)
    system = row.settings.systems[row.system]
    cells: dict[str, Any] = {
        **row.labels,
        "view": VIEWS[view],
        "label_scheme": system.label_scheme,
        "tag_format": system.tag_format,
    }
    cells |= {**summarise(results.f1()), **training_cells(row_runs)}
    for mode in ("strict", "upstream"):
        known = all(run.has_scores(table.split, view, mode) for run in row_runs)
        summary = summarise(results.f1(mode) if known else [])
        cells |= {f"{mode}_mean": summary["mean"], f"{mode}_std": summary["std"]}
    if x_system := with_x_labels(row, table):
        baseline = ViewResults(runs.of(row.encoder, x_system), table.split, view)
        cells |= {"x_system": x_system, **comparisons.compare(baseline, results)}
    return cells


def with_x_labels(row: ReportRow, table: Table) -> str | None:
    """The system of the table that is the same as a row but labels all subwords; None where there is none."""
    system = row.settings.systems[row.system]
    if system.label_scheme == "x_subword":
        return None

    def compared_settings(key: str) -> dict[str, Any]:
        return {name: value for name, value in asdict(row.settings.systems[key]).items() if name not in NOT_COMPARED}

    schemes = {key: row.settings.systems[key].label_scheme for key in table.systems}
    same = [key for key in table.systems if compared_settings(key) == compared_settings(row.system)]
    return next((key for key in same if schemes[key] == "x_subword"), None)


def table_notes(table: Table, numbers: pd.DataFrame) -> list[str]:
    """The scorers and the comparison."""
    notes = [NOTES[0]]
    if numbers["upstream_mean"].notna().any():
        notes.append(NOTES[1])
    comparisons = int(numbers["p_welch"].notna().sum())
    marks = MARKS.format(alpha=table.significance_level, comparisons=comparisons) if comparisons else ""
    if numbers["gain"].notna().any():
        notes.append(NOTES[2].format(marks=marks))
    return notes


def display_frame(numbers: pd.DataFrame, digits: int) -> pd.DataFrame:
    """F1 by our scorer, the difference to X labels with its mark, F1 by upstream's; updates; seeds."""
    columns: dict[str, list[str]] = {
        "Encoder": list(numbers["encoder"]),
        "Approach": list(numbers["approach"]),
        "View": list(numbers["view"]),
        "Labels": [SCHEMES[scheme] for scheme in numbers["label_scheme"]],
    }

    def add(heading: str, column: str) -> None:
        if numbers[f"{column}mean"].notna().any():
            pairs = zip(numbers[f"{column}mean"], numbers[f"{column}std"], strict=True)
            columns[heading] = [mean_and_std(mean, std, digits) for mean, std in pairs]

    add("F1", "")
    if numbers["gain"].notna().any():
        columns["vs X labels"] = format_marked(numbers["gain"], numbers["mark"], f"+.{digits}f")
    add("strict F1", "strict_")
    add("upstream F1", "upstream_")
    columns |= training_display(numbers)
    columns["n"] = [str(n) for n in numbers["n"]]
    return pd.DataFrame(columns)
