"""The bottom-up attention detector against outputs of the official code; every case and name is the folder's."""

import json
import shutil
from dataclasses import replace

import numpy
import pytest
import torch
from PIL import Image

from ita.config import Detect
from ita.vision.detectors.bottomup.detector import ATTRIBUTES, OBJECTS, BottomUpDetector
from ita.vision.types import DecodedImage

WEIGHTS = ["model.safetensors", "pytorch_model.bin"]
PRECISION = ["fp32", "auto"]

pytestmark = pytest.mark.golden


class Reference:
    """The folder of reference outputs."""

    def __init__(self, folder):
        self.folder = folder
        self.about = json.loads((folder / "golden.json").read_text())
        self.values = numpy.load(folder / "golden.npz")
        self.pictures = [DecodedImage(name, Image.open(folder / name).convert("RGB")) for name in self.about["images"]]

    def __getitem__(self, name):
        return torch.from_numpy(self.values[name])

    def detector(self, folder, weights=WEIGHTS[0], precision="fp32"):
        """The detector; every object that the network gives is kept."""
        folder.mkdir(exist_ok=True)
        for name in (weights, "config.json", OBJECTS, ATTRIBUTES):
            shutil.copy(self.folder / name, folder / name)
        settings = {"score_threshold": 0.0, "max_objects": 1000, "device": "cpu", "precision": precision}
        return BottomUpDetector(Detect(model=str(folder / weights), **settings))

    def cases(self, detector):
        """Names of the cases, the network set to each."""
        before = detector.network.shape
        for name, case in self.about["cases"].items():
            detector.network.shape = replace(
                before,
                nms=tuple(case["nms_thresh"]),
                min_detections=case["min_detections"],
                max_detections=case["max_detections"],
            )
            yield name


@pytest.fixture(scope="module")
def reference(golden):
    return Reference(golden / "bottomup")


def close(mine, wanted, tolerance):
    torch.testing.assert_close(mine, wanted, atol=tolerance, rtol=0)


def test_official_preprocessing(reference, tmp_path):
    detector = reference.detector(tmp_path)
    for i, picture in enumerate(reference.pictures):
        mine = detector.prepared(picture)
        close(mine, reference[f"pre/{i}"], 1e-4)
        assert list(mine.shape[1:]) == reference[f"pre/{i}_size"].tolist()
        raw = torch.tensor(picture.image.size[::-1])
        close(raw / reference[f"pre/{i}_size"], reference[f"pre/{i}_scale_yx"], 1e-6)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("precision", PRECISION)
def test_official_intermediate_values(reference, weights, precision, tmp_path):
    network = reference.detector(tmp_path, weights, precision).network
    with torch.inference_mode():
        for i in range(len(reference.pictures)):
            image = reference[f"pre/{i}"][None]
            wanted = {
                name.split("/")[2]: reference[name] for name in reference.values.files if name.startswith(f"mid/{i}/")
            }
            res4 = network.backbone(image)
            close(res4[0], wanted["res4"], 1e-3)
            objectness, deltas = network.proposal_generator.rpn_head(res4)
            close(objectness, wanted["rpn_obj"], 1e-4)
            close(deltas, wanted["rpn_reg"], 1e-4)
            ((proposals, logits),) = network.proposal_generator(res4, [tuple(image.shape[2:])])
            close(proposals, wanted["proposals"], 1e-2)
            close(logits, wanted["proposal_logits"], 1e-4)
            pooled = network.roi_heads(res4[0], proposals)
            close(pooled, wanted["pooled"], 1e-3)
            for name, value in zip(
                ("obj_logits", "box_deltas", "attr_logits"), network.roi_heads.box_predictor(pooled), strict=True
            ):
                close(value, wanted[name], 1e-3)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("precision", PRECISION)
def test_official_pictures(reference, weights, precision, tmp_path):
    """From the file of a picture to named objects."""
    detector = reference.detector(tmp_path, weights, precision)
    for case in reference.cases(detector):
        for i, one in enumerate(detector.regions(reference.pictures)):
            prefix = f"{case}/single{i}/0"
            wanted = {
                name: reference[f"{prefix}/{name}"]
                for name in ("obj_ids", "obj_probs", "attr_ids", "attr_probs", "boxes", "roi_features")
            }
            assert [item.label for item in one.objects] == [detector.classes[k] for k in wanted["obj_ids"]]
            close(torch.tensor([item.score for item in one.objects]), wanted["obj_probs"], 1e-4)
            assert [item.attributes[0][0] for item in one.objects] == [
                detector.attributes[k] for k in wanted["attr_ids"]
            ]
            close(torch.tensor([item.attributes[0][1] for item in one.objects]), wanted["attr_probs"], 1e-4)
            boxes = torch.tensor([item.box for item in one.objects])
            close(boxes, wanted["boxes"], 1e-2)
            close(one.features, wanted["roi_features"], 1e-3)
            relative = boxes / torch.tensor([*one.size, *one.size])
            close(relative, reference[f"{prefix}/normalized_boxes"], 1e-4)


@pytest.mark.parametrize("precision", PRECISION)
def test_official_batches(reference, precision, tmp_path):
    """Images padded into one batch: upstream's results change with the padding, and ours in the same way."""
    detector = reference.detector(tmp_path, precision=precision)
    for case in reference.cases(detector):
        for name in reference.about["batches"]:
            sizes = [tuple(size) for size in reference[f"pre/{name}_size"].tolist()]
            with torch.inference_mode():
                found = detector.network(reference[f"pre/{name}"], sizes)
            for i, one in enumerate(found):
                prefix = f"{case}/{name}/{i}"
                assert torch.equal(one.labels, reference[f"{prefix}/obj_ids"])
                assert torch.equal(one.attributes, reference[f"{prefix}/attr_ids"])
                close(one.scores, reference[f"{prefix}/obj_probs"], 1e-4)
                close(one.attribute_scores, reference[f"{prefix}/attr_probs"], 1e-4)
                close(one.features, reference[f"{prefix}/roi_features"], 1e-3)
                ratio = reference[f"pre/{name}_scale_yx"][i].flip(0).repeat(2)
                close(one.boxes * ratio, reference[f"{prefix}/boxes"], 1e-2)
