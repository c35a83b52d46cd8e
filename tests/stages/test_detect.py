"""The stage detect with tiny models of random weights, saved and loaded through the Auto classes."""

import json
import logging
import os
import shutil
import subprocess
import sys
import time

import pytest
from PIL import Image

from ita.config import Detect
from ita.errors import UserError
from ita.io import parquet
from ita.model import hub
from ita.stages import detect
from ita.vision import images
from ita.vision.detectors.transformers import TransformersDetector
from tests.support.pictures import run, save_turned, scene, table

TINY = {"backend": "transformers", "score_threshold": 0.0, "max_objects": 7, "device": "cpu", "precision": "fp32"}


@pytest.fixture
def pictures(tmp_path):
    scene(120, 80, 0).save(tmp_path / "a.png")
    scene(80, 120, 1).save(tmp_path / "b.png")
    scene(120, 80, 2).save(tmp_path / "c.png")
    return table(tmp_path, a="a.png", b="b.png", gone=None, c="c.png")


def test_objects_are_sorted_bounded_and_in_pixels(pictures, detr, tmp_path):
    rows = run(detect, pictures, tmp_path / "out.parquet", TINY, model=detr)
    sizes = {"a": (120, 80), "b": (80, 120), "c": (120, 80)}
    assert {row["image_id"] for row in rows} == set(sizes)
    for image_id, (width, height) in sizes.items():
        own = [row for row in rows if row["image_id"] == image_id]
        assert [row["rank"] for row in own] == list(range(len(own))) and 0 < len(own) <= 7
        assert [row["score"] for row in own] == sorted((row["score"] for row in own), reverse=True)
        for row in own:
            assert 0 <= row["x1"] <= row["x2"] <= width and 0 <= row["y1"] <= row["y2"] <= height
            assert row["label"] in {"person", "traffic light", "cat"} and row["attributes"] == []
    threshold = sorted(row["score"] for row in rows)[len(rows) // 2]
    fewer = run(detect, pictures, tmp_path / "few.parquet", TINY, model=detr, score_threshold=threshold)
    assert 0 < len(fewer) < len(rows) and min(row["score"] for row in fewer) >= threshold
    about = parquet.metadata(parquet.read("objects", tmp_path / "out.parquet"))
    assert about["engine"]["class"] == "DetrForObjectDetection" and "model.safetensors" in about["engine"]["weights"]
    assert about["counts"] == {"images": 3, "objects": len(rows)} and "images" in about["inputs"]


def same(left, right, tolerance=2e-3):
    """Rows are equal, boxes to a fraction of a pixel and scores to rounding."""
    assert [(row["image_id"], row["label"]) for row in left] == [(row["image_id"], row["label"]) for row in right]
    for one, two in zip(left, right, strict=True):
        assert one["score"] == pytest.approx(two["score"], abs=1e-5)
        assert [one[edge] for edge in ("x1", "y1", "x2", "y2")] == pytest.approx(
            [two[edge] for edge in ("x1", "y1", "x2", "y2")], abs=tolerance
        )


def test_a_result_does_not_depend_on_its_batch(pictures, detr, tmp_path):
    alone = run(detect, pictures, tmp_path / "one.parquet", TINY, model=detr, batch_size=1)
    same(alone, run(detect, pictures, tmp_path / "three.parquet", TINY, model=detr, batch_size=3))


def test_boxes_are_in_the_upright_frame(detr, tmp_path):
    scene(120, 80, 1).save(tmp_path / "upright.png")
    save_turned(scene(120, 80, 1), tmp_path / "turned.png")
    assert Image.open(tmp_path / "turned.png").size == (80, 120)
    assert images.decode(tmp_path / "turned.png").size == (120, 80)
    assert images.decode(tmp_path / "turned.png").tobytes() == images.decode(tmp_path / "upright.png").tobytes()
    found = run(detect, table(tmp_path, upright="upright.png", turned="turned.png"), tmp_path / "o", TINY, model=detr)
    half = len(found) // 2
    same([{**row, "image_id": ""} for row in found[:half]], [{**row, "image_id": ""} for row in found[half:]])


def test_yolos_loads_the_same_way_and_bf16_keeps_fp32_results(pictures, tmp_path):
    import torch
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessorPil

    torch.manual_seed(1)
    config = YolosConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=[32, 48],
        patch_size=8,
        num_detection_tokens=6,
        id2label={0: "cat", 1: "dog"},
    )
    YolosForObjectDetection(config).save_pretrained(tmp_path / "yolos")
    YolosImageProcessorPil(size={"shortest_edge": 32, "longest_edge": 48}).save_pretrained(tmp_path / "yolos")
    model = str(tmp_path / "yolos")
    exact = run(detect, pictures, tmp_path / "32.parquet", TINY, model=model)
    rough = run(detect, pictures, tmp_path / "16.parquet", TINY, model=model, precision="bf16")
    assert len(exact) == len(rough) == 18
    best = {row["image_id"]: row["score"] for row in exact if row["rank"] == 0}
    for row in rough:
        if row["rank"] == 0:
            assert row["score"] == pytest.approx(best[row["image_id"]], abs=0.02)


def test_a_broken_image_costs_only_itself(detr, tmp_path, caplog):
    scene().save(tmp_path / "good.png")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("good.png")
    scene().save(tmp_path / "scan.tiff")
    (tmp_path / "inside").mkdir()
    found = table(
        tmp_path / "inside", outside="../good.png", half="half.png", text="text.jpg", tiff="scan.tiff", good="good.png"
    )
    for name in ("half.png", "text.jpg", "scan.tiff", "good.png"):
        (tmp_path / "inside" / name).write_bytes((tmp_path / name).read_bytes())
    with caplog.at_level(logging.WARNING):
        loaded = list(images.list_image_files(found))
        batches = list(images.decode_batches([loaded[:2], loaded[2:]]))
    assert [[picture.image_id for picture in batch] for batch in batches] == [["good"]]
    for name in ("outside", "half", "text", "tiff"):
        assert f"{name}: skipped" in caplog.text
    rows = run(detect, found, tmp_path / "o", TINY, model=detr)
    assert {row["image_id"] for row in rows} == {"good"}


def test_decoding_puts_transparency_on_white_and_keeps_16_bits(tmp_path):
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    clear.putpixel((0, 0), (255, 0, 0, 255))
    clear.save(tmp_path / "clear.png")
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    palette.putpixel((1, 1), 1)
    palette.save(tmp_path / "palette.gif", transparency=0, save_all=True, append_images=[scene(4, 4).convert("P")])
    Image.new("I;16", (4, 4), 128 * 256).save(tmp_path / "deep.png")
    decoded = images.decode(tmp_path / "clear.png")
    assert decoded.getpixel((0, 0)) == (255, 0, 0) and decoded.getpixel((3, 3)) == (255, 255, 255)
    decoded = images.decode(tmp_path / "palette.gif")
    assert decoded.getpixel((1, 1)) == (10, 200, 30) and decoded.getpixel((0, 0)) == (255, 255, 255)
    assert images.decode(tmp_path / "deep.png").getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (None, "no model is named"),
        ("./nowhere", "no such folder"),
        ("results/nowhere", "no such folder"),
        ("not a name!", "not a hub id"),
        ("nobody/nothing-of-this-name", "hf download nobody/nothing-of-this-name"),
    ],
)
def test_a_model_that_cannot_be_had(model, expected, monkeypatch):
    monkeypatch.setattr(hub, "PROBE_SECONDS", 1.0)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    begin = time.monotonic()
    with pytest.raises(UserError, match="detect.model") as caught:
        TransformersDetector(Detect(model=model))
    assert expected in str(caught.value) and time.monotonic() - begin < 5


def offline(pictures, tmp_path, *arguments):
    """Runs the stage in a process of its own, without network: a port where nobody listens stands for the hub."""
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "cache")}
    environment.pop("HF_HUB_OFFLINE", None)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    command = [
        sys.executable,
        "-m",
        "ita",
        "detect",
        "--images",
        str(pictures),
        "--output",
        str(tmp_path / "o.parquet"),
    ]
    begin = time.monotonic()
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=60)
    assert time.monotonic() - begin < 60
    return done


def test_without_network_the_stage_ends_in_seconds(pictures, tmp_path):
    done = offline(pictures, tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "detect.model" in done.stderr and "hf download michelecafagna26/vinvl_vg_x152c4" in done.stderr
    assert "HF_HOME" in done.stderr and "precomputed" in done.stderr


def test_without_network_the_cache_is_used(pictures, detr, tmp_path):
    cached = tmp_path / "cache" / "hub" / "models--some--detr"
    shutil.copytree(detr, cached / "snapshots" / ("0" * 40))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0" * 40)
    settings = json.dumps({"detect": {**TINY, "model": "some/detr"}})
    done = offline(pictures, tmp_path, "--settings", settings)
    assert done.returncode == 0, done.stderr
    assert "the copy in the cache is used" in done.stderr
    assert parquet.metadata(parquet.read("objects", tmp_path / "o.parquet"))["engine"]["commit"] == "0" * 40


def test_a_model_of_another_kind_or_without_safetensors(tmp_path):
    import torch
    from transformers import BertConfig, BertModel, DetrImageProcessorPil

    config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=10)
    BertModel(config).save_pretrained(tmp_path / "bert")
    DetrImageProcessorPil().save_pretrained(tmp_path / "bert")
    with pytest.raises(UserError, match="detect.model.*not a model of the kind"):
        TransformersDetector(Detect(model=str(tmp_path / "bert")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no config.json"):
        TransformersDetector(Detect(model=str(tmp_path / "empty")))
    (tmp_path / "bert" / "model.safetensors").unlink()
    torch.save({}, tmp_path / "bert" / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        hub.load("AutoModel", hub.find(str(tmp_path / "bert"), None, True, "x"), "x", use_safetensors=True)


def test_torch_is_not_imported_for_precomputed(pictures, tmp_path):
    (tmp_path / "tags.txt").write_text("a.jpg :red car, dog\n")
    settings = json.dumps({"detect": {"backend": "precomputed", "files": [str(tmp_path / "tags.txt")]}})
    code = (
        "import sys; from ita.cli import run_stage; from ita.stages import detect, caption, ocr;"
        "code = run_stage(detect, sys.argv[1:]);"
        "heavy = {'torch', 'transformers', 'pytesseract', 'rapidocr'} & set(sys.modules); sys.exit(code or bool(heavy))"
    )
    command = [sys.executable, "-c", code, "--settings", settings, "--images", str(pictures)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([*command, "--output", str(tmp_path / "o.parquet")], env=environment, check=True)
    rows = parquet.rows("objects", tmp_path / "o.parquet")
    assert [(row["image_id"], row["rank"], row["label"], row["score"]) for row in rows] == [
        ("a", 0, "red car", None),
        ("a", 1, "dog", None),
    ]
