"""A data set with drawn images that went through every stage, and taggers trained on it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import NamedTuple

import pytest

from ita.cli import run_stage
from ita.demo import SHIPPED_MODELS
from ita.demo.training import dataset
from ita.io import parquet
from ita.stages import caption, context, detect, evaluate, ocr, train
from tests.support import pictures
from tests.support.runs import LOSS, TRAIN, beside

SECTIONS = {
    "detect": {"model": str(SHIPPED_MODELS / "detector"), "min_objects": 1},
    "caption": {"model": str(SHIPPED_MODELS / "captioner")},
    "ocr": {"processes": 1},
    "context": {"kinds": ["la", "ga", "oca"], "captions": 2, "separate_kinds": True},
}
SPLITS = {"train": 10, "dev": 5, "test": 6}
SYSTEMS = {
    "text": {"views": ["t"]},
    "image-text": {"context": "all", "views": ["t", "it"], "alignment": "posterior"},
    "regions": {"context": "none", "views": ["it"], "regions": "demo"},
    "boxes": {"context": "none", "views": ["it"], "regions": "demo", "region_boxes": True, "fusion": "umt"},
}


class Pictured(NamedTuple):
    """The data set's folder, and its posts as ``ita predict`` takes them, by post_id."""

    folder: Path
    posts: dict[str, dict[str, object]]

    def run(self, system: str) -> Path:
        """The run folder of a system."""
        return self.folder / "runs" / system


def stage(module, settings, **options):
    """Runs a stage from its command line."""
    arguments = ["--settings", json.dumps(settings)]
    for name, value in options.items():
        files = value if isinstance(value, list) else [value]
        arguments += [f"--{name.replace('_', '-')}", *map(str, files)]
    assert run_stage(module, arguments) == 0


@pytest.fixture(scope="session")
def pictured(tmp_path_factory, tiny_encoder, request):
    """Posts, most of them with an image; run folders of SYSTEMS."""
    folder = tmp_path_factory.mktemp("pictured")
    draw = random.Random(0)
    names = [f"{split}-{number}" for split, count in SPLITS.items() for number in range(count)]
    posts, rows, files = {}, [], {}
    for name, example in zip(names, dataset.render_scenes("test", len(names)), strict=False):
        words = [draw.choice("abcde") * draw.randint(1, 3) for _ in range(draw.randint(2, 6))]
        words[draw.randrange(len(words))] = "x" + draw.choice("abcde")
        tags = [f"B-{draw.choice(['PER', 'LOC'])}" if word[0] == "x" else "O" for word in words]
        files[name] = None if name.endswith("4") else f"{name}.png"
        if files[name]:
            example.image.image.save(folder / files[name])
        split = name.partition("-")[0]
        rows.append({"post_id": name, "split": split, "image_id": name, "tokens": words, "tags": tags, "repaired": 0})
        posts[name] = {"id": name, "tokens": words, "image": str(folder / (files[name] or "gone.png"))}
    parquet.write("posts", rows, folder / "posts.parquet", {"label_version": "made up"})
    images = pictures.table(folder, **files)
    tables = {name: folder / f"{name}.parquet" for name in ("objects", "features", "captions", "ocr", "all", "none")}
    stage(detect, SECTIONS, images=images, output=tables["objects"], features=tables["features"])
    regions = {"objects": tables["objects"], "features": tables["features"]}
    stage(caption, SECTIONS, images=images, output=tables["captions"], **regions)
    stage(ocr, SECTIONS, images=images, output=tables["ocr"])
    common = {"posts": folder / "posts.parquet", "cache": folder}
    made = {name: tables[name] for name in ("objects", "captions", "ocr")}
    stage(context, SECTIONS, output=tables["all"], **common, **made)
    stage(context, {"context": {}}, output=tables["none"], **common)
    for system, values in SYSTEMS.items():
        train_run(folder, system, values, tiny_encoder, tables)
    return Pictured(folder, posts)


def train_run(folder, system, values, encoder, tables):
    """Trains and evaluates one system."""
    run = folder / "runs" / system
    settings = {
        "train": {**TRAIN, "epochs": 6},
        "encoder": {"model": str(encoder)},
        "system": values,
        "loss": LOSS,
        "seed": 1,
        "run": {"dataset": "pictured", "encoder": "tiny", "system": system},
    }
    reads = {"posts": folder / "posts.parquet", "context": tables[values.get("context", "none")]}
    if "regions" in values:
        reads["features"] = tables["features"]
    if values.get("region_boxes"):
        reads["objects"] = tables["objects"]
    written = {"output": run / "model.safetensors", "run_settings": run / "settings.json"}
    stage(train, settings, **written, history=run / "history.csv", checkpoint=run / "checkpoint", **reads)
    scores = {"metrics": run / "metrics.json", "predictions": run / "predictions.parquet"}
    stage(evaluate, {}, model=run / "model.safetensors", history=run / "history.csv", **scores, **reads)
    assert beside(run)
