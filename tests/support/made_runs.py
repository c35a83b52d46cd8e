"""Runs of simulated taggers: metrics.json, predictions.parquet and history.csv that agree with each other."""

import json
import random

import pandas as pd

from ita.data.evaluation_inputs import evaluation_hashes, results_hash
from ita.data.metrics import TASK_VERSIONS, report
from ita.data.tags import spans
from ita.data.visual_context import EMPTY, VisualContext
from ita.io import parquet
from ita.io.files import sha256

DATASET = "twitter17"
TYPES = ("LOC", "PER")
SYSTEMS = {
    "crf": {"name": "{encoder}-CRF", "context": "none", "views": ["t"]},
    "ita-all": {"name": "ITA-All", "context": "all", "views": ["it"]},
    "ita-all-cva": {"name": "ITA-All+CVA", "context": "all", "views": ["t", "it"], "alignment": "posterior"},
    "ita-random": {"name": "ITA-Random", "context": "random", "views": ["it"]},
}
LABEL_SCHEMES = {
    "crf": SYSTEMS["crf"],
    "crf-x": {"name": "{encoder}-CRF with X", "views": ["t"], "label_scheme": "x_subword", "tag_format": "iob2"},
    "umt-words": {"name": "UMT words", "views": ["it"], "regions": "resnet", "fusion": "umt", "tag_format": "iob2"},
    "umt": {
        "name": "UMT",
        "views": ["it"],
        "regions": "resnet",
        "fusion": "umt",
        "tag_format": "iob2",
        "label_scheme": "x_subword",
    },
}
"""Systems with and without labels of all subwords."""
CONTROL = {"crf-updates": {"name": "{encoder}-CRF (updates)", "views": ["t"]}}
"""The control of as many updates."""
ALL_SYSTEMS = SYSTEMS | LABEL_SCHEMES | CONTROL
RECALL = {
    # Share of posts that a tagger gets right, by view.
    "crf": {"t": 0.6, "it": 0.6},
    "ita-all": {"t": 0.4, "it": 0.9},
    "ita-all-cva": {"t": 0.6, "it": 0.85},
    "ita-random": {"t": 0.4, "it": 0.55},
    "crf-updates": {"t": 0.8, "it": 0.8},
    "crf-x": {"t": 0.5, "it": 0.5},
    "umt-words": {"t": 0.6, "it": 0.7},
    "umt": {"t": 0.6, "it": 0.7},
}


def posts(count=60, seed=0):
    """Posts of four words, one of which is an entity; train and test."""
    draw = random.Random(seed)
    rows = []
    for split in ("train", "test"):
        for number in range(count):
            tags = ["O"] * 4
            start, length = draw.randrange(3), draw.choice([1, 2])
            entity_type = draw.choice(TYPES)
            tags[start : start + length] = [f"B-{entity_type}", f"I-{entity_type}"][:length]
            words = [f"w{draw.randrange(20)}" for _ in tags]
            post_id = f"{split}-{number}"
            image_id = f"{post_id}.jpg" if number % 3 else None
            rows.append({"post_id": post_id, "split": split, "image_id": image_id, "tokens": words, "tags": tags})
    return rows


def predict(tags, recall, draw):
    """Predicted tags: the gold ones, or another type, or one word less, or nothing."""
    if draw.random() < recall:
        return list(tags)
    (span,) = spans(tags)
    predicted = ["O"] * len(tags)
    error = draw.choice(["type", "length", "nothing"])
    if error == "type":
        wrong_type = "LOC" if span.type == "PER" else "PER"
        predicted[span.start : span.end] = [tag.replace(span.type, wrong_type) for tag in tags[span.start : span.end]]
    elif error == "length":
        predicted[span.start] = tags[span.start]
    return predicted


def contexts(rows, name):
    """Visual contexts of posts by the name of a context: nothing, or two words."""
    words = {row["post_id"]: (f"a{number}", name) for number, row in enumerate(rows)}
    return {post: EMPTY if name == "none" else VisualContext(context, ("ga", "ga")) for post, context in words.items()}


def run_id(system, seed, encoder="bert", dataset=DATASET):
    """Identity of a run, as predictions.parquet states it."""
    return {"dataset": dataset, "encoder": encoder, "system": system, "seed": seed}


def write(folder, rows, systems=SYSTEMS, seeds=(1, 2, 3), encoder="bert", version="v1", recall=RECALL):
    """Runs of taggers on the test posts; returns the paths of metrics.json.

    Folders have meaningless names: what a run is called stands in its files.
    """
    paths = []
    test = [row for row in rows if row["split"] == "test"]
    for system in systems:
        for seed in seeds:
            run = folder / "runs" / f"{len(paths)}"
            run.mkdir(parents=True, exist_ok=True)
            predictions, scores = [], {}
            for view in ("t", "it"):
                draw = random.Random(f"{encoder} {system} {seed} {view}")
                predicted = [predict(row["tags"], recall[system][view], draw) for row in test]
                scores[view] = report([row["tags"] for row in test], predicted)
                if ALL_SYSTEMS[system].get("label_scheme") == "x_subword":
                    scores[view]["upstream"] = {"f1": scores[view]["default"]["f1"] - seed}
                predictions += [
                    {
                        "post_id": row["post_id"],
                        "split": "test",
                        "view": view,
                        "tokens": row["tokens"],
                        "gold": row["tags"],
                        "predicted": tags,
                        "spans": [{**s._asdict(), "posterior": round(draw.uniform(0.3, 1), 3)} for s in spans(tags)],
                    }
                    for row, tags in zip(test, predicted, strict=True)
                ]
            identity = run_id(system, seed, encoder)
            entry = {name: value for name, value in ALL_SYSTEMS[system].items() if name != "name"}
            read = contexts(rows, entry.get("context", "none"))
            metrics = {
                **identity,
                "encoder": {"key": encoder, "model": "bert-base-cased"},
                "system": {"key": system, **entry},
                "label_version": version,
                "scores": {"test": scores},
                "representation_distance": {"test": 1.0 + seed if system != "crf" else None},
            }
            stated = {"task_versions": TASK_VERSIONS, "evaluation": evaluation_hashes(rows, read, None, ["test"])}
            metadata = {
                "run": identity,
                "label_version": version,
                "seed": seed,
                "results_sha256": results_hash(metrics),
            }
            parquet.write("predictions", predictions, run / "predictions.parquet", {**metadata, **stated})
            metrics |= {**stated, "predictions_sha256": sha256(run / "predictions.parquet")}
            (run / "metrics.json").write_text(json.dumps(metrics))
            paths.append(run / "metrics.json")
    return paths


def predictions_of(paths):
    """predictions.parquet of the runs whose metrics are given."""
    return [path.with_name("predictions.parquet") for path in paths]


def of_system(paths, *systems):
    """The metrics of some systems only."""
    return [path for path in paths if json.loads(path.read_text())["system"]["key"] in systems]


def prediction_rows(paths, system, view):
    """Rows of the predictions of a system in a view, by seed."""
    for path in predictions_of(of_system(paths, system)):
        yield [row for row in parquet.rows("predictions", path) if row["view"] == view]


def f1_by_hand(rows, select=lambda row: True, part=lambda row, found: found):
    """F1 of predictions, counted span by span: of the selected posts, of a part of the spans."""
    true_positives = predicted = gold = 0
    for row in filter(select, rows):
        gold_spans, predicted_spans = (part(row, set(spans(tags))) for tags in (row["gold"], row["predicted"]))
        true_positives += len(gold_spans & predicted_spans)
        predicted += len(predicted_spans)
        gold += len(gold_spans)
    return 200 * true_positives / (predicted + gold)


def overwrite(paths, values):
    """Puts given F1 into metrics.json: system -> view -> one value per seed; strict is one point lower."""
    for path in paths:
        metrics = json.loads(path.read_text())
        for view, scores in values.get(metrics["system"]["key"], {}).items():
            value = scores[metrics["seed"] - 1]
            metrics["scores"]["test"][view]["default"]["f1"] = value
            metrics["scores"]["test"][view]["strict"]["f1"] = value - 1
        path.write_text(json.dumps(metrics))


def edit(path, **values):
    """Changes values of a metrics.json; None removes them."""
    metrics = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({key: value for key, value in metrics.items() if value is not None}))


def state_training(paths, updates, subwords=1_234_567):
    """States in metrics.json what training took: system -> updates."""
    for path in paths:
        system = json.loads(path.read_text())["system"]["key"]
        if system in updates:
            edit(path, training={"updates": updates[system], "subwords": subwords})


def write_histories(folder, systems=("crf", "ita-all-cva"), seeds=(1, 2), version="v1"):
    """history.csv and settings.json of runs of two epochs; returns the paths of history.csv."""
    paths = []
    for system in systems:
        for seed in seeds:
            path = folder / "histories" / f"{len(paths)}" / "history.csv"
            path.parent.mkdir(parents=True)
            curves = {f"dev_f1_{view}": [50.0, 60.0 + seed] for view in SYSTEMS[system]["views"]}
            run = {"encoder": "bert", "system": system, "seed": seed}
            pd.DataFrame({**run, "epoch": [1, 2], **curves}).to_csv(path, index=False)
            path.with_name("settings.json").write_text(json.dumps({"label_version": version}))
            paths.append(path)
    return paths
