"""Table 5: precision, recall and F1 of each type, with differences to the tagger that reads text alone."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ita.config import Table
from ita.data import VIEWS
from ita.reporting import reported
from ita.reporting.comparisons import Comparisons, ViewResults, add_corrected_p
from ita.reporting.notes import run_notes
from ita.reporting.report_rows import ReportSettings, report_rows
from ita.reporting.report_table import ReportTable, format_number, summarise
from ita.reporting.runs import Runs
from ita.reporting.updates import training_cells, training_display

TITLE = "Precision, recall and F1 of each type"
MEASURES = {"precision": "P", "recall": "R", "f1": "F1"}
NOTES = (
    "In percent (seqeval, default mode), means over seeds; in brackets the difference to {baseline} on text; "
    "deviations, seeds and exact p are in the CSV.",
    "† / ‡: F1 differs with p < {alpha} by Welch's t-test over seeds, uncorrected / by Holm over the comparisons of "
    "this table.",
    "paper: the same values of the paper, which does not say in which view ITA-All+CVA was read.",
)


def build(runs: Runs, settings: ReportSettings, table: Table) -> ReportTable:
    """One row per encoder, system, view trained on, and type.

    Raises:
        UserError: when a run of the table is missing.
    """
    settings.require_baseline(table.baseline)
    paper_rows = {
        (row["encoder"], row["system"], row["type"]): row for row in reported.rows("table5", settings.dataset)
    }
    comparisons = Comparisons(table.resamples, table.seed)
    rows: list[dict[str, Any]] = []
    for row in report_rows(settings, table.encoders, table.systems):
        baseline = None
        if table.baseline and row.system != table.baseline:
            baseline = ViewResults(runs.of(row.encoder, table.baseline), table.split, "t")
        for view in row.distinct_views:
            results = ViewResults(runs.of(row.encoder, row.system), table.split, view)
            for entity_type in entity_types(results):
                paper = paper_rows.get((row.encoder, row.system, entity_type), {})
                labels = {**row.labels, "view": VIEWS[view], "type": entity_type, **training_cells(results.runs)}
                rows.append(labels | type_cells(results, baseline, entity_type, paper, comparisons))
    add_corrected_p(rows, ["f1_"], table.significance_level)
    numbers = pd.DataFrame(rows)
    has_paper = "f1_paper" in numbers and numbers["f1_paper"].notna().any()
    names = settings.system_names(table.baseline, table.encoders) if table.baseline else ["nothing"]
    values = {"baseline": " / ".join(names), "alpha": table.significance_level}
    notes = [note.format(**values) for note in (NOTES if has_paper else NOTES[:2])]
    notes += run_notes(runs, settings, table, rows, ["f1_"])
    return ReportTable(TITLE, numbers, display_frame(numbers, 1), notes, runs.metadata, label_columns=3)


def type_cells(
    results: ViewResults,
    baseline: ViewResults | None,
    entity_type: str,
    paper: dict[str, str],
    comparisons: Comparisons,
) -> dict[str, Any]:
    """Support, every measure with the paper's value and the gain over the baseline, and the tests of F1."""
    cells: dict[str, Any] = {"support": scores_of_type(results, entity_type, "support")[0]}
    for measure in MEASURES:
        cell = summarise(scores_of_type(results, entity_type, measure))
        cell["paper"] = reported.number(paper.get(measure))
        cell["difference"] = None if cell["paper"] is None else cell["mean"] - cell["paper"]
        if baseline:
            cell["gain"] = cell["mean"] - summarise(scores_of_type(baseline, entity_type, measure))["mean"]
        cells |= {f"{measure}_{column}": value for column, value in cell.items()}
    if baseline:
        scores = scores_of_type(baseline, entity_type, "f1"), scores_of_type(results, entity_type, "f1")
        tests = comparisons.compare(baseline, results, scores, entity_type)
        cells |= {f"f1_{column}": value for column, value in tests.items()}
    return cells


def entity_types(results: ViewResults) -> list[str]:
    """Types with gold spans in the split, by name."""
    support = {
        entity_type: scores["support"]
        for run in results.runs
        for entity_type, scores in run.scores(results.split, results.view)["types"].items()
    }
    return sorted(entity_type for entity_type, count in support.items() if count)


def scores_of_type(results: ViewResults, entity_type: str, measure: str) -> list[float]:
    """A measure of one type, of each seed; 0 where a seed predicted nothing of a type that has no gold spans."""
    return [
        run.scores(results.split, results.view)["types"].get(entity_type, {}).get(measure, 0.0) for run in results.runs
    ]


def display_frame(numbers: pd.DataFrame, digits: int) -> pd.DataFrame:
    """One row per encoder, system and view, and one of the paper's below: P, R, F1 of each type with the gain."""
    lines: list[dict[str, str]] = []
    for (encoder, approach, view), group in numbers.groupby(["encoder", "approach", "view"], sort=False):
        line = {"Encoder": str(encoder), "Approach": str(approach), "View": str(view)}
        paper = {**line, "Approach": f"{approach} (paper)"}
        training = {heading: cells[0] for heading, cells in training_display(group).items()}
        for row in group.to_dict("records"):
            for measure, short in MEASURES.items():
                gain = row.get(f"{measure}_gain")
                mark = str(row.get("f1_mark") or "") if measure == "f1" else ""
                text = f"{row[f'{measure}_mean']:.{digits}f}{mark}"
                line[f"{row['type']} {short}"] = text + ("" if pd.isna(gain) else f" ({gain:+.{digits}f})")
                paper[f"{row['type']} {short}"] = format_number(row[f"{measure}_paper"], f".{digits}f")
        lines.append(line | training)
        if group["f1_paper"].notna().any():
            lines.append(paper)
    return pd.DataFrame(lines).fillna("")
