"""A made data set of any size for the report: posts, pictures, tables of texts, contexts, runs of simulated taggers."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from ita.cli import run_stage
from ita.data.metrics import report as scores_of
from ita.data.tags import spans
from ita.io import parquet
from ita.stages import report
from tests.support.made_reports import make_table
from tests.support.made_runs import run_id
from tests.support.pictures import scene

DATASET = "made"
TYPES = ("LOC", "ORG", "PER")
SYSTEMS = {
    "crf": {"name": "{encoder}-CRF", "context": "none", "views": ["t"]},
    "ita-all": {"name": "ITA-All", "context": "all", "views": ["it"]},
}
RIGHT = {"crf": 0.6, "ita-all": 0.75}
"""Share of the entities that a system gets right."""
CONTEXTS = [["none", {"kinds": []}], ["all", {"kinds": ["la", "ga", "oca"], "budget": {"ga": 4}}]]
TABLES = {"objects": ["vinvl"], "captions": ["vinvl"], "ocr": ["tesseract"], "knowledge": []}
SECTION = {"systems": [*SYSTEMS], "encoders": ["bert"]}
SETTINGS = {
    "report": SECTION,
    "dataset": DATASET,
    "systems": SYSTEMS,
    "encoders": {"bert": "BERT"},
    "contexts": CONTEXTS,
    "tables": TABLES,
    "features": [],
}
NAMES = ("Vospurpo", "Mia Ray", "Lake Tahoe", "Acme", "Old Town", "Zed", "Rosa", "Northport")


def post(number: int, split: str, draw: random.Random) -> dict:
    """A post of a few words with one or two entities; every third has no picture."""
    words, tags = ["this", "is"], ["O", "O"]
    for _ in range(draw.randint(1, 2)):
        name, entity_type = draw.choice(NAMES).split(), draw.choice(TYPES)
        words += [*name, *(f"w{draw.randrange(400)}" for _ in range(draw.randint(1, 8)))]
        tags += [f"B-{entity_type}", *[f"I-{entity_type}"] * (len(name) - 1)]
        tags += ["O"] * (len(words) - len(tags))
    image_id = None if number % 3 == 2 else f"i{number}"
    return {"post_id": f"{split}-{number}", "split": split, "image_id": image_id, "tokens": words, "tags": tags}


def predict(tags: list[str], share: float, draw: random.Random) -> list[str]:
    """Predicted tags: each entity right, of another type, without its last word, or missed; now and then one more."""
    predicted = ["O"] * len(tags)
    for start, end, entity_type in spans(tags):
        error = None if draw.random() < share else draw.choice(["type", "boundary", "missed"])
        named = draw.choice([name for name in TYPES if name != entity_type]) if error == "type" else entity_type
        last = end - 1 if error == "boundary" and end - start > 1 else end
        if error != "missed":
            predicted[start:last] = [f"B-{named}", *[f"I-{named}"] * (last - start - 1)]
    if draw.random() > share:
        predicted[0] = "B-ORG"
    return predicted


def write_tables(folder: Path, counts: dict[str, int], pictures: int) -> list[dict]:
    """Posts and all tables of texts; at most so many different picture files. The posts."""
    draw = random.Random(0)
    posts = [post(number, split, draw) for split, count in counts.items() for number in range(count)]
    image_ids = [f"{row['split']}-{row['image_id']}" if row["image_id"] else None for row in posts]
    posts = [{**row, "image_id": image_id} for row, image_id in zip(posts, image_ids, strict=True)]
    parquet.write("posts", posts, folder / "posts.parquet", {"label_version": "v1"})
    for number in range(pictures):
        scene(200 + number % 7, 150, number % 9).save(folder / f"{number}.jpg", quality=70)
    named = [image_id for image_id in image_ids if image_id]
    files = {image_id: f"{number % pictures}.jpg" for number, image_id in enumerate(named[1:])}
    rows = [{"image_id": named[0], "status": "missing", "path": None, "error": "http-404"}]
    rows += [{"image_id": image_id, "status": "ok", "path": path} for image_id, path in files.items()]
    parquet.write("images", rows, folder / "images.parquet")
    parquet.write(
        "objects", [row for image_id in files for row in objects_of(image_id, draw)], folder / "vinvl.parquet"
    )
    captions = [
        {"image_id": image_id, "rank": rank, "caption": f"a {draw.choice(['dog', 'man'])} number {rank} on grass"}
        for image_id in files
        for rank in range(2)
    ]
    parquet.write("captions", captions, folder / "captions.parquet")
    ocr = [{"image_id": image_id, "text": f"EXIT {image_id}" if draw.random() < 0.5 else ""} for image_id in files]
    parquet.write("ocr", ocr, folder / "tesseract.parquet")
    write_contexts(folder, posts, captions)
    return posts


def objects_of(image_id: str, draw: random.Random) -> list[dict]:
    """Objects of an image, each with one attribute; the last has no box."""
    boxes = [(10, 10, 60, 50), (40, 30, 150, 120), (None,) * 4]
    return [
        {
            "image_id": image_id,
            "rank": rank,
            "label": draw.choice(["person", "dog", "sign"]),
            "score": 0.9 - rank / 10,
            **dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)),
            "attributes": [{"label": "red", "score": 0.5}],
        }
        for rank, box in enumerate(boxes)
    ]


def write_contexts(folder: Path, posts: list[dict], captions: list[dict]) -> None:
    """The context that is empty, and one of captions of which a budget keeps four words."""
    first = {row["image_id"]: row["caption"].split()[:4] for row in captions if row["rank"] == 0}
    empty = [{"post_id": row["post_id"], "tokens": [], "kinds": [], "truncated": 0} for row in posts]
    parquet.write("contexts", empty, folder / "none.parquet")
    words = [first.get(row["image_id"], []) for row in posts]
    full = [
        {**row, "tokens": of_post, "kinds": ["ga"] * len(of_post), "truncated": 8 if of_post else 0}
        for row, of_post in zip(empty, words, strict=True)
    ]
    parquet.write("contexts", full, folder / "all.parquet")


def write_runs(folder: Path, posts: list[dict], seeds=(1, 2, 3), dataset: str = DATASET) -> list[Path]:
    """predictions.parquet of every system and seed on the posts of test and dev."""
    paths = []
    evaluated = [row for row in posts if row["split"] != "train"]
    for system, share in RIGHT.items():
        for seed in seeds:
            rows = []
            for view in ("t", "it"):
                draw = random.Random(f"{system} {seed} {view}")
                for row in evaluated:
                    predicted = predict(row["tags"], share if view == "it" else share - 0.1, draw)
                    entities = [{**s._asdict(), "posterior": round(draw.uniform(0.3, 1), 3)} for s in spans(predicted)]
                    shown = {"post_id": row["post_id"], "split": row["split"], "tokens": row["tokens"]}
                    rows.append({**shown, "view": view, "gold": row["tags"], "predicted": predicted, "spans": entities})
            path = folder / "runs" / f"{system}{seed}" / "predictions.parquet"
            metadata = {"run": run_id(system, seed, dataset=dataset), "label_version": "v1"}
            parquet.write("predictions", rows, path, metadata)
            paths.append(path)
    return paths


def make_report(folder: Path, counts: dict[str, int], pictures: int = 4, expect: int = 0, **section) -> Path:
    """Runs the stage on a made data set; returns the folder of the report."""
    folder.mkdir(parents=True, exist_ok=True)
    posts = write_tables(folder, counts, pictures)
    return run_report(folder, write_runs(folder, posts), expect, **section)


def make_tables(folder: Path, predictions: list[Path]) -> list[Path]:
    """Writes metrics.json, settings.json and history.csv beside predictions, and makes tables; their JSON."""
    for path in predictions:
        write_run_files(path)
    common = {"dataset": DATASET, "note": "", "systems": SYSTEMS, "encoders": {"bert": "BERT"}}
    metrics = [path.with_name("metrics.json") for path in predictions]
    section = {"systems": [*SYSTEMS], "encoders": ["bert"], "resamples": 200}
    return [
        make_table(folder, {**common, "name": name, "table": {**section, "kind": kind}}, metrics).provenance
        for name, kind in (("table1", "f1"), ("table5", "types"))
    ]


def write_run_files(predictions: Path) -> None:
    """What a run folder has beside its predictions: their scores, resolved settings, and three epochs."""
    run = parquet.metadata(predictions)["run"]
    rows = parquet.rows("predictions", predictions)
    scores: dict[str, dict] = {}
    for split, view in sorted({(row["split"], row["view"]) for row in rows}):
        shown = [row for row in rows if (row["split"], row["view"]) == (split, view)]
        scores.setdefault(split, {})[view] = scores_of(
            [row["gold"] for row in shown], [row["predicted"] for row in shown]
        )
    entry = {name: value for name, value in SYSTEMS[run["system"]].items() if name != "name"}
    metrics = {**run, "encoder": {"key": run["encoder"], "model": "bert-base-cased"}, "label_version": "v1"}
    metrics |= {"system": {"key": run["system"], **entry}, "scores": scores, "training": {"updates": 120}}
    settings = {"system": entry, "train": {"epochs": 3, "compile": False}, "seed": run["seed"]}
    stated = {"run": run, "settings": settings, "best_epoch": 2, "device": "cpu", "label_version": "v1"}
    predictions.with_name("metrics.json").write_text(json.dumps(metrics))
    predictions.with_name("settings.json").write_text(json.dumps(stated))
    epochs = [{**run, "epoch": epoch, "dev_f1_t": 40.0 + epoch, "dev_f1_it": 50.0 + epoch} for epoch in (1, 2, 3)]
    lines = [",".join(epochs[0]), *(",".join(map(str, epoch.values())) for epoch in epochs)]
    predictions.with_name("history.csv").write_text("\n".join(lines) + "\n")


def run_report(
    folder: Path, predictions: list[Path], expect: int = 0, note: str = "", tables: Sequence[Path] = (), **section
) -> Path:
    """Runs the stage on files that are there; with tables of ``make_tables`` also on the settings of the runs."""
    settings = {**SETTINGS, "note": note, "report": {**SECTION, **section}}
    arguments = [
        "--settings",
        json.dumps(settings, sort_keys=True),
        "--predictions",
        *predictions,
        "--output",
        folder / "report",
    ]
    arguments += ["--posts", folder / "posts.parquet", "--images", folder / "images.parquet"]
    arguments += ["--contexts", folder / "none.parquet", folder / "all.parquet"]
    arguments += ["--objects", folder / "vinvl.parquet", "--captions", folder / "captions.parquet"]
    arguments += ["--ocr", folder / "tesseract.parquet"]
    if tables:
        arguments += ["--tables", *tables, "--numbers", *(path.with_suffix(".csv") for path in tables)]
        for option, name in (("--run-settings", "settings.json"), ("--histories", "history.csv")):
            arguments += [option, *(path.with_name(name) for path in predictions)]
    assert run_stage(report, [*map(str, arguments)]) == expect
    return folder / "report"


def read_script(path: Path):
    """The value that a script of the report hands to the page."""
    text = path.read_text(encoding="utf-8")
    name, value = json.loads(f"[{text.removeprefix('ita.put(').removesuffix(');' + chr(10))}]")
    assert name == path.stem
    return value
