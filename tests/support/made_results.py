"""The folder of a data set's results as the pipeline lays it out, with runs of ``made_runs``."""

import json
import shutil

from ita.cli import run_stage
from ita.data.evaluation_inputs import results_hash
from ita.io import parquet
from ita.io.files import sha256
from ita.stages import cases
from tests.support import made_runs
from tests.support.made_reports import figure_settings, make_figure, make_table, table_settings

SYSTEMS = ("crf", "ita-all", "ita-all-cva")
ENTRIES = {name: made_runs.SYSTEMS[name] for name in SYSTEMS}
TABLES = {"table1": {"kind": "f1", "baseline": "crf"}, "table2": {"kind": "best"}, "table5": {"kind": "types"}}


def write_contexts(folder, rows, name):
    """A context table."""
    table = [
        {"post_id": post, "tokens": list(context.words), "kinds": list(context.kinds), "truncated": 0}
        for post, context in made_runs.contexts(rows, name).items()
    ]
    parquet.write("contexts", table, folder / "contexts" / f"{name}.parquet", {"label_version": "v1"})


def make_results(folder, seeds=(1, 2), posts=40):
    """Posts, contexts and runs; returns the folder and the paths of metrics.json."""
    rows = made_runs.posts(posts)
    results = folder / made_runs.DATASET
    results.mkdir(parents=True)
    parquet.write("posts", rows, results / "posts.parquet", {"label_version": "v1"})
    for name in ("none", "all"):
        write_contexts(results, rows, name)
    return results, [place(results, path) for path in made_runs.write(folder / "made", rows, ENTRIES, seeds)]


def place(results, metrics_file):
    """Moves a made run to its place, with a model, its settings and hashes of what it read."""
    metrics = json.loads(metrics_file.read_text())
    run = {
        "dataset": metrics["dataset"],
        "encoder": "bert",
        "system": metrics["system"]["key"],
        "seed": metrics["seed"],
    }
    folder = results / "runs" / "bert" / run["system"] / f"seed{run['seed']}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(metrics_file.parent, folder)
    (folder / "model.safetensors").write_text(str(run))
    (folder / "settings.json").write_text(json.dumps({"run": run, "label_version": "v1"}))
    context = results / "contexts" / f"{metrics['system']['context']}.parquet"
    inputs = {"model": folder / "model.safetensors", "posts": results / "posts.parquet", "context": context}
    stated = {"inputs": {name: sha256(file) for name, file in inputs.items()}}
    rewrite(folder / "predictions.parquet", stated)
    metrics |= {**stated, "predictions_sha256": sha256(folder / "predictions.parquet")}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder / "metrics.json"


def rewrite(predictions, metadata=None, change=lambda row: None):
    """Writes predictions again, with more metadata and changed rows; values of None are left out."""
    rows, about = parquet.rows("predictions", predictions), parquet.metadata(predictions)
    for row in rows:
        change(row)
    about = {name: value for name, value in {**about, **(metadata or {})}.items() if value is not None}
    parquet.write("predictions", rows, predictions, about)


def restate(metrics_file, **values):
    """Changes a metrics.json and what its predictions state of it, as if it had been evaluated so."""
    metrics = {**json.loads(metrics_file.read_text()), **values}
    predictions = metrics_file.with_name("predictions.parquet")
    rewrite(predictions, {"results_sha256": results_hash(metrics), **values})
    metrics["predictions_sha256"] = sha256(predictions)
    metrics_file.write_text(json.dumps({name: value for name, value in metrics.items() if value is not None}))


def make_displays(results, metrics, tables=("table1",)):
    """Tables, Figure 2 and the cases of the runs, in the folder of the results."""
    for name in tables:
        files = make_table(results / ".made", table_settings(name=name, entries=ENTRIES, **TABLES[name]), metrics)
        for path in vars(files).values():
            shutil.move(path, results / path.name)
    figure = make_figure(results / ".made", figure_settings("captions"), metrics)
    for path in figure.parent.glob("figure2.*"):
        shutil.move(path, results / path.name)
    roles = {"text_only": "crf", "image_text": "ita-all", "aligned": "ita-all-cva"}
    settings = {"cases": {"encoder": "bert", **roles}, "dataset": made_runs.DATASET, "names": roles}
    parquet.write("images", [], results / "images.parquet")
    arguments = ["--settings", json.dumps(settings), "--predictions", *made_runs.predictions_of(metrics)]
    arguments += ["--posts", results / "posts.parquet", "--images", results / "images.parquet"]
    arguments += ["--context", results / "contexts/all.parquet", "--output", results / "cases.parquet"]
    arguments += ["--markdown", results / "cases.md", "--html", results / "cases.html"]
    assert run_stage(cases, [*map(str, arguments)]) == 0
