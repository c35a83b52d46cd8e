"""Settings of tables and figures, and both made from runs of ``made_runs``: by their builders and by their stages."""

import json

from ita.cli import run_stage
from ita.config import Figure, Table
from ita.reporting.render import TableFiles
from ita.reporting.report_rows import ReportSettings
from ita.reporting.runs import Runs
from ita.stages import figure, table
from tests.support.made_runs import DATASET, SYSTEMS, predictions_of

ROWS = ("crf", "ita-all", "ita-all-cva")
F1 = {
    "crf": {"t": [80.0, 81.0, 82.0], "it": [80.0, 81.0, 82.0]},
    "ita-all": {"t": [70.0, 70.5, 71.0], "it": [90.0, 91.0, 93.0]},
    "ita-all-cva": {"t": [80.5, 81.5, 82.5], "it": [80.0, 81.0, 82.5]},
    "ita-random": {"t": [70.0, 70.5, 71.0], "it": [79.0, 81.0, 80.0]},
}
"""For ``made_runs.overwrite``."""
CAPTIONS = {"crf": 0, "ita-all": 3, "ita-all-cva": 5}


def table_settings(
    kind="f1", systems=ROWS, name="table1", note="", control_systems=None, matched_rows=(), entries=SYSTEMS, **section
):
    """Settings of a table with few resamples; ``entries`` are all systems that it reads."""
    return {
        "table": {"kind": kind, "systems": list(systems), "encoders": ["bert"], "resamples": 500, **section},
        "name": name,
        "dataset": DATASET,
        "note": note,
        "systems": entries,
        "encoders": {"bert": "BERT"},
        "control_systems": control_systems or {},
        "matched_rows": list(matched_rows),
    }


def figure_settings(kind, systems=ROWS, name="figure2", note=""):
    """Settings of a figure."""
    return {
        "figure": {"kind": kind, "systems": list(systems), "encoders": ["bert"]},
        "name": name,
        "dataset": DATASET,
        "note": note,
        "systems": SYSTEMS,
        "encoders": {"bert": "BERT"},
        "captions": CAPTIONS,
    }


def table_inputs(metrics, settings):
    """Arguments of a table's builder."""
    runs = Runs(settings["dataset"], metrics, predictions_of(metrics))
    return runs, ReportSettings.read(settings), Table(**settings["table"])


def figure_inputs(metrics, settings):
    """Arguments of a figure's ``draw``."""
    return Runs(settings["dataset"], metrics), ReportSettings.read(settings), Figure(**settings["figure"])


def make_table(folder, settings, metrics=(), predictions=None, expect=0, **files):
    """Runs the stage table; returns the files that it writes."""
    outputs = TableFiles.in_folder(folder / "out", settings["name"])
    predictions = predictions_of(metrics) if predictions is None else predictions
    arguments = ["--settings", json.dumps(settings), "--metrics", *metrics, "--predictions", *predictions]
    for option, path in {**vars(outputs), **files}.items():
        arguments += [f"--{option}", path]
    assert run_stage(table, [*map(str, arguments)]) == expect
    return outputs


def make_figure(folder, settings, metrics=(), histories=(), expect=0):
    """Runs the stage figure; returns the path of the SVG."""
    svg = folder / f"{settings['name']}.svg"
    run_settings = [path.with_name("settings.json") for path in histories]
    arguments = ["--settings", json.dumps(settings), "--metrics", *metrics]
    arguments += ["--histories", *histories, "--run-settings", *run_settings, "--provenance", svg.with_suffix(".json")]
    for option in ("svg", "pdf", "csv"):
        arguments += [f"--{option}", svg.with_suffix(f".{option}")]
    assert run_stage(figure, [*map(str, arguments)]) == expect
    return svg
