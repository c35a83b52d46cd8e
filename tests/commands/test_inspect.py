"""ita inspect: objects, captions, OCR text and visual context of single images."""

import json

import pytest
from PIL import Image, ImageChops

from ita.commands import inspect
from ita.demo import SHIPPED_MODELS
from ita.demo.training import dataset
from ita.tagging.posts import parse_post

SETTINGS = {
    "detect": {"model": str(SHIPPED_MODELS / "detector"), "min_objects": 1},
    "caption": {"model": str(SHIPPED_MODELS / "captioner")},
}


@pytest.fixture(scope="module")
def example():
    """A drawn scene with lettering."""
    return next(example for example in dataset.render_scenes("test", 40) if example.scene.banner)


@pytest.fixture
def image_file(example, tmp_path):
    example.image.image.save(tmp_path / "a.png")
    return tmp_path / "a.png"


def run(capsys, *arguments, settings=SETTINGS):
    """The printed objects."""
    assert inspect.main(["--settings", json.dumps(settings), *map(str, arguments)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_objects_captions_text_and_context(tesseract, example, image_file, tmp_path, capsys):
    (tmp_path / "b.png").write_bytes(b"broken")
    broken, description = run(capsys, "--draw", tmp_path / "drawn", tmp_path / "b.png", image_file)
    assert broken.keys() == {"image", "error"} and broken["image"] == str(tmp_path / "b.png")
    assert description.keys() == {"image", "objects", "captions", "ocr_text", "context", "alignments"}
    subject = next(item for item in example.scene.objects if item.subject)
    scores = [item["score"] for item in description["objects"]]
    assert subject.label in {item["label"] for item in description["objects"]}
    assert scores == sorted(scores, reverse=True) and {"x1", "y1", "x2", "y2"} < description["objects"][0].keys()
    assert len(description["captions"]) == 5 and all(caption["logprob"] < 0 for caption in description["captions"])
    assert description["ocr_text"].split()[0] == example.scene.banner.split()[0]
    with Image.open(tmp_path / "drawn" / "a.png") as drawn:
        changed = ImageChops.difference(drawn.convert("RGB"), example.image.image).getbbox()
    assert changed is not None and drawn.size == example.image.image.size
    left, top, right, bottom = (description["objects"][0][edge] for edge in ("x1", "y1", "x2", "y2"))
    assert changed[0] <= left + 2 and changed[1] <= top + 2 and changed[2] >= right - 2 and changed[3] >= bottom - 2


def test_the_context_is_that_of_a_tagger(tesseract, image_file, capsys):
    (description,) = run(capsys, image_file)
    captions = [caption["caption"] for caption in description["captions"]]
    ocr_words = " ".join(description["ocr_text"].split())
    kinds = [alignment["kind"] for alignment in description["alignments"]]
    assert kinds == ["la", *["ga"] * 5, "oca"]
    texts = [alignment["text"] for alignment in description["alignments"]]
    assert texts[1:] == [*captions, ocr_words]
    assert description["objects"][0]["label"] in texts[0].split()
    # A separator stands between captions only.
    assert description["context"] == [f"{texts[0]} {captions[0]}", *captions[1:4], f"{captions[4]} {ocr_words}"]
    post = parse_post({"tokens": ["a"], "context": description["context"]})
    assert post.context.segments() == description["context"]
    limited = {"context": {"kinds": ["oca", "ga"], "captions": 2, "budget": {"oca": 1}, "separate_kinds": True}}
    (description,) = run(capsys, image_file, settings={**SETTINGS, **limited})
    assert description["context"] == [ocr_words.split()[0], *captions[:2]]
    assert [alignment["kind"] for alignment in description["alignments"]] == ["oca", "ga", "ga"]


def test_a_missing_model_is_named(tmp_path, capsys):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    assert inspect.main(["--settings", '{"detect": {"model": "./nowhere"}}', str(tmp_path / "a.png")]) == 1
    assert "detect.model" in capsys.readouterr().err


def test_files_in_place_of_a_model_are_refused(tmp_path, capsys):
    settings = {"caption": {"backend": "precomputed", "files": ["captions.txt"]}}
    assert inspect.main(["--settings", json.dumps(settings), str(tmp_path / "a.png")]) == 1
    assert "caption.backend: precomputed has no model to run" in capsys.readouterr().err
