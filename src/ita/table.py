"""table: metrics of all runs of a dataset -> table1.csv, table1.md, table1.html, table1.json.

Rows and columns of the paper's Table 1: F1 of every system and encoder on text (T) and on text and image text (I+T),
mean and standard deviation over seeds, the paper's value and the difference, and Welch's t-test against the text-only
row.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from ita import stage
from ita.settings import Table
from ita.stage import UserError

VERSION = 1
VIEWS = {"t": "T", "it": "I+T"}
DEMO_NOTE = (
    "The demo is made by the project: these numbers say that the chain works, nothing about tweets. Its pictures are "
    "drawn; VinVL's detector and captioner, small and trained on such drawings, and Tesseract look at them."
)
STYLE = (
    "<style>body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}"
    "th,td{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:right}"
    "th:nth-child(-n+3),td:nth-child(-n+3){text-align:left}caption{text-align:left;padding-bottom:1em}</style>"
)


def work(settings: dict[str, Any], output: Path, metrics: Sequence[Path]) -> None:
    """Writes the table in three forms, and what it was made from.

    Args:
        settings: ``table``, ``dataset``, and the ``systems`` and ``encoders`` with their names.
        output: table1.csv; .md, .html and .json (provenance) are written beside it.
        metrics: metrics.json of every run, in folders {encoder}/{system}/seed{seed}.

    Raises:
        UserError: when a run of the table is missing, or runs were made on other labels than others.
    """
    chosen = stage.section(settings, "table", Table)
    runs = read_runs(metrics, chosen.split)
    versions = sorted({str(run["label_version"]) for run in runs})
    if len(versions) > 1:
        raise UserError(f"runs were made on different labels ({', '.join(versions)}): train them again on one version")
    frame = build(runs, settings, chosen)
    seeds = sorted({run["seed"] for run in runs})
    notes = [
        f"Dataset {settings['dataset']}, labels: {versions[0]}, {chosen.split} split, "
        f"seeds {', '.join(map(str, seeds))}. "
        "F1 in percent (seqeval, default mode): mean ± standard deviation over seeds. "
        "p: Welch's t-test over seeds against the text-only row of the same encoder.",
        *([DEMO_NOTE] if settings["dataset"] == "demo" else []),
    ]
    readable = shown(frame, chosen.digits)
    stage.write_text(
        output.with_suffix(".md"),
        "\n\n".join([readable.to_markdown(index=False, disable_numparse=True), *notes]) + "\n",
    )
    caption = "<caption>" + "<br>".join(notes) + "</caption>"
    page = readable.to_html(index=False, border=0).replace("<thead>", f"{caption}<thead>", 1)
    stage.write_text(output.with_suffix(".html"), f"<!doctype html><meta charset='utf-8'>{STYLE}{page}\n")
    inputs = {"/".join(path.parts[-4:]): path for path in metrics}
    stage.write_json(output.with_suffix(".json"), stage.provenance(settings, inputs))
    stage.write_text(output, frame.assign(label_version=versions[0]).to_csv(index=False, float_format="%.6g"))


def read_runs(metrics: Sequence[Path], split: str) -> list[dict[str, Any]]:
    """One record per run: encoder, system, seed, label version, F1 of each view."""
    runs = []
    for path in metrics:
        try:
            content = json.loads(path.read_text())
            scores = content["scores"][split]
            run = {view: scores[view]["default"]["f1"] for view in VIEWS}
            run |= {f"{view}_strict": scores[view]["strict"]["f1"] for view in VIEWS}
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{path}: not a metrics.json with scores on the split {split!r} ({error})") from None
        encoder, system = path.parts[-4:-2]
        runs.append(
            {
                **run,
                "encoder": encoder,
                "system": system,
                "seed": content["seed"],
                "label_version": content["label_version"],
            }
        )
    return runs


def build(runs: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], chosen: Table) -> pd.DataFrame:
    """The table as numbers, one row per encoder and system."""
    paper = paper_values(str(settings["dataset"]))
    rows = []
    for encoder in chosen.encoders:
        name = settings["encoders"][encoder]
        text_only: list[float] | None = None
        for key in chosen.systems:
            system = settings["systems"][key]
            mine = sorted((r for r in runs if (r["encoder"], r["system"]) == (encoder, key)), key=lambda r: r["seed"])
            if not mine:
                raise UserError(f"no run of {key} with {encoder}: expected its metrics.json among --metrics")
            views = system.get("views", ["t"])
            row: dict[str, Any] = {
                "dataset": settings["dataset"],
                "encoder": name,
                "approach": system.get("name", key).format(encoder=name),
                "trained_on": " and ".join(VIEWS[view] for view in views),
            }
            for view in VIEWS:
                used = view == "t" or system.get("context", "none") != "none" or bool(system.get("regions"))
                values = [run[view] for run in mine] if used else []
                row |= {f"{view}_{column}": value for column, value in summary(values).items()}
                row[f"{view}_strict_mean"] = summary([run[f"{view}_strict"] for run in mine] if used else [])["mean"]
                row[f"{view}_p"] = welch(values, text_only)
                theirs = paper.get((encoder, key), {}).get(view)
                row[f"{view}_paper"] = theirs
                row[f"{view}_difference"] = None if theirs is None or not values else row[f"{view}_mean"] - theirs
            if text_only is None and views == ["t"]:
                text_only = [run["t"] for run in mine]
            rows.append(row)
    return pd.DataFrame(rows)


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Mean, sample standard deviation (none for a single value), count, and the values themselves."""
    series = pd.Series(values, dtype=float)
    return {
        "mean": series.mean() if len(series) else None,
        "std": series.std() if len(series) > 1 else None,
        "n": len(series),
        "seeds": " ".join(f"{value:.4f}" for value in series),
    }


def welch(values: Sequence[float], others: Sequence[float] | None) -> float | None:
    """Two-sided p of Welch's t-test; None where there are fewer than two values on a side."""
    if others is None or len(values) < 2 or len(others) < 2:
        return None
    from scipy.stats import ttest_ind

    return float(ttest_ind(values, others, equal_var=False).pvalue)


def paper_values(dataset: str) -> dict[tuple[str, str], dict[str, float]]:
    """The paper's F1 by (encoder, system) and view."""
    with resources.files("ita.paper").joinpath("table1.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file, comment="#")
    rows = table[table["dataset"] == dataset].to_dict("records")
    return {(row["encoder"], row["system"]): {view: row[view] for view in VIEWS if pd.notna(row[view])} for row in rows}


def shown(frame: pd.DataFrame, digits: int) -> pd.DataFrame:
    """The table for reading: mean ± std, p, the paper's value and the difference per view."""

    def cell(mean: Any, std: Any) -> str:
        if pd.isna(mean):
            return ""
        return f"{mean:.{digits}f}" + ("" if pd.isna(std) else f" ± {std:.{digits}f}")

    def number(value: Any, form: str) -> str:
        return "" if pd.isna(value) else format(value, form)

    columns: dict[str, list[str]] = {
        "Encoder": list(frame["encoder"]),
        "Approach": list(frame["approach"]),
        "Trained on": list(frame["trained_on"]),
    }
    for view, name in VIEWS.items():
        columns[name] = [cell(*pair) for pair in zip(frame[f"{view}_mean"], frame[f"{view}_std"], strict=True)]
        columns[f"p {name}"] = [number(value, ".2g") for value in frame[f"{view}_p"]]
        if frame[f"{view}_paper"].notna().any():
            columns[f"paper {name}"] = [number(value, ".2f") for value in frame[f"{view}_paper"]]
            columns[f"diff {name}"] = [number(value, f"+.{digits}f") for value in frame[f"{view}_difference"]]
    columns["n"] = [str(n) for n in frame["t_n"]]
    return pd.DataFrame(columns)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the stage."""
    return stage.main("table", VERSION, work, inputs={"metrics[]": "metrics.json of every run"}, argv=argv)


if __name__ == "__main__":
    sys.exit(main())
