"""VinVL's detector against outputs of the official code; every case, name and size is the folder's."""

import json
import shutil

import numpy
import pytest
import torch
from PIL import Image

from ita.config import Detect
from ita.vision.detectors.vinvl.detector import CONFIG, VinvlDetector, load, resized, shape
from ita.vision.types import DecodedImage

EXACT = {"device": "cpu", "precision": "fp32"}
WEIGHTS = ["model.safetensors", "model.pth"]


ROUNDING = {"fp32": 1.5e-5, "auto": 3e-5}
"""Attribute scores: logits are as large as 70, so in float32 the reference itself is 2e-5 off its float64 values;
operations in the same order come nearest (1e-5, and 1.3e-5 in padded batches)."""


class Reference:
    """The folder of reference outputs."""

    def __init__(self, folder):
        self.folder = folder
        self.about = json.loads((folder / "golden.json").read_text())
        self.values = numpy.load(folder / "golden.npz")
        self.pictures = [DecodedImage(name, Image.open(folder / name).convert("RGB")) for name in self.about["images"]]
        counts = {name: self.about[name] for name in ("num_classes", "num_attributes")}
        self.config = {**self.about["config"], **counts}

    def __getitem__(self, name):
        return torch.from_numpy(self.values[name])

    def model(self, folder, weights=WEIGHTS[0]):
        """A model folder as a user has it."""
        folder.mkdir(exist_ok=True)
        shutil.copy(self.folder / weights, folder / weights)
        shutil.copy(self.folder / "labelmap.json", folder / "labelmap.json")
        (folder / CONFIG).write_text(json.dumps(self.config))
        return folder

    def settings(self, case):
        """Detect's settings of a case."""
        given = {name.split(".")[-1]: value for name, value in self.about["cases"][case]["overrides"].items()}
        own = self.config
        threshold = given.get("SCORE_THRESH", own["score_thresh"])
        return {
            "score_threshold": threshold,
            "max_objects": own["detections_per_img"],
            **EXACT,
            "filter": given["NMS_FILTER"],
            "regression": not given["IGNORE_BOX_REGRESSION"],
            "min_objects": given.get("MIN_DETECTIONS_PER_IMG", own["min_detections_per_img"]),
        }

    def detector(self, folder, case, precision="fp32"):
        """The detector of a case."""
        settings = {**self.settings(case), "precision": precision}
        return VinvlDetector(Detect(model=str(folder), **settings))

    @property
    def cases(self):
        """Names of all cases."""
        return list(self.about["cases"])


@pytest.fixture(scope="module")
def reference(golden):
    return Reference(golden / "attrrcnn")


@pytest.fixture(scope="module")
def official(reference, tmp_path_factory):
    """A model folder with the official weights of the reference."""
    return reference.model(tmp_path_factory.mktemp("vinvl"))


def aligned(mine, wanted):
    """Order of ``mine`` in which entries of equal score stand as in ``wanted``: ties have no order of their own."""
    order, free = [], list(range(len(mine["scores"])))
    for label, score, box in zip(wanted["labels"], wanted["scores"], wanted["boxes_net"], strict=True):
        near = [i for i in free if abs(mine["scores"][i] - score) < 1e-5 and mine["labels"][i] == label]
        assert near, "no entry of this label and score"
        best = min(near, key=lambda i: float((mine["boxes_net"][i] - box).abs().max()))
        order.append(best)
        free.remove(best)
    assert all(abs(float(mine["scores"][at] - mine["scores"][i])) < 1e-6 for i, at in enumerate(order) if i != at)
    return order


def compare(found, reference, prefix, boxes, tolerance):
    """Detections against reference values."""
    names = ("boxes_net", "labels", "scores", "box_features", "attr_labels", "attr_scores", "boxes")
    wanted = {name: reference[f"{prefix}/{name}"] for name in names}
    mine = {
        "boxes_net": found.boxes,
        "labels": found.labels,
        "scores": found.scores,
        "box_features": found.features,
        "attr_labels": found.attributes,
        "attr_scores": found.attribute_scores,
    }
    assert len(found.labels) == len(wanted["labels"])
    # Where upstream returns the boxes of other objects they can not tell objects of equal score apart.
    order = aligned(mine, wanted) if boxes else list(range(len(found.labels)))
    mine = {name: value[order] for name, value in mine.items()}
    assert torch.equal(mine["labels"], wanted["labels"])
    close(mine["scores"], wanted["scores"], 1e-5)
    close(mine["box_features"], wanted["box_features"], 1e-4)
    if boxes:
        close(mine["boxes_net"], wanted["boxes_net"], 1e-3)
        close(mine["attr_scores"], wanted["attr_scores"], tolerance)
        real = wanted["attr_scores"] > 0
        apart = distinct(wanted["attr_scores"])
        assert torch.equal(mine["attr_labels"][real & apart], wanted["attr_labels"][real & apart])


def distinct(scores):
    """(n, k) True where a score differs from its neighbours."""
    gap = scores.diff(dim=1).abs() > 1e-5
    edge = gap.new_ones(len(gap), 1)
    return torch.cat([edge, gap], 1) & torch.cat([gap, edge], 1)


def close(mine, wanted, tolerance):
    torch.testing.assert_close(mine, wanted, atol=tolerance, rtol=0)


def moved_wrongly(options):
    """Filter 2 with regression takes boxes of other proposals upstream; those are no reference."""
    return options["filter"] == 2 and options["regression"]


@pytest.mark.golden
def test_official_preprocessing(reference, official):
    detector = reference.detector(official, reference.cases[0])
    for i, picture in enumerate(reference.pictures):
        mine = detector.normalised(resized(picture, detector.shape)[None])[0]
        assert torch.equal(mine, reference[f"pre/{i}"])


@pytest.mark.golden
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("prepared", [False, True], ids=["as loaded", "prepared"])
def test_official_intermediate_values(reference, official, weights, prepared):
    network = load(shape(official / CONFIG), reference.folder / weights).eval()
    if prepared:
        network.prepare(torch.float32)
    case = "filter1_reg"  # the intermediate values are those of this case
    with torch.inference_mode():
        for i in range(len(reference.pictures)):
            image = reference[f"pre/{i}"][None]
            size = (image.shape[2], image.shape[3])
            c4 = network.backbone["body"](image)
            close(c4, reference[f"mid/{i}/c4"], 1e-4)
            objectness, deltas = network.rpn.head(c4)
            close(objectness, reference[f"mid/{i}/rpn_obj"], 1e-4)
            close(deltas, reference[f"mid/{i}/rpn_reg"], 1e-4)
            (proposals,) = network.rpn(c4, [size])
            close(proposals, reference[f"mid/{i}/proposals"], 1e-3)
            features, logits, movement = network.roi_heads["box"](c4[0], proposals)
            close(logits, reference[f"mid/{i}/cls_logits"], 1e-4)
            close(movement, reference[f"mid/{i}/box_regression"], 1e-4)
            final = reference[f"{case}/single{i}/0/boxes_net"]
            again = network.attribute.feature_extractor(c4[0], final)
            close(
                network.attribute.predictor(again, reference[f"{case}/single{i}/0/labels"]),
                reference[f"mid/{i}/attr_logits"],
                1e-4,
            )


@pytest.mark.golden
@pytest.mark.parametrize("precision", ROUNDING)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_official_pictures(reference, weights, precision, tmp_path):
    """From the file of a picture to named objects."""
    folder = reference.model(tmp_path / "model", weights)
    known = json.loads((folder / "labelmap.json").read_text())
    for case in reference.cases:
        detector = reference.detector(folder, case, precision)
        options = reference.settings(case)
        found = detector.regions(reference.pictures)
        for i, one in enumerate(found):
            prefix = f"{case}/single{i}/0"
            labels = torch.tensor([known["label_to_idx"][item.label] for item in one.objects])
            scores = torch.tensor([item.score for item in one.objects])
            assert one.size == reference.pictures[i].image.size
            boxes = torch.tensor([item.box for item in one.objects])
            if moved_wrongly(options):
                assert torch.equal(labels, reference[f"{prefix}/labels"])
                close(scores, reference[f"{prefix}/scores"], 1e-5)
                continue
            mine = {"labels": labels, "scores": scores, "boxes_net": boxes}
            wanted = {name: reference[f"{prefix}/{name}"] for name in ("labels", "scores")}
            order = aligned(mine, {**wanted, "boxes_net": reference[f"{prefix}/boxes"]})
            close(boxes[order], reference[f"{prefix}/boxes"], 1e-3)
            close(scores[order], wanted["scores"], 1e-5)
            close(one.features[order], reference[f"{prefix}/box_features"], 1e-4)
            for at, row, labels in zip(
                order, reference[f"{prefix}/attr_scores"], reference[f"{prefix}/attr_labels"], strict=True
            ):
                attributes = one.objects[at].attributes
                close(torch.tensor([sure for _, sure in attributes]), row[row > 0], ROUNDING[precision])
                apart = distinct(row[None])[0] & (row > 0)
                ids = [known["attribute_to_idx"][name] for name, _ in attributes]
                assert torch.equal(torch.tensor(ids)[apart[row > 0]], labels[apart])


@pytest.mark.golden
@pytest.mark.parametrize("precision", ROUNDING)
def test_official_batches(reference, official, precision):
    """Images padded into one batch: upstream's results change with the padding, and ours in the same way."""
    for case in reference.cases:
        detector = reference.detector(official, case, precision)
        options = reference.settings(case)
        for name, members in reference.about["batches"].items():
            images = [reference[f"pre/{i}"] for i in members]
            height, width = (max(image.shape[side] for image in images) for side in (1, 2))
            batch = torch.stack(
                [
                    torch.nn.functional.pad(image, (0, width - image.shape[2], 0, height - image.shape[1]))
                    for image in images
                ]
            )
            with torch.inference_mode():
                found = detector.network(batch, [tuple(image.shape[1:]) for image in images], detector.rules)
            for i, one in enumerate(found):
                compare(one, reference, f"{case}/{name}/{i}", not moved_wrongly(options), ROUNDING[precision])
