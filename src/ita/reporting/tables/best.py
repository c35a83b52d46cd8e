"""Table 2: the best of our seeds beside what other approaches report and what came of reproducing them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ita.config import Table
from ita.reporting import reported
from ita.reporting.report_table import VIEWS, ReportTable, name_of, plain, views_of
from ita.reporting.runs import Runs

TITLE = "Best F1 beside other approaches"
ORIGINS = {"reported": "reported", "reproduced": "reproduced", "ita": "ITA, reported", "ours": "ours"}
NOTES = (
    "F1 in percent (seqeval, default mode). Ours is the best of all seeds, as others report their best; with more "
    "seeds the best grows, so means (Table 1) are what should be compared.",
    "The paper does not say in which view its best was read: diff is ours minus the paper's, by the better view.",
    "chosen on dev: test F1 of the seed that is best on the development posts, which needs no look at the test posts.",
)


def build(runs: Runs, settings: Mapping[str, Any], chosen: Table) -> ReportTable:
    """Rows of the paper's Table 2, then one row per encoder, system and view trained on.

    Raises:
        UserError: when a run of the table is missing.
    """
    dataset = str(settings["dataset"])
    theirs = reported.rows("table2", dataset)
    rows: list[dict[str, Any]] = [
        {"dataset": dataset, "origin": row["origin"], "approach": row["name"], "f1": reported.number(row["f1"])}
        for row in theirs
    ]
    best_of = {row["system"]: float(row["f1"]) for row in theirs if row["origin"] in ("reproduced", "ita")}
    for encoder in chosen.encoders:
        name = settings["encoders"][encoder]
        for key in chosen.systems:
            system = settings["systems"][key]
            mine = [ours(runs, encoder, key, view, chosen.split) for view in views_of(system)]
            top = max(row["f1"] for row in mine)
            for row in mine:
                paper = best_of.get(key) if row["f1"] == top else None
                rows.append(
                    {
                        "dataset": dataset,
                        "origin": "ours",
                        "encoder": name,
                        "approach": name_of(system, key, name),
                        "system": key,
                        **row,
                        "paper": paper,
                        "difference": None if paper is None else row["f1"] - paper,
                    }
                )
    numbers = pd.DataFrame(rows)
    notes = [note for note in NOTES if theirs or not note.startswith("The paper")]
    return ReportTable(TITLE, numbers, readable(numbers, chosen.digits), notes, runs.about(), names=2)


def ours(runs: Runs, encoder: str, key: str, view: str, split: str) -> dict[str, Any]:
    """Best of the seeds in one view, the one chosen on dev (none where dev was not tagged), mean, count."""
    mine = runs.of(encoder, key)
    scores = [run.scores(split, view)["f1"] for run in mine]
    at = max(range(len(mine)), key=scores.__getitem__)
    on_dev: list[float] = []
    if split != "dev" and all("dev" in run.facts["scores"] for run in mine):
        on_dev = [run.scores("dev", view)["f1"] for run in mine]
    return {
        "view": VIEWS[view],
        "f1": scores[at],
        "seed": mine[at].seed,
        "chosen_on_dev": scores[max(range(len(mine)), key=on_dev.__getitem__)] if on_dev else None,
        "mean": sum(scores) / len(scores),
        "n": len(scores),
        "seeds": " ".join(f"{score:.4f}" for score in scores),
    }


def readable(numbers: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Origin, approach, view, F1, the seed it came from, chosen on dev, mean, the paper's value, the difference."""
    columns: dict[str, list[str]] = {
        "Origin": [ORIGINS[origin] for origin in numbers["origin"]],
        "Approach": list(numbers["approach"]),
        "View": [value if isinstance(value, str) else "" for value in numbers["view"]],
        "Best F1": [plain(value, f".{digits}f") for value in numbers["f1"]],
        "seed": [plain(value, ".0f") for value in numbers["seed"]],
    }
    forms = {"chosen_on_dev": f".{digits}f", "mean": f".{digits}f", "paper": ".2f", "difference": f"+.{digits}f"}
    for column, form in forms.items():
        if numbers[column].notna().any():
            heading = {"chosen_on_dev": "chosen on dev", "difference": "diff"}.get(column, column)
            columns[heading] = [plain(value, form) for value in numbers[column]]
    columns["n"] = [plain(value, ".0f") for value in numbers["n"]]
    return pd.DataFrame(columns)
