"""Table 2: the best of our seeds, and their mean, beside what others report and what reproductions of them reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ita.config import Table
from ita.data import VIEWS
from ita.reporting import reported
from ita.reporting.comparisons import TEST_COLUMNS, Comparisons
from ita.reporting.notes import run_notes
from ita.reporting.report_rows import ReportRow, ReportSettings, report_rows
from ita.reporting.report_table import ReportTable, format_column, format_marked, mean_and_std, summarise
from ita.reporting.row_tests import ViewResultsOf, add_marks, compared, results_of_all
from ita.reporting.runs import Run, Runs
from ita.reporting.updates import (
    CONTROL_PREFIX,
    TRAINING_COLUMNS,
    control_heading,
    training_cells,
    training_display,
)

TITLE = "Best F1 and mean beside the literature"
NOTES = (
    "F1 in percent (seqeval, default mode). best: of all seeds, as others report their best; with more seeds it grows, "
    "so means (± standard deviation over seeds) are what should be compared. chosen on dev: test F1 of the seed that "
    "is best on the development posts, which needs no look at the test posts.",
    "reported: by the authors of the approach (of ITA: best of five); reproduced: by the authors of ITA, from the code "
    "of the approach (of BERT-CRF: mean of five). diff: our best, or our mean, minus the reproduced value, or the "
    "reported one where none is reproduced; of a system of two views by its better one, since the paper does not say "
    "which it read.",
    "† / ‡: the mean differs, up or down, from {baseline} on text with p < {alpha} by Welch's t-test over seeds, "
    "uncorrected / by Holm over the {comparisons} comparisons of this table; the CSV has p of all four tests.",
)
LITERATURE = ("reproduced", "reported", "ita")
"""Origins of values of the literature; ours are compared with the first of them that there is."""
COLUMNS = (
    *("dataset", "origin", "encoder", "approach", "system", "view", "f1", "seed", "chosen_on_dev", "mean", "std", "n"),
    *("seeds", "reported", "reproduced", "compared_with", "difference", "mean_difference", *TRAINING_COLUMNS),
    *(*TEST_COLUMNS, "p_bootstrap_seeds", "p_randomisation_seeds", "mark"),
    *(f"{CONTROL_PREFIX}{column}" for column in (*TEST_COLUMNS, "mark")),
)
OURS = "ours"
PUBLISHED_RECIPE = "-upstream"
"""Ends the keys of systems that are trained by the recipe of the published code: the literature is that of the rest."""


def build(runs: Runs, settings: ReportSettings, table: Table) -> ReportTable:
    """One row per encoder, system and view trained on, then the values of the literature.

    Raises:
        UserError: when a run of the table is missing.
    """
    results = results_of_all(runs, settings, table)
    literature = reported.rows("table2", settings.dataset)
    comparisons = Comparisons(table.resamples, table.seed)
    ours: list[dict[str, Any]] = []
    for row in report_rows(settings, table.encoders, table.systems):
        values = {
            value["origin"]: float(value["f1"])
            for value in literature
            if (value["encoder"], value["system"]) == (row.encoder, row.system.removesuffix(PUBLISHED_RECIPE))
        }
        ours += best_rows(row, results, table, values, comparisons)
    add_marks(ours, [""], table.significance_level)
    theirs = [literature_row(value, settings) for value in literature]
    numbers = pd.DataFrame([*ours, *theirs], columns=list(COLUMNS))
    notes = [*table_notes(settings, table, numbers), *run_notes(runs, settings, table, ours)]
    display = display_frame(numbers, table.digits, control_heading(table))
    return ReportTable(TITLE, numbers, display, notes, runs.metadata, label_columns=3)


def best_rows(
    row: ReportRow, results: ViewResultsOf, table: Table, literature: Mapping[str, float], comparisons: Comparisons
) -> list[dict[str, Any]]:
    """One row per view; the difference to the literature stands beside the better view."""
    row_runs = results[row.encoder, row.system, "t"].runs
    best = {view: best_of_seeds(row_runs, view, table.split) for view in row.views}
    highest = max(view_best["f1"] for view_best in best.values())
    origin = next((name for name in LITERATURE if name in literature), None)
    shared = {
        **row.labels,
        **training_cells(row_runs),
        "origin": OURS,
        "reported": literature.get("reported", literature.get("ita")),
        "reproduced": literature.get("reproduced"),
    }
    rows = []
    for view, view_best in best.items():
        cells = {**shared, **view_best, **compared(row, view, results, table, comparisons)}
        if origin and view_best["f1"] == highest:
            differences = {"difference": "f1", "mean_difference": "mean"}
            cells |= {column: view_best[value] - literature[origin] for column, value in differences.items()}
            cells["compared_with"] = origin
        rows.append(cells)
    return rows


def best_of_seeds(runs: Sequence[Run], view: str, split: str) -> dict[str, Any]:
    """Best of the seeds in one view, the one chosen on dev (none where dev was not tagged), mean, deviation, count."""
    scores = [run.scores(split, view)["f1"] for run in runs]
    best = max(range(len(runs)), key=scores.__getitem__)
    chosen_on_dev = None
    if split != "dev" and all("dev" in run.metrics["scores"] for run in runs):
        dev_scores = [run.scores("dev", view)["f1"] for run in runs]
        chosen_on_dev = scores[max(range(len(runs)), key=dev_scores.__getitem__)]
    return {
        "view": VIEWS[view],
        "f1": scores[best],
        "seed": runs[best].seed,
        "chosen_on_dev": chosen_on_dev,
        **summarise(scores),
    }


def literature_row(value: Mapping[str, str], settings: ReportSettings) -> dict[str, Any]:
    """A row of the CSV with a value of the literature."""
    return {
        "dataset": settings.dataset,
        "origin": value["origin"],
        "encoder": settings.encoders.get(value["encoder"], value["encoder"]),
        "system": value["system"],
        "approach": value["name"],
        "f1": reported.number(value["f1"]),
    }


def table_notes(settings: ReportSettings, table: Table, numbers: pd.DataFrame) -> list[str]:
    """What best and mean are, the literature, and the marks."""
    comparisons = int(numbers["p_welch"].notna().sum())
    notes = [NOTES[0]]
    if (numbers["origin"] != OURS).any():
        notes.append(NOTES[1])
    if comparisons and table.baseline:
        baseline = " / ".join(settings.system_names(table.baseline, table.encoders))
        values = {"baseline": baseline, "alpha": table.significance_level, "comparisons": comparisons}
        notes.append(NOTES[2].format(**values))
    return notes


def display_frame(numbers: pd.DataFrame, digits: int, control: str) -> pd.DataFrame:
    """A row per approach and view: the literature's values, our best and mean, the differences; updates; seeds.

    Args:
        numbers: for the CSV, where a value of the literature is a row of its own.
        digits: decimals.
        control: heading of the comparison with the control of as many updates.
    """
    rows = pd.concat([numbers[numbers["origin"] == OURS], others(numbers)], ignore_index=True)
    columns: dict[str, list[str]] = {
        "Encoder": list(rows["encoder"]),
        "Approach": list(rows["approach"]),
        "View": list(rows["view"].fillna("")),
    }
    specs = {
        "reported": ("reported", ".2f"),
        "reproduced": ("reproduced", ".2f"),
        "f1": ("best", f".{digits}f"),
        "difference": ("diff", f"+.{digits}f"),
        "seed": ("seed", ".0f"),
        "chosen_on_dev": ("chosen on dev", f".{digits}f"),
    }
    for column, (heading, spec) in specs.items():
        if rows[column].notna().any():
            columns[heading] = format_column(rows[column], spec)
    cells = zip(*(rows[column] for column in ("mean", "std", "mark")), strict=True)
    columns["mean"] = [mean_and_std(mean, std, digits) + ("" if pd.isna(mark) else mark) for mean, std, mark in cells]
    if rows["mean_difference"].notna().any():
        columns["diff of mean"] = format_column(rows["mean_difference"], f"+.{digits}f")
    gains, marks = (rows[f"{CONTROL_PREFIX}{column}"] for column in ("gain", "mark"))
    if gains.notna().any():
        columns[control] = format_marked(gains, marks, f"+.{digits}f")
    columns |= training_display(rows)
    columns["n"] = format_column(rows["n"], ".0f")
    return pd.DataFrame(columns)


def others(numbers: pd.DataFrame) -> pd.DataFrame:
    """A row per approach of the literature that is no row of ours: its reported and its reproduced value."""
    ours = numbers[numbers["origin"] == OURS]
    known = set(zip(ours["encoder"], ours["system"].str.removesuffix(PUBLISHED_RECIPE), strict=True))
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for value in numbers[numbers["origin"] != OURS].to_dict("records"):
        key = (value["encoder"], value["system"])
        if key not in known:
            row = rows.setdefault(key, {column: value[column] for column in ("encoder", "system", "approach")})
            row["reproduced" if value["origin"] == "reproduced" else "reported"] = value["f1"]
    return pd.DataFrame(list(rows.values()), columns=list(numbers.columns)).astype(numbers.dtypes, errors="ignore")
