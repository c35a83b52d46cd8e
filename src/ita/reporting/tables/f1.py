"""Tables 1 and 4: F1 of systems on text and on text with image text, beside the paper's, tested against text alone."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import pandas as pd

from ita.config import Table
from ita.errors import UserError
from ita.reporting import reported
from ita.reporting.comparisons import TESTS, Comparisons, Results, correct
from ita.reporting.report_table import (
    VIEWS,
    ReportTable,
    name_for,
    name_of,
    plain,
    sees_images,
    spread,
    summary,
    views_of,
)
from ita.reporting.runs import Runs
from ita.significance import power, seeds

TITLE = "F1 of the approaches on text (T) and on text and image text (I+T)"
NOTES = (
    "F1 in percent (seqeval, default mode): mean ± standard deviation over seeds.{paper}",
    "† / ‡: differs, up or down, from {baseline} on text with p < {level} by Welch's t-test over seeds, uncorrected / "
    "by Holm over the {comparisons} comparisons of this table. Tested are the views that a system is trained on. The "
    "CSV has exact p of this test, of the paired t-test over seeds, and of paired bootstrap and approximate "
    "randomisation over posts.",
)
CONTROL = "vs random: I+T minus that of {control}, which reads the image text of other posts{alike}."
ALIKE = " and otherwise is {rows}"


COLUMNS = (
    *("mean", "std", "n", "seeds", "strict_mean", "strict_std", "paper", "difference", "mark"),
    *("gain", "gain_low", "gain_high", *(f"p_{test}{suffix}" for test in TESTS for suffix in ("", "_holm"))),
    *("p_bootstrap_seeds", "p_randomisation_seeds", "random", "random_p_welch"),
)
"""Columns of each view in the CSV."""


def build(runs: Runs, settings: Mapping[str, Any], chosen: Table) -> ReportTable:
    """One row per encoder and system.

    Raises:
        UserError: when a run of the table is missing.
    """
    systems, controls = settings["systems"], settings.get("controls") or {}
    comparisons = Comparisons(chosen.resamples, chosen.seed)
    if chosen.baseline and chosen.baseline not in systems:
        raise UserError(f"table.baseline names {chosen.baseline!r}, which is not among the systems given")
    theirs = paper_values(str(settings["dataset"]))
    rows: list[dict[str, Any]] = []
    for encoder in chosen.encoders:
        name = settings["encoders"][encoder]
        results = {(key, view): Results(runs.of(encoder, key), chosen.split, view) for key in systems for view in VIEWS}
        for key in chosen.systems:
            row = {
                "dataset": settings["dataset"],
                "encoder": name,
                "system": key,
                "approach": name_of(systems[key], key, name),
                "trained_on": " and ".join(VIEWS[view] for view in views_of(systems[key])),
            }
            for view in VIEWS:
                cell = summarised(results[key, view], view == "t" or sees_images(systems[key]))
                paper = theirs.get((encoder, key), {}).get(view)
                cell["paper"] = paper
                cell["difference"] = None if paper is None or cell["mean"] is None else cell["mean"] - paper
                if chosen.baseline and key != chosen.baseline and view in views_of(systems[key]):
                    cell |= comparisons.compare(results[chosen.baseline, "t"], results[key, view])
                if key in controls and view == "it":
                    with_others = results[controls[key], view].f1()
                    cell["random"] = cell["mean"] - statistics.mean(with_others)
                    cell["random_p_welch"] = seeds.welch(with_others, results[key, view].f1())
                row |= {f"{view}_{column}": value for column, value in cell.items()}
            rows.append(row)
        rows += [
            only_reported(theirs.get((encoder, key), {}), settings["dataset"], name, key) for key in chosen.reported
        ]
    rows = [row for row in rows if row]
    correct(rows, [f"{view}_" for view in VIEWS], chosen.significance_level)
    heads = ["dataset", "encoder", "system", "approach", "trained_on"]
    numbers = pd.DataFrame(rows, columns=[*heads, *(f"{view}_{column}" for view in VIEWS for column in COLUMNS)])
    tests = sum(row.get(f"{view}_p_welch") is not None for row in rows for view in VIEWS)
    names = [settings["encoders"][encoder] for encoder in chosen.encoders]
    baseline = name_for(systems[chosen.baseline], chosen.baseline, names) if chosen.baseline else ""
    paper = " diff: ours minus the paper's." if any(numbers[f"{view}_paper"].notna().any() for view in VIEWS) else ""
    words = {"paper": paper, "level": chosen.significance_level, "baseline": baseline, "comparisons": tests}
    notes = [note.format(**words) for note in (NOTES if tests else NOTES[:1])]
    for control in dict.fromkeys(controls.values()):
        same = [name_for(systems[row], row, names) for row in settings["alike"] if controls[row] == control]
        alike = ALIKE.format(rows=" or ".join(same)) if same else ""
        notes.append(CONTROL.format(control=name_for(systems[control], control, names), alike=alike))
    notes += power_line(numbers, comparisons.errors)
    return ReportTable(TITLE, numbers, readable(numbers, chosen.digits), notes, runs.about(), names=3)


def summarised(results: Results, used: bool) -> dict[str, Any]:
    """Mean, deviation, count and seeds of F1, and mean and deviation by the strict scorer."""
    strict = summary(results.f1("strict") if used else [])
    return {
        **summary(results.f1() if used else []),
        "strict_mean": strict["mean"],
        "strict_std": strict["std"],
    }


def paper_values(dataset: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The paper's F1 by (encoder, system) and view, and names of approaches that are no systems here."""
    found = {}
    for row in [*reported.rows("table1", dataset), *reported.rows("table4", dataset)]:
        values = {view: reported.number(row[view]) for view in VIEWS}
        found[row["encoder"], row["system"]] = {"name": row.get("name") or row["system"], **values}
    return found


def only_reported(paper: Mapping[str, Any], dataset: str, encoder: str, key: str) -> dict[str, Any]:
    """A row with the paper's values alone; nothing where it has none."""
    values = {f"{view}_paper": paper[view] for view in VIEWS if paper.get(view) is not None}
    if not values:
        return {}
    approach = {"dataset": dataset, "encoder": encoder, "system": key, "approach": paper["name"], "trained_on": ""}
    return {**approach, **{f"{view}_n": 0 for view in VIEWS}, **values}


def power_line(numbers: pd.DataFrame, errors: list[float]) -> list[str]:
    """How large a difference these seeds and these posts can show."""
    parts = []
    cells = [(numbers[f"{view}_std"], numbers[f"{view}_n"]) for view in VIEWS]
    stds = [float(std) for column, _ in cells for std in column.dropna()]
    least = min((int(n) for _, column in cells for n in column if n > 1), default=0)
    if stds and least > 1:
        pooled = statistics.mean(std**2 for std in stds) ** 0.5
        points = power.detectable_over_seeds(pooled, least)
        parts.append(f"{points:.2f} points over {least} seeds (t-test, pooled standard deviation {pooled:.2f})")
    if errors:
        points = power.detectable_on_test(statistics.median(errors))
        parts.append(
            f"{points:.2f} points over these posts (paired bootstrap, median standard error of the comparisons)"
        )
    if not parts:
        return []
    return [f"Power: with p < 0.05 found in four of five cases, a true difference of {' and of '.join(parts)}."]


def readable(numbers: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Mean ± deviation with its mark, p, the paper's value, the difference; the random control; seeds."""
    columns: dict[str, list[str]] = {
        "Encoder": list(numbers["encoder"]),
        "Approach": list(numbers["approach"]),
        "Trained on": list(numbers["trained_on"]),
    }

    def add(heading: str, column: str, form: str) -> None:
        if numbers[column].notna().any():
            columns[heading] = [plain(value, form) for value in numbers[column]]

    for view, name in VIEWS.items():
        if numbers[f"{view}_mean"].notna().any():
            cells = zip(*(numbers[f"{view}_{column}"] for column in ("mean", "std", "mark")), strict=True)
            columns[name] = [spread(mean, std, digits) + (mark or "") for mean, std, mark in cells]
        add(f"p {name}", f"{view}_p_welch", ".2g")
        add(f"paper {name}", f"{view}_paper", ".2f")
        add(f"diff {name}", f"{view}_difference", f"+.{digits}f")
    add("vs random", "it_random", f"+.{digits}f")
    columns["n"] = [str(int(n)) if n else "" for n in numbers["t_n"]]
    return pd.DataFrame(columns)
