"""Made-up posts, and runs of the train and evaluate stages on them."""

import csv
import hashlib
import json

from ita.cli import run_stage
from ita.stages import evaluate, train

TRAIN = {"epochs": 3, "batch_size": 8, "learning_rate": 5e-3, "crf_learning_rate": 0.05, "loss": "paper"}
LOSS = {"text": 1.0, "image_text": 1.0, "alignment": 1.0, "temperature": 1.0}
RUN = {"dataset": "corpus", "encoder": "tiny", "system": "cva"}
CVA = {"context": "ga", "views": ["t", "it"], "alignment": "posterior"}


def trained(corpus, output, encoder, system=None, expect=0, features=(), objects=(), relations=None, **overrides):
    weights, further = overrides.pop("loss_weights", {}), overrides.pop("further", ())
    settings = {
        "train": {**TRAIN, **overrides},
        "encoder": {"model": str(encoder)},
        "further_encoders": [{"model": str(model)} for model in further],
        "system": system or CVA,
        "loss": {**LOSS, **weights},
        "seed": overrides.pop("seed", 1),
        "run": RUN,
    }
    settings["train"].pop("seed", None)
    arguments = ["--settings", json.dumps(settings), "--output", str(output / "model.safetensors")]
    arguments += ["--posts", str(corpus / "posts.parquet"), "--context", str(corpus / "ga.parquet")]
    arguments += ["--features", *map(str, features), "--objects", *map(str, objects), *beside(output)]
    if relations:
        posts, shards = relations
        arguments += ["--relation-posts", str(posts), "--relation-features", *map(str, shards)]
    arguments += ["--run-settings", str(output / "settings.json"), "--checkpoint", str(output / "checkpoint")]
    assert run_stage(train, arguments) == expect
    return output


def beside(folder):
    """The option of the history in a model folder."""
    return ["--history", str(folder / "history.csv")]


def digest(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def history(folder):
    """Rows of history.csv without names and measured times."""
    with open(folder / "history.csv", newline="") as file:
        return [
            {name: value for name, value in row.items() if name not in (*RUN, "seconds", "subwords_per_second")}
            for row in csv.DictReader(file)
        ]


def evaluated(corpus, run, features=(), objects=(), expect=0):
    arguments = [
        "--model",
        run / "model.safetensors",
        "--posts",
        corpus / "posts.parquet",
        "--context",
        corpus / "ga.parquet",
    ]
    arguments += ["--features", *features, "--objects", *objects, *beside(run)]
    arguments += ["--metrics", run / "metrics.json", "--predictions", run / "predictions.parquet"]
    assert run_stage(evaluate, [*map(str, arguments)]) == expect
    return json.loads((run / "metrics.json").read_text()) if not expect else None
