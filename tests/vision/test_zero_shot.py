"""Detectors that are told what to look for, and Florence-2: tiny models of random weights, by the Auto classes."""

import json

import pytest
import torch
import transformers

from ita.config import Detect
from ita.errors import UserError
from ita.vision.detectors import build_detector, florence
from ita.vision.detectors.class_names import read_class_names
from tests.support.detectors import decoded_scenes
from tests.support.vision_models import make_florence, make_grounding_dino, make_owl

NAMES = ["man", "dog", "red hat", "sea", "tree", "a very long name of a class", "cup", "zoo"]
CPU = {"device": "cpu", "precision": "fp32", "score_threshold": 0.0, "min_objects": 0}
SIZES = ((120, 80), (80, 120), (120, 80), (120, 80), (97, 97))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("zero-shot")
    (path / "names.txt").write_text("\n".join(NAMES))
    return path


@pytest.fixture(scope="module")
def models(folder):
    return {
        "owlv2": make_owl(folder / "owlv2"),
        "owlvit": make_owl(folder / "owlvit", "owlvit"),
        "grounding-dino": make_grounding_dino(folder / "grounding-dino"),
        "mm-grounding-dino": make_grounding_dino(folder / "mm-grounding-dino", "mm-grounding-dino"),
        "florence2": make_florence(folder / "florence2"),
    }


def load(models, name, folder, **settings):
    backend = "florence2" if name == "florence2" else "zero-shot"
    values = {"backend": backend, "model": models[name], "classes": str(folder / "names.txt"), **CPU, **settings}
    return build_detector(Detect(**values))


@pytest.mark.parametrize("name", ["owlv2", "owlvit", "grounding-dino", "mm-grounding-dino"])
def test_a_batch_gives_what_single_images_do(models, folder, name):
    detector = load(models, name, folder)
    images = decoded_scenes(*SIZES)
    found = detector.regions(images)
    assert len({item.label for regions in found for item in regions.objects}) > 1
    for image, together in zip(images, found, strict=True):
        (alone,) = detector.regions([image])
        assert [item.label for item in together.objects] == [item.label for item in alone.objects]
        for item, expected in zip(together.objects, alone.objects, strict=True):
            assert item.score == pytest.approx(expected.score, abs=1e-5)
            assert item.box == pytest.approx(expected.box, abs=1e-2)
        assert all(0 <= item.box[0] < item.box[2] <= image.image.width for item in together.objects)
        assert all(0 <= item.box[1] < item.box[3] <= image.image.height for item in together.objects)


@pytest.mark.parametrize("name", ["owlv2", "owlvit"])
def test_scores_and_boxes_are_those_of_the_processor(models, folder, name):
    """Without merging: the model asked for all classes in the plain way, and its own processor's boxes."""
    detector = load(models, name, folder, merge_iou=1.0, classes_per_pass=3)
    (image,) = decoded_scenes((120, 80))
    (found,) = detector.regions([image])
    model = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(models[name]).eval()
    processor = transformers.AutoProcessor.from_pretrained(models[name], backend="pil")
    texts = [[f"a photo of a {label}" for label in NAMES]]
    options = {"padding": "max_length", "max_length": 24, "truncation": True}
    inputs = processor(text=texts, images=image.image, return_tensors="pt", **options)
    with torch.inference_mode():
        output = model(**inputs)
    (expected,) = processor.post_process_grounded_object_detection(
        output, threshold=0.0, target_sizes=[(80, 120)], text_labels=texts
    )
    order = expected["scores"].argsort(descending=True, stable=True).tolist()
    plain = [(expected["scores"][i].item(), expected["labels"][i].item(), expected["boxes"][i]) for i in order]
    clipped = [
        (score, NAMES[label], [x1.clamp(0, 120), y1.clamp(0, 80), x2.clamp(0, 120), y2.clamp(0, 80)])
        for score, label, (x1, y1, x2, y2) in plain
    ]
    seen = [item for item in clipped if item[2][2] > item[2][0] and item[2][3] > item[2][1]]
    assert [item.label for item in found.objects] == [label for _, label, _ in seen]
    assert [item.score for item in found.objects] == pytest.approx([score for score, _, _ in seen], abs=1e-5)
    for item, (_, _, box) in zip(found.objects, seen, strict=True):
        assert item.box == pytest.approx([float(edge) for edge in box], abs=1e-2)


def test_chunks_of_one_size_or_another_find_the_same_with_boxes_of_the_image(models, folder):
    images = decoded_scenes((120, 80), (97, 97))
    whole, single = (load(models, "owlv2", folder, classes_per_pass=size).regions(images) for size in (64, 1))
    for regions, expected in zip(single, whole, strict=True):
        assert [item.label for item in regions.objects] == [item.label for item in expected.objects]
        scores = [item.score for item in expected.objects]
        assert [item.score for item in regions.objects] == pytest.approx(scores, abs=1e-5)


def test_texts_hold_as_many_names_as_the_model_reads(models, folder):
    detector = load(models, "grounding-dino", folder)
    chunks = detector.queries.chunks
    assert len(chunks) > 1 and [number for _, places in chunks for number in places] == [*range(len(NAMES))]
    tokenizer = detector.processor.tokenizer
    for text, places in chunks:
        assert len(text) + 2 <= 40
        whole = tokenizer(". ".join(NAMES[number] for number in places) + ".")["input_ids"]
        assert [101, *text, 102] == whole
        for number, place in places.items():
            assert whole[place] == tokenizer.encode(NAMES[number], add_special_tokens=False)
    few = load(models, "grounding-dino", folder, classes_per_pass=2)
    assert max(len(places) for _, places in few.queries.chunks) == 2


def test_boxes_that_overlap_are_one_object(models, folder):
    detector = load(models, "grounding-dino", folder, merge_iou=0.0, max_objects=5)
    (found,) = detector.regions(decoded_scenes((120, 80)))
    boxes = [item.box for item in found.objects]
    assert 1 <= len(boxes) <= 5
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        for a1, b1, a2, b2 in boxes[:i]:
            assert min(x2, a2) <= max(x1, a1) or min(y2, b2) <= max(y1, b1)
    assert [item.score for item in found.objects] == sorted((item.score for item in found.objects), reverse=True)
    assert not load(models, "grounding-dino", folder, score_threshold=1.0).regions(decoded_scenes((120, 80)))[0].objects


def test_names_of_classes_come_from_files_of_several_kinds(tmp_path):
    (tmp_path / "a.txt").write_text("Yolk\n\nbicycle,bike\n fire  truck \nyolk\n")
    assert read_class_names(str(tmp_path / "a.txt")) == ["yolk", "bicycle", "fire truck"]
    for content in (
        {"label_to_idx": {"dog": 2, "man": 1, "__background__": 0}, "attribute_to_idx": {"red": 1}},
        {"idx_to_label": {"2": "dog", "1": "man"}},
        ["man", "dog"],
    ):
        (tmp_path / "b.json").write_text(json.dumps(content))
        assert read_class_names(str(tmp_path / "b.json")) == ["man", "dog"]
    for content, message in (('{"x": 1}', "expected a list of names"), ("[]", "names no class"), ("[", "expected a")):
        (tmp_path / "b.json").write_text(content)
        with pytest.raises(UserError, match=rf"detect\.classes.*b\.json.*{message}"):
            read_class_names(str(tmp_path / "b.json"))
    with pytest.raises(UserError, match=r"detect\.classes.*cannot be read"):
        read_class_names(str(tmp_path / "none.txt"))
    with pytest.raises(UserError, match=r"VG-SGG-dicts-vgoi6-clipped\.json"):
        read_class_names(None)


def test_florence_names_regions(models, folder, monkeypatch):
    detector = load(models, "florence2", folder)
    objects = detector.objects(
        "</s><s>Dog<loc_0><loc_0><loc_499><loc_999>a  cup<loc_10><loc_20><loc_30><loc_40>"
        "<loc_600><loc_999><loc_500><loc_500></s><pad>",
        (200, 100),
    )
    assert [(item.label, item.score) for item in objects] == [("dog", None), ("a cup", None), ("a cup", None)]
    assert objects[0].box == pytest.approx((0, 0, 100, 100), abs=1)
    assert objects[2].box == pytest.approx((100, 50, 120, 100), abs=1)
    monkeypatch.setattr(florence, "SEARCH", florence.SEARCH._replace(max_tokens=8))
    written = []
    monkeypatch.setattr(detector, "objects", lambda text, size: written.append(text) or [])
    images = decoded_scenes((120, 80), (80, 120), (97, 97))
    detector.regions(images)
    for image in images:
        detector.regions([image])
    together, alone = ([text.replace("<pad>", "") for text in part] for part in (written[:3], written[3:]))
    assert together == alone and len(set(alone)) > 1
    assert load(models, "florence2", folder, task="region-captions").task == "<DENSE_REGION_CAPTION>"


def test_models_of_other_families_are_refused(models, folder):
    with pytest.raises(UserError, match=r"detect\.model.*not a model of the kind"):
        load({"owlv2": models["florence2"]}, "owlv2", folder)
    with pytest.raises(UserError, match=r"detect\.model"):
        load({"florence2": models["owlv2"]}, "florence2", folder)
