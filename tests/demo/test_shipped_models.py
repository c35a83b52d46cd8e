"""The shipped detector and captioner: they are what their record says, and robust to images of any kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ita.config import Caption, Detect
from ita.demo import SHIPPED_MODELS
from ita.demo.training.dataset import RenderedScene
from ita.demo.training.metrics import caption_metrics, detection_metrics
from ita.demo.training.program import MAX_BYTES, parse_arguments
from ita.io.files import sha256
from ita.vision.captioners.oscar.captioner import OscarCaptioner
from ita.vision.detectors.vinvl.detector import VinvlDetector
from ita.vision.images import decode
from ita.vision.types import DecodedImage, Regions

RECORD = json.loads((SHIPPED_MODELS / "record.json").read_text())
PHOTOS = ("tweets30/*/images/*", "vinvl6/images/*", "coco83/images/*.jpg")


def test_the_record_is_that_of_the_shipped_weights() -> None:
    weights = {str(file.relative_to(SHIPPED_MODELS)): file for file in SHIPPED_MODELS.glob("*/model.safetensors")}
    assert set(weights) == {"captioner/model.safetensors", "detector/model.safetensors"}
    assert RECORD["weights"] == {name: sha256(file) for name, file in weights.items()}
    assert sum(file.stat().st_size for file in weights.values()) == RECORD["bytes"] <= MAX_BYTES


def test_the_record_has_the_settings_of_the_program() -> None:
    defaults = {name: value for name, value in vars(parse_arguments([])).items() if name != "output"}
    assert RECORD["settings"] == {**defaults, "device": "cpu"}
    assert set(RECORD["versions"]) >= {"python", "ita", "torch", "pillow"}
    assert 0 < RECORD["cpu_seconds"] <= RECORD["seconds"]


def test_the_shipped_models_are_as_good_as_their_record_says(
    examples: list[RenderedScene], detections: list[Regions]
) -> None:
    scores = RECORD["scores"]
    objects = detection_metrics(examples, detections)
    assert objects["f1"] > scores["objects"]["f1"] - 0.06 > 0.5
    assert objects["attribute_accuracy"] > scores["objects"]["attribute_accuracy"] - 0.06 > 0.5
    captioner = OscarCaptioner(Caption(model=str(SHIPPED_MODELS / "captioner"), device="cpu"))
    captions = caption_metrics(examples, captioner.caption_regions(detections))
    assert captions["exact_match"] > scores["captions"]["exact_match"] - 0.15 > 0.3


def test_real_photos_do_not_stop_the_shipped_models(data: Path) -> None:
    """Photos of any size and format give boxes inside them and captions; nothing is claimed about their content."""
    files = [file for pattern in PHOTOS for file in sorted(data.glob(pattern))]
    if not files:
        pytest.skip(f"no pictures under {data}")
    detector = VinvlDetector(Detect(model=str(SHIPPED_MODELS / "detector"), device="cpu", min_objects=1))
    captioner = OscarCaptioner(Caption(model=str(SHIPPED_MODELS / "captioner"), device="cpu"))
    for start in range(0, len(files), 8):
        images = [DecodedImage(file.stem, decode(file)) for file in files[start : start + 8]]
        detections = detector.regions(images)
        for image, regions in zip(images, detections, strict=True):
            assert regions.objects
            assert regions.size == image.image.size
            width, height = regions.size
            for detected in regions.objects:
                x1, y1, x2, y2 = detected.box
                assert 0 <= x1 <= x2 <= width
                assert 0 <= y1 <= y2 <= height
        assert all(len(captions) == 5 for captions in captioner.caption_regions(detections))
