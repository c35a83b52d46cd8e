"""The demo's eyes: what they were taught, how they are scored, and that the shipped ones are what their record says."""

import json
import math

import pytest
import torch

from ita.config import Caption, Detect
from ita.demo import ground_truth
from ita.demo.training import captioner, dataset, detector, metrics, program
from ita.demo.training.program import LIMIT, SHIPPED
from ita.io.files import sha256
from ita.vision import boxes
from ita.vision.captioners.oscar.captioner import OscarCaptioner
from ita.vision.captioners.oscar.decoding import CachedDecoder
from ita.vision.detectors.vinvl.detector import VinvlDetector
from ita.vision.detectors.vinvl.postprocessing import BOX_WEIGHTS, EDGE
from ita.vision.images import decode
from ita.vision.types import DecodedImage, DetectedObject, ImageCaption, Regions

PHOTOS = ("tweets30/*/images/*", "vinvl6/images/*", "coco83/images/*.jpg")
TINY = ["--scenes", "16", "--held-out", "4", "--detector-steps", "2", "--captioner-steps", "3", "--device", "cpu"]


@pytest.fixture(scope="module")
def drawn():
    """Scenes that the shipped models have not learned from."""
    return dataset.draw("test", 60)


@pytest.fixture(scope="module")
def seen(drawn):
    """What the shipped detector sees in them."""
    eyes = VinvlDetector(Detect(model=str(SHIPPED / "detector"), device="cpu", min_objects=1))
    return eyes.regions([lesson.picture for lesson in drawn])


def test_the_record_is_that_of_the_shipped_weights():
    record = json.loads((SHIPPED / "record.json").read_text())
    files = {str(file.relative_to(SHIPPED)): sha256(file) for file in SHIPPED.glob("*/model.safetensors")}
    assert record["weights"] == files and len(files) == 2
    assert sum(file.stat().st_size for file in SHIPPED.glob("*/model.safetensors")) == record["bytes"] <= LIMIT
    assert record["settings"]["seed"] >= 0 and record["versions"]["torch"] and record["seconds"] > 0


def test_the_shipped_eyes_see_as_well_as_their_record_says(drawn, seen):
    record = json.loads((SHIPPED / "record.json").read_text())["scores"]
    found = metrics.of_objects(drawn, seen)
    assert found["f1"] > record["objects"]["f1"] - 0.06 > 0.5
    assert found["attribute_accuracy"] > record["objects"]["attribute_accuracy"] - 0.06 > 0.5
    writer = OscarCaptioner(Caption(model=str(SHIPPED / "captioner"), device="cpu"))
    written = writer.caption_regions(seen)
    assert metrics.of_captions(drawn, written)["exact_match"] > record["captions"]["exact_match"] - 0.15 > 0.3


def test_training_is_reproducible(tmp_path):
    for name in ("one", "two"):
        assert program.main(["--output", str(tmp_path / name), *TINY]) == 0
    for file in ("detector/model.safetensors", "captioner/model.safetensors", "captioner/vocab.txt"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    record = json.loads((tmp_path / "one" / "record.json").read_text())
    assert record["scores"]["objects"].keys() == {"precision", "recall", "f1", "attribute_accuracy"}
    assert program.main(["--output", str(tmp_path / "other"), *TINY, "--seed", "2"]) == 0
    other = (tmp_path / "other" / "detector" / "model.safetensors").read_bytes()
    assert other != (tmp_path / "one" / "detector" / "model.safetensors").read_bytes()


def test_scenes_held_out_are_others():
    train, test = dataset.draw("train", 5), dataset.draw("test", 5)
    assert all(one.scene != other.scene for one in train for other in test)
    assert train[0].scene == dataset.draw("train", 1)[0].scene
    assert {lesson.scene.kind for lesson in train} == set(ground_truth.PHRASES)


def truth(lesson):
    """A scene as a detector without a fault sees it."""
    things = ground_truth.things(lesson.scene)
    return Regions([DetectedObject(one.label, 0.9, one.box, ((one.attributes[0], 0.8),)) for one in things])


def test_scores_of_objects(drawn):
    perfect = [truth(lesson) for lesson in drawn[:10]]
    assert metrics.of_objects(drawn[:10], perfect) == dict.fromkeys(
        ("precision", "recall", "f1", "attribute_accuracy"), 1.0
    )
    twice = [Regions(one.objects * 2) for one in perfect]
    assert metrics.of_objects(drawn[:10], twice)["precision"] == 0.5, "each thing is found once"
    moved = [
        Regions([DetectedObject(o.label, 0.9, tuple(v + 200 for v in o.box), o.attributes) for o in one.objects])
        for one in perfect
    ]
    assert metrics.of_objects(drawn[:10], moved)["f1"] == 0.0
    named = [Regions([DetectedObject("sofa", 0.9, o.box, o.attributes) for o in one.objects]) for one in perfect]
    assert metrics.of_objects(drawn[:10], named)["f1"] == 0.0
    assert metrics.of_objects(drawn[:10], [Regions([])] * 10)["recall"] == 0.0


def test_scores_of_captions(drawn):
    true = [[ImageCaption(ground_truth.descriptions(lesson.scene)[0][0])] for lesson in drawn[:10]]
    assert metrics.of_captions(drawn[:10], true) == {"exact_match": 1.0, "exact_match_of_all": 1.0}
    half = [[one[0], ImageCaption("a sofa")] for one in true]
    assert metrics.of_captions(drawn[:10], half) == {"exact_match": 1.0, "exact_match_of_all": 0.5}


def test_encoded_boxes_are_decoded():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(2, 50, 2, generator=generator) * 100
    sizes = torch.rand(2, 50, 2, generator=generator) * 80 + 5
    wanted, given = torch.cat([corners, corners + sizes], 2)
    moves = detector.encoded(wanted, given, BOX_WEIGHTS)
    torch.testing.assert_close(boxes.decode_deltas(moves, given, BOX_WEIGHTS, EDGE), wanted, atol=1e-3, rtol=0)


def test_every_thing_has_an_anchor():
    anchors = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]])
    things = torch.tensor([[0.0, 0, 10, 11], [24, 4, 44, 24]])
    positive, negative, owner = detector.matched(anchors, things)
    assert positive.tolist() == [True, True, False]
    assert negative.tolist() == [False, False, True]
    assert owner[:2].tolist() == [0, 1]


def test_a_caption_is_learned_as_it_is_searched(seen):
    """The likelihood of all places at once is the sum over the steps of a search that is led to the caption."""
    writer = OscarCaptioner(Caption(model=str(SHIPPED / "captioner"), device="cpu"))
    texts = ["a small dog outside", "a view of a tower and a tree"]
    names = [" ".join(one.label for one in regions.objects) for regions in seen[:2]]
    context = writer.context(names, [writer.features(regions) for regions in seen[:2]])
    with torch.no_grad():
        loss = float(captioner.likelihood(writer, texts, context))
        lines = [writer.tokenizer.encode(text, 31) for text in texts]
        total = 0.0
        for row, line in enumerate(lines):
            steps = CachedDecoder(writer.model, context, writer.tokenizer.mask_id, 1, 20)
            for before, word in zip([writer.tokenizer.cls_id, *line], line, strict=False):
                words = torch.full((2, 1), before)
                total -= float(steps(words, torch.zeros_like(words))[row, 0].log_softmax(0)[word])
    assert loss == pytest.approx(total / sum(map(len, lines)), rel=1e-4)
    assert math.isfinite(loss)


def test_real_pictures_do_no_harm(data):
    """Photos of any size and format go through; what drawn scenes taught says nothing of them."""
    files = [file for pattern in PHOTOS for file in sorted(data.glob(pattern))]
    if not files:
        pytest.skip(f"no pictures under {data}")
    eyes = VinvlDetector(Detect(model=str(SHIPPED / "detector"), device="cpu", min_objects=1))
    writer = OscarCaptioner(Caption(model=str(SHIPPED / "captioner"), device="cpu"))
    for start in range(0, len(files), 8):
        pictures = [DecodedImage(file.stem, decode(file)) for file in files[start : start + 8]]
        seen = eyes.regions(pictures)
        for picture, regions in zip(pictures, seen, strict=True):
            assert regions.objects and regions.size == picture.image.size
            width, height = regions.size
            for one in regions.objects:
                assert 0 <= one.box[0] <= one.box[2] <= width and 0 <= one.box[1] <= one.box[3] <= height
        assert all(len(captions) == 5 for captions in writer.caption_regions(seen))
