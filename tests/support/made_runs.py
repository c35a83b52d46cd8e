"""Run folders of made-up taggers: metrics.json and predictions.parquet that agree with each other."""

import json
import random

from ita.data.metrics import report
from ita.data.tags import spans
from ita.io import parquet

TYPES = ("LOC", "PER")
SYSTEMS = {
    "crf": {"name": "{encoder}-CRF", "context": "none", "views": ["t"]},
    "ita-all": {"name": "ITA-All", "context": "all", "views": ["it"]},
    "ita-all-cva": {"name": "ITA-All+CVA", "context": "all", "views": ["t", "it"], "alignment": "posterior"},
    "ita-random": {"name": "ITA-Random", "context": "random", "views": ["it"]},
}
RIGHT = {
    # Share of entities that a tagger gets right, by view.
    "crf": {"t": 0.6, "it": 0.6},
    "ita-all": {"t": 0.4, "it": 0.9},
    "ita-all-cva": {"t": 0.6, "it": 0.85},
    "ita-random": {"t": 0.4, "it": 0.55},
}


def posts(count=60, seed=0):
    """Posts of four words, one of which is an entity; train and test."""
    draw = random.Random(seed)
    rows = []
    for split in ("train", "test"):
        for n in range(count):
            tags = ["O"] * 4
            at, length = draw.randrange(3), draw.choice([1, 2])
            kind = draw.choice(TYPES)
            tags[at : at + length] = [f"B-{kind}", f"I-{kind}"][:length]
            words = [f"w{draw.randrange(20)}" for _ in tags]
            name = f"{split}-{n}"
            image = f"{name}.jpg" if n % 3 else None
            rows.append({"post_id": name, "split": split, "image_id": image, "tokens": words, "tags": tags})
    return rows


def tagged(tags, right, draw):
    """What a tagger finds: the tags, or another type, shorter by a word, or nothing."""
    if draw.random() < right:
        return list(tags)
    (span,) = spans(tags)
    found = ["O"] * len(tags)
    fault = draw.choice(["type", "length", "nothing"])
    if fault == "type":
        found[span.start : span.end] = [
            t.replace(span.type, "LOC" if span.type == "PER" else "PER") for t in tags[span.start : span.end]
        ]
    elif fault == "length":
        found[span.start] = tags[span.start]
    return found


def write(folder, rows, systems=SYSTEMS, seeds=(1, 2, 3), encoder="bert", version="v1", right=RIGHT):
    """Runs of taggers on the test posts; returns the paths of metrics.json."""
    paths = []
    test = [row for row in rows if row["split"] == "test"]
    for system in systems:
        for seed in seeds:
            run = folder / encoder / system / f"seed{seed}"
            run.mkdir(parents=True, exist_ok=True)
            predictions, scores = [], {}
            for view in ("t", "it"):
                draw = random.Random(f"{encoder} {system} {seed} {view}")
                found = [tagged(row["tags"], right[system][view], draw) for row in test]
                scores[view] = report([row["tags"] for row in test], found)
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
                    for row, tags in zip(test, found, strict=True)
                ]
            parquet.write("predictions", predictions, run / "predictions.parquet")
            facts = {
                "dataset": "made up",
                "encoder": {"key": encoder, "model": "bert-base-cased"},
                "system": {"key": system},
                "seed": seed,
                "label_version": version,
                "scores": {"test": scores},
            }
            facts["representation_distance"] = {"test": 1.0 + seed if system != "crf" else None}
            (run / "metrics.json").write_text(json.dumps(facts))
            paths.append(run / "metrics.json")
    return paths


def overwrite(paths, values):
    """Puts chosen F1 into metrics.json: system -> view -> one value per seed; strict is one point lower."""
    for path in paths:
        system = path.parts[-3]
        facts = json.loads(path.read_text())
        for view, scores in values.get(system, {}).items():
            value = scores[facts["seed"] - 1]
            facts["scores"]["test"][view]["default"]["f1"] = value
            facts["scores"]["test"][view]["strict"]["f1"] = value - 1
        path.write_text(json.dumps(facts))
