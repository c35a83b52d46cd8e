"""Real pictures (of tweets, and photos) go through every back end that has weights, by the programs of the stages.

Most weights are tiny and random, so nothing is said of what is found: no picture may be lost or end a stage, and boxes
lie inside their pictures. Every tenth picture is taken, and all of them with ``-m slow``.
"""

import json
import math
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from ita.cli import run_stage
from ita.demo import SHIPPED_MODELS
from ita.io import parquet
from ita.stages import caption, detect, ocr
from ita.vision.detectors.bottomup.config import ATTRIBUTES, OBJECTS
from ita.vision.detectors.vinvl.config import CONFIG
from ita.vision.images import decode, list_image_files
from tests.support.pictures import run, table

PATTERNS = ("tweets30/*/images/*", "vinvl6/images/*", "coco83/images/*.jpg")
CPU = {"device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module", params=["some", pytest.param("all", marks=pytest.mark.slow)])
def photos(request, data, tmp_path_factory):
    """Table of the pictures."""
    files = [file for pattern in PATTERNS for file in sorted(data.glob(pattern))]
    if not files:
        pytest.skip(f"no pictures under {data}")
    folder = tmp_path_factory.mktemp("photos")
    names = {}
    for number, file in enumerate(files if request.param == "all" else files[::10]):
        names[f"p{number:03}"] = f"{number:03}{file.suffix}"
        shutil.copyfile(file, folder / names[f"p{number:03}"])
    return table(folder, **names)


def vinvl(golden, folder):
    about = json.loads((golden / "attrrcnn" / "golden.json").read_text())
    for name in ("model.safetensors", "labelmap.json"):
        shutil.copyfile(golden / "attrrcnn" / name, folder / name)
    counts = {name: about[name] for name in ("num_classes", "num_attributes")}
    (folder / CONFIG).write_text(json.dumps({**about["config"], **counts}))
    return {"model": str(folder)}


def bottomup(golden, folder):
    for name in ("model.safetensors", "config.json", OBJECTS, ATTRIBUTES):
        shutil.copyfile(golden / "bottomup" / name, folder / name)
    return {"backend": "bottomup", "model": str(folder)}


def updown(golden, folder, kind):
    for name in ("safetensors", "opt.json"):
        target = "model.safetensors" if name == "safetensors" else name
        shutil.copyfile(golden / "updown" / f"{kind}.{name}", folder / target)
    facts = json.loads((golden / "updown" / "golden.json").read_text())
    (folder / "vocab.json").write_text(json.dumps(facts["vocab"]))
    return {"backend": "updown", "model": str(folder)}


@pytest.fixture(scope="module")
def sizes(photos):
    """Width and height of each picture, in the order of the table."""
    return {source.image_id: decode(source.path).size for source in list_image_files(photos)}


def narrowed(features, width, output):
    """A table of features of which each region keeps the first ``width`` values, for captioners of that width."""
    rows = []
    for row in parquet.rows("features", features):
        each = len(row["features"]) // max(1, row["regions"])
        parts = [row["features"][start : start + width] for start in range(0, len(row["features"]), each or 1)]
        rows.append({**row, "features": [value for part in parts for value in part]})
    parquet.write("features", rows, output)


def detected(images, folder, settings):
    """Runs detect; paths of its two tables."""
    objects, features = folder / "objects.parquet", folder / "features.parquet"
    given = json.dumps({"detect": {**CPU, "min_objects": 2, **settings}})
    arguments = ["--settings", given, "--images", str(images), "--output", str(objects), "--features", str(features)]
    assert run_stage(detect, arguments) == 0
    return objects, features


@pytest.mark.parametrize("name", ["demo", "vinvl", "bottomup", "transformers"])
def test_detectors(name, photos, sizes, tmp_path, request):
    if name == "demo":
        settings = {"model": str(SHIPPED_MODELS / "detector")}
    elif name == "transformers":
        settings = {"backend": name, "model": request.getfixturevalue("detr"), "score_threshold": 0.0}
    else:
        settings = {"vinvl": vinvl, "bottomup": bottomup}[name](request.getfixturevalue("golden"), tmp_path)
    objects, features = detected(photos, tmp_path, settings)
    rows = parquet.rows("objects", objects)
    assert parquet.metadata(objects)["counts"] == {"images": len(sizes), "objects": len(rows)}
    assert list(dict.fromkeys(row["image_id"] for row in rows)) == list(sizes)
    for row in rows:
        width, height = sizes[row["image_id"]]
        # Boxes are single precision.
        assert -0.01 <= row["x1"] <= row["x2"] <= width + 0.01 and -0.01 <= row["y1"] <= row["y2"] <= height + 0.01
        assert row["label"] and 0 <= row["score"] <= 1
        assert all(one["label"] and 0 <= one["score"] <= 1.001 for one in row["attributes"])
    if name != "transformers":
        kept = parquet.rows("features", features)
        assert [row["image_id"] for row in kept] == list(sizes)
        assert all((row["width"], row["height"]) == sizes[row["image_id"]] for row in kept)
        assert all(math.isfinite(sum(row["features"])) for row in kept)


@pytest.fixture(scope="module")
def seen(photos, golden, tmp_path_factory):
    """Objects of all pictures and their features, by the tiny Bottom-Up detector."""
    folder = tmp_path_factory.mktemp("seen")
    return detected(photos, folder, bottomup(golden, folder))


@pytest.mark.parametrize("name", ["updown", "att2in2", "transformer"])
def test_captioners_of_regions(name, photos, seen, golden, tmp_path):
    objects, features = seen[0], tmp_path / "features.parquet"
    narrowed(seen[1], 20, features)  # what the tiny captioners read
    captioned(
        photos, tmp_path / "o", updown(golden, tmp_path, name), "--objects", str(objects), "--features", str(features)
    )


def test_the_demos_captioner(photos, tmp_path):
    objects, features = detected(photos, tmp_path, {"model": str(SHIPPED_MODELS / "detector")})
    settings = {"model": str(SHIPPED_MODELS / "captioner")}
    captioned(photos, tmp_path / "o", settings, "--objects", str(objects), "--features", str(features))


def test_captioner_of_transformers(photos, blip, tmp_path):
    captioned(photos, tmp_path / "o", {"backend": "transformers", "model": blip})


def captioned(images, output, settings, *more):
    """Runs caption: three captions of every picture."""
    given = json.dumps({"caption": {**CPU, "beams": 3, "captions": 3, "max_tokens": 8, **settings}})
    assert run_stage(caption, ["--settings", given, "--images", str(images), "--output", str(output), *more]) == 0
    found = [(row["image_id"], row["rank"]) for row in parquet.rows("captions", output)]
    assert found == [(source.image_id, rank) for source in list_image_files(images) for rank in range(3)]


def paddle():
    """Settings of PaddleOCR; skips where it is not installed."""
    folder = os.environ.get("ITA_PADDLE_MODELS")
    if not (folder and find_spec("paddleocr")):
        pytest.skip("paddleocr is not installed, or ITA_PADDLE_MODELS names no folder of its models")
    return {"detection_model": str(Path(folder) / "det"), "recognition_model": str(Path(folder) / "rec")}


@pytest.mark.parametrize("engine", ["tesseract", "rapidocr", "paddleocr"])
def test_readers(engine, photos, tmp_path, request):
    settings = {}
    if engine == "tesseract":
        request.getfixturevalue("tesseract")
    elif engine == "rapidocr":
        pytest.importorskip("rapidocr")
    else:
        settings = paddle()
    rows = run(ocr, photos, tmp_path / "o", {"engine": engine, **settings})
    assert [row["image_id"] for row in rows] == [source.image_id for source in list_image_files(photos)]
    assert any(row["text"].strip() for row in rows)
    for row in rows:
        # Tesseract now and then gives a page of white space confidence in words it does not print.
        assert row["confidence"] is None or 0 <= row["confidence"] <= 1
        assert row["confidence"] is not None or not row["text"].strip()
