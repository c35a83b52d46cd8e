"""Table 2: the best of our seeds beside what other approaches report and what reproductions of them reach."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ita.config import Table
from ita.data import VIEWS
from ita.reporting import reported
from ita.reporting.report_rows import ReportRow, ReportSettings, report_rows
from ita.reporting.report_table import ReportTable, format_column
from ita.reporting.runs import Run, Runs

TITLE = "Best F1 beside other approaches"
ORIGINS = {"reported": "reported", "reproduced": "reproduced", "ita": "ITA, reported", "ours": "ours"}
NOTES = (
    "F1 in percent (seqeval, default mode). Ours is the best of all seeds, as others report their best; with more "
    "seeds the best grows, so means (Table 1) are what should be compared.",
    "The paper does not say in which view its best was read: diff is ours minus the paper's, by the better view.",
    "chosen on dev: test F1 of the seed that is best on the development posts, which needs no look at the test posts.",
)
COLUMNS = (
    *("dataset", "origin", "encoder", "approach", "system", "view", "f1", "seed", "chosen_on_dev", "mean", "n"),
    *("seeds", "paper", "difference"),
)


def build(runs: Runs, settings: ReportSettings, table: Table) -> ReportTable:
    """Rows of the paper's Table 2, then one row per encoder, system and view trained on.

    Raises:
        UserError: when a run of the table is missing.
    """
    paper_rows = reported.rows("table2", settings.dataset)
    rows: list[dict[str, Any]] = [
        {
            "dataset": settings.dataset,
            "origin": row["origin"],
            "approach": row["name"],
            "f1": reported.number(row["f1"]),
        }
        for row in paper_rows
    ]
    paper_best = {row["system"]: float(row["f1"]) for row in paper_rows if row["origin"] in ("reproduced", "ita")}
    for row in report_rows(settings, table.encoders, table.systems):
        rows += best_rows(row, runs.of(row.encoder, row.system), table.split, paper_best.get(row.system))
    numbers = pd.DataFrame(rows, columns=list(COLUMNS))
    notes = [note for note in NOTES if paper_rows or not note.startswith("The paper")]
    return ReportTable(TITLE, numbers, display_frame(numbers, table.digits), notes, runs.metadata, label_columns=2)


def best_rows(row: ReportRow, runs: list[Run], split: str, paper: float | None) -> list[dict[str, Any]]:
    """One row per view; the paper's value stands beside the better view."""
    best = [best_of_seeds(runs, view, split) for view in row.views]
    highest = max(view_best["f1"] for view_best in best)
    rows = []
    for view_best in best:
        compared = paper if view_best["f1"] == highest else None
        difference = None if compared is None else view_best["f1"] - compared
        rows.append({**row.labels, "origin": "ours", **view_best, "paper": compared, "difference": difference})
    return rows


def best_of_seeds(runs: list[Run], view: str, split: str) -> dict[str, Any]:
    """Best of the seeds in one view, the one chosen on dev (none where dev was not tagged), mean, count."""
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
        "mean": sum(scores) / len(scores),
        "n": len(scores),
        "seeds": " ".join(f"{score:.4f}" for score in scores),
    }


def display_frame(numbers: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Origin, approach, view, F1, its seed, chosen on dev, mean, the paper's value, the difference."""
    columns: dict[str, list[str]] = {
        "Origin": [ORIGINS[origin] for origin in numbers["origin"]],
        "Approach": list(numbers["approach"]),
        "View": list(numbers["view"].fillna("")),
        "Best F1": format_column(numbers["f1"], f".{digits}f"),
        "seed": format_column(numbers["seed"], ".0f"),
    }
    specs = {"chosen_on_dev": f".{digits}f", "mean": f".{digits}f", "paper": ".2f", "difference": f"+.{digits}f"}
    headings = {"chosen_on_dev": "chosen on dev", "difference": "diff"}
    for column, spec in specs.items():
        if numbers[column].notna().any():
            columns[headings.get(column, column)] = format_column(numbers[column], spec)
    columns["n"] = format_column(numbers["n"], ".0f")
    return pd.DataFrame(columns)
