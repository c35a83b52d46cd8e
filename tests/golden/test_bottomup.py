"""The bottom-up attention detector against outputs of the official code; every case, name and size is the folder's."""

import shutil
from dataclasses import replace

import pytest
import torch

from ita.config import Detect
from ita.vision.detectors.bottomup.config import ATTRIBUTES, CONFIGS, OBJECTS
from ita.vision.detectors.bottomup.detector import BottomUpDetector
from tests.support.references import Reference, assert_close

pytestmark = [pytest.mark.golden, pytest.mark.parametrize("precision", ["fp32", "auto"])]


@pytest.fixture(scope="module")
def reference(golden):
    return Reference(golden / "bottomup")


@pytest.fixture
def detectors(reference, precision, tmp_path):
    """A detector for each file of weights; every object that the network gives is kept."""
    detectors = []
    for weights in reference.weights:
        folder = tmp_path / weights.name
        folder.mkdir()
        for name in (weights.name, *CONFIGS, OBJECTS, ATTRIBUTES):
            if (reference.folder / name).is_file():
                shutil.copy(reference.folder / name, folder)
        settings = {"score_threshold": 0.0, "max_objects": 1000, "device": "cpu", "precision": precision}
        detectors.append(BottomUpDetector(Detect(model=str(folder / weights.name), **settings)))
    return detectors


def set_case(detector, case):
    """Gives the network the settings of a case."""
    detector.network.config = replace(
        detector.config,
        nms=tuple(case["nms_thresh"]),
        min_detections=case["min_detections"],
        max_detections=case["max_detections"],
    )


def test_official_preprocessing(reference, detectors):
    for i, image in enumerate(reference.images):
        pixels = detectors[0].preprocess_image(image)
        assert_close(pixels, reference[f"pre/{i}"], 1e-4)
        optional = reference.group("pre")
        size = optional.get(f"{i}_size", torch.tensor(pixels.shape[1:]))
        assert list(pixels.shape[1:]) == size.tolist()
        if f"{i}_scale_yx" in optional:
            assert_close(torch.tensor(image.image.size[::-1]) / size, optional[f"{i}_scale_yx"], 1e-6)


def test_official_intermediate_values(reference, detectors):
    checked = 0
    for network in (detector.network for detector in detectors):
        for i in range(len(reference.images)):
            expected = reference.group(f"mid/{i}")
            pixels = reference[f"pre/{i}"][None]
            with torch.inference_mode():
                res4 = network.backbone(pixels)
                logits, deltas = network.proposal_generator.get_submodule("rpn_head")(res4)
                (proposals,) = network.proposal_generator(res4, [tuple(pixels.shape[2:])])
                pooled = network.roi_heads(res4[0], proposals.boxes)
                class_logits, box_deltas, attribute_logits = network.roi_heads.box_predictor(pooled)
            for name, actual, tolerance in (
                ("res4", res4[0], 1e-3),
                ("rpn_obj", logits, 1e-4),
                ("rpn_reg", deltas, 1e-4),
                ("proposals", proposals.boxes, 1e-2),
                ("proposal_logits", proposals.scores, 1e-4),
                ("pooled", pooled, 1e-3),
                ("obj_logits", class_logits, 1e-3),
                ("box_deltas", box_deltas, 1e-3),
                ("attr_logits", attribute_logits, 1e-3),
            ):
                if name in expected:
                    assert_close(actual, expected.pop(name), tolerance)
                    checked += 1
            assert not expected, f"values that are not compared: {', '.join(expected)}"
    assert checked or not reference.group("mid")


def test_official_images(reference, detectors):
    """From the file of an image to named objects."""
    for detector in detectors:
        for name, case in reference.cases.items():
            set_case(detector, case)
            for i, regions in enumerate(detector.regions(reference.images)):
                compare_regions(regions, reference.group(f"{name}/single{i}/0"), detector)


def compare_regions(regions, expected, detector):
    """Regions of one image against reference values."""
    objects = regions.objects
    assert [item.label for item in objects] == [detector.classes[label] for label in expected["obj_ids"]]
    assert_close(torch.tensor([item.score for item in objects]), expected["obj_probs"], 1e-4)
    assert [len(item.attributes) for item in objects] == [1] * len(objects)
    names, scores = zip(*(item.attributes[0] for item in objects), strict=True)
    assert list(names) == [detector.attributes[label] for label in expected["attr_ids"]]
    assert_close(torch.tensor(scores), expected["attr_probs"], 1e-4)
    boxes = torch.tensor([item.box for item in objects])
    assert_close(boxes, expected["boxes"], 1e-2)
    assert_close(regions.features, expected["roi_features"], 1e-3)
    if "normalized_boxes" in expected:
        assert_close(boxes / torch.tensor([*regions.size, *regions.size]), expected["normalized_boxes"], 1e-4)


def test_official_batches(reference, detectors):
    """Images padded into one batch: upstream's results change with the padding, and ours in the same way."""
    for name, case in reference.cases.items():
        set_case(detectors[0], case)
        for batch in reference.batches:
            sizes = [tuple(size) for size in reference[f"pre/{batch}_size"].tolist()]
            with torch.inference_mode():
                detections_of_images = detectors[0].network(reference[f"pre/{batch}"], sizes)
            for i, detections in enumerate(detections_of_images):
                expected = reference.group(f"{name}/{batch}/{i}")
                assert torch.equal(detections.labels, expected["obj_ids"])
                assert torch.equal(detections.attributes[:, 0], expected["attr_ids"])
                assert_close(detections.scores, expected["obj_probs"], 1e-4)
                assert_close(detections.attribute_scores[:, 0], expected["attr_probs"], 1e-4)
                assert_close(detections.features, expected["roi_features"], 1e-3)
                ratio = reference[f"pre/{batch}_scale_yx"][i].flip(0).repeat(2)
                assert_close(detections.boxes * ratio, expected["boxes"], 1e-2)
