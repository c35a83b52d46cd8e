"""Table 5: precision, recall and F1 of each type, with differences to the tagger that reads text alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ita.config import Table
from ita.errors import UserError
from ita.reporting import reported
from ita.reporting.comparisons import Comparisons, Results, correct
from ita.reporting.report_table import VIEWS, ReportTable, name_for, name_of, plain, sees_images, summary, views_of
from ita.reporting.runs import Runs

TITLE = "Precision, recall and F1 of each type"
MEASURES = {"precision": "P", "recall": "R", "f1": "F1"}
NOTES = (
    "In percent (seqeval, default mode), means over seeds; in brackets the difference to {baseline} on text; "
    "deviations, seeds and exact p are in the CSV.",
    "† / ‡: F1 differs with p < {level} by Welch's t-test over seeds, uncorrected / by Holm over the comparisons of "
    "this table.",
    "paper: the same values of the paper, which does not say in which view ITA-All+CVA was read.",
)


def build(runs: Runs, settings: Mapping[str, Any], chosen: Table) -> ReportTable:
    """One row per encoder, system, view trained on, and type.

    Raises:
        UserError: when a run of the table is missing.
    """
    dataset, systems = str(settings["dataset"]), settings["systems"]
    theirs = {(row["encoder"], row["system"], row["type"]): row for row in reported.rows("table5", dataset)}
    comparisons = Comparisons(chosen.resamples, chosen.seed)
    if chosen.baseline and chosen.baseline not in systems:
        raise UserError(f"table.baseline names {chosen.baseline!r}, which is not among the systems given")
    rows: list[dict[str, Any]] = []
    for encoder in chosen.encoders:
        name = settings["encoders"][encoder]
        base = Results(runs.of(encoder, chosen.baseline), chosen.split, "t") if chosen.baseline else None
        for key in chosen.systems:
            for view in [view for view in views_of(systems[key]) if view == "t" or sees_images(systems[key])]:
                mine = Results(runs.of(encoder, key), chosen.split, view)
                for kind in types_of(mine):
                    row = {
                        "dataset": dataset,
                        "encoder": name,
                        "system": key,
                        "approach": name_of(systems[key], key, name),
                        "view": VIEWS[view],
                        "type": kind,
                        "support": by_type(mine, kind, "support")[0],
                    }
                    paper = theirs.get((encoder, key, kind), {})
                    for measure in MEASURES:
                        cell = summary(by_type(mine, kind, measure))
                        cell["paper"] = reported.number(paper.get(measure))
                        cell["difference"] = None if cell["paper"] is None else cell["mean"] - cell["paper"]
                        if base and key != chosen.baseline:
                            cell["gain"] = cell["mean"] - summary(by_type(base, kind, measure))["mean"]
                        row |= {f"{measure}_{column}": value for column, value in cell.items()}
                    if base and key != chosen.baseline:
                        values = by_type(base, kind, "f1"), by_type(mine, kind, "f1")
                        compared = comparisons.compare(base, mine, values, kind)
                        row |= {f"f1_{column}": value for column, value in compared.items()}
                    rows.append(row)
    correct(rows, ["f1_"], chosen.significance_level)
    numbers = pd.DataFrame(rows)
    notes = list(NOTES) if "f1_paper" in numbers and numbers["f1_paper"].notna().any() else list(NOTES[:2])
    names = [settings["encoders"][encoder] for encoder in chosen.encoders]
    baseline = name_for(systems[chosen.baseline], chosen.baseline, names) if chosen.baseline else "nothing"
    notes = [note.format(baseline=baseline, level=chosen.significance_level) for note in notes]
    return ReportTable(TITLE, numbers, readable(numbers, 1), notes, runs.about(), names=3)


def types_of(results: Results) -> list[str]:
    """Types with gold spans in the split, by name."""
    found = {
        kind: row["support"]
        for run in results.runs
        for kind, row in run.scores(results.split, results.view)["types"].items()
    }
    return sorted(kind for kind, support in found.items() if support)


def by_type(results: Results, kind: str, measure: str) -> list[float]:
    """A measure of one type, of each seed; 0 where a seed found nothing of a type that has no gold spans."""
    return [run.scores(results.split, results.view)["types"].get(kind, {}).get(measure, 0.0) for run in results.runs]


def readable(numbers: pd.DataFrame, digits: int) -> pd.DataFrame:
    """One row per encoder, system and view; P, R, F1 of each type with the gain, and a row of the paper's below."""
    lines: list[dict[str, str]] = []
    for (encoder, approach, view), group in numbers.groupby(["encoder", "approach", "view"], sort=False):
        line = {"Encoder": str(encoder), "Approach": str(approach), "View": str(view)}
        paper = {**line, "Approach": f"{approach} (paper)"}
        for row in group.to_dict("records"):
            for measure, short in MEASURES.items():
                gain = row.get(f"{measure}_gain")
                mark = str(row.get("f1_mark") or "") if measure == "f1" else ""
                text = f"{row[f'{measure}_mean']:.{digits}f}{mark}"
                line[f"{row['type']} {short}"] = text + ("" if pd.isna(gain) else f" ({gain:+.{digits}f})")
                paper[f"{row['type']} {short}"] = plain(row[f"{measure}_paper"], f".{digits}f")
        lines.append(line)
        if group["f1_paper"].notna().any():
            lines.append(paper)
    return pd.DataFrame(lines).fillna("")
