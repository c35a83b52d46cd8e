"""Real images (of tweets, and photos) go through every backend that has weights, by the programs of the stages.

Most weights are tiny and random, so results are not checked: no image may be lost or end a stage, and boxes are inside
their images. Every tenth image is used, and all of them with ``-m slow``.
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
    """Table of the images."""
    files = [file for pattern in PATTERNS for file in sorted(data.glob(pattern))]
    if not files:
        pytest.skip(f"no images under {data}")
    folder = tmp_path_factory.mktemp("photos")
    names = {}
    for number, file in enumerate(files if request.param == "all" else files[::10]):
        names[f"p{number:03}"] = f"{number:03}{file.suffix}"
        shutil.copyfile(file, folder / names[f"p{number:03}"])
    return table(folder, **names)


def vinvl(golden, folder):
    """Settings of the tiny VinVL detector."""
    description = json.loads((golden / "attrrcnn" / "golden.json").read_text())
    for name in ("model.safetensors", "labelmap.json"):
        shutil.copyfile(golden / "attrrcnn" / name, folder / name)
    counts = {name: description[name] for name in ("num_classes", "num_attributes")}
    (folder / CONFIG).write_text(json.dumps({**description["config"], **counts}))
    return {"model": str(folder)}


def bottomup(golden, folder):
    """Settings of the tiny Bottom-Up detector."""
    for name in ("model.safetensors", "config.json", OBJECTS, ATTRIBUTES):
        shutil.copyfile(golden / "bottomup" / name, folder / name)
    return {"backend": "bottomup", "model": str(folder)}


def updown(golden, folder, kind):
    """Settings of a tiny captioner of ImageCaptioning.pytorch."""
    for name in ("safetensors", "opt.json"):
        target = "model.safetensors" if name == "safetensors" else name
        shutil.copyfile(golden / "updown" / f"{kind}.{name}", folder / target)
    description = json.loads((golden / "updown" / "golden.json").read_text())
    (folder / "vocab.json").write_text(json.dumps(description["vocab"]))
    return {"backend": "updown", "model": str(folder)}


@pytest.fixture(scope="module")
def sizes(photos):
    """Width and height of each image, in the order of the table."""
    return {image_file.image_id: decode(image_file.path).size for image_file in list_image_files(photos)}


def narrowed(features, width, output):
    """A table of features of which each region keeps the first ``width`` values, for captioners of that width."""
    rows = []
    for row in parquet.rows("features", features):
        full_width = len(row["features"]) // max(1, row["regions"]) or 1
        starts = range(0, len(row["features"]), full_width)
        rows.append(
            {**row, "features": [value for start in starts for value in row["features"][start : start + width]]}
        )
    parquet.write("features", rows, output)


def detected(images, folder, settings):
    """Runs detect; paths of its two tables."""
    objects, features = folder / "objects.parquet", folder / "features.parquet"
    content = json.dumps({"detect": {**CPU, "min_objects": 2, **settings}})
    arguments = ["--settings", content, "--images", str(images), "--output", str(objects), "--features", str(features)]
    assert run_stage(detect, arguments) == 0
    return objects, features


GOLDEN = [pytest.param(name, marks=pytest.mark.golden) for name in ("vinvl", "bottomup")]


@pytest.mark.parametrize("name", ["demo", *GOLDEN, "transformers"])
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
        assert all(attribute["label"] and 0 <= attribute["score"] <= 1.001 for attribute in row["attributes"])
    if name != "transformers":
        feature_rows = parquet.rows("features", features)
        assert [row["image_id"] for row in feature_rows] == list(sizes)
        assert all((row["width"], row["height"]) == sizes[row["image_id"]] for row in feature_rows)
        assert all(math.isfinite(sum(row["features"])) for row in feature_rows)
        assert sum(row["regions"] for row in feature_rows) == len(rows)


@pytest.fixture(scope="module")
def bottomup_tables(photos, golden, tmp_path_factory):
    """Objects of all images and their features, by the tiny Bottom-Up detector."""
    folder = tmp_path_factory.mktemp("detected")
    return detected(photos, folder, bottomup(golden, folder))


@pytest.mark.golden
@pytest.mark.parametrize("name", ["updown", "att2in2", "transformer"])
def test_captioners_of_regions(name, photos, bottomup_tables, golden, tmp_path):
    objects, features = bottomup_tables[0], tmp_path / "features.parquet"
    narrowed(bottomup_tables[1], 20, features)  # the width that the tiny captioners read
    check_captions(
        photos, tmp_path / "o", updown(golden, tmp_path, name), "--objects", str(objects), "--features", str(features)
    )


def test_the_demos_captioner(photos, tmp_path):
    objects, features = detected(photos, tmp_path, {"model": str(SHIPPED_MODELS / "detector")})
    settings = {"model": str(SHIPPED_MODELS / "captioner")}
    check_captions(photos, tmp_path / "o", settings, "--objects", str(objects), "--features", str(features))


def test_captioner_of_transformers(photos, blip, tmp_path):
    check_captions(photos, tmp_path / "o", {"backend": "transformers", "model": blip})


def check_captions(images, output, settings, *arguments):
    """Runs caption: three captions of every image, best first."""
    content = json.dumps({"caption": {**CPU, "beams": 3, "captions": 3, "max_tokens": 8, **settings}})
    command = ["--settings", content, "--images", str(images), "--output", str(output), *arguments]
    assert run_stage(caption, command) == 0
    rows = parquet.rows("captions", output)
    logprobs = [row["logprob"] for row in rows]
    assert all(logprobs[i] >= logprobs[i + 1] for i in range(len(rows) - 1) if rows[i]["rank"] < 2)
    assert [(row["image_id"], row["rank"]) for row in rows] == [
        (image_file.image_id, rank) for image_file in list_image_files(images) for rank in range(3)
    ]


def paddle():
    """Settings of PaddleOCR; skips where it is not installed."""
    folder = os.environ.get("ITA_PADDLE_MODELS")
    if not (folder and find_spec("paddleocr")):
        pytest.skip("paddleocr is not installed, or ITA_PADDLE_MODELS names no folder of its models")
    return {"detection_model": str(Path(folder) / "det"), "recognition_model": str(Path(folder) / "rec")}


@pytest.mark.parametrize("engine", ["tesseract", "rapidocr", "paddleocr"])
def test_ocr_engines(engine, photos, tmp_path, request):
    settings = {}
    if engine == "tesseract":
        request.getfixturevalue("tesseract")
    elif engine == "rapidocr":
        pytest.importorskip("rapidocr")
    else:
        settings = paddle()
    rows = run(ocr, photos, tmp_path / "o", {"engine": engine, **settings})
    assert [row["image_id"] for row in rows] == [image_file.image_id for image_file in list_image_files(photos)]
    assert any(row["text"].strip() for row in rows)
    for row in rows:
        # Tesseract sometimes gives a page of white space a confidence, of words that it does not print.
        assert row["confidence"] is None or 0 <= row["confidence"] <= 1
        assert row["confidence"] is not None or not row["text"].strip()
