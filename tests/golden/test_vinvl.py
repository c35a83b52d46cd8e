"""VinVL's detector against outputs of the official code; every case, name and size is the folder's."""

import json
import shutil

import pytest
import torch

from ita.config import Detect
from ita.vision.detectors.vinvl.config import CONFIG
from ita.vision.detectors.vinvl.detector import VinvlDetector, resized
from tests.support.references import Reference, assert_close

ROUNDING = {"fp32": 1.5e-5, "auto": 3e-5}
"""Attribute scores: logits are as large as 70, so in float32 the reference itself is 2e-5 off its float64 values;
operations in the same order come nearest (1e-5, and 1.3e-5 in padded batches)."""
SETTINGS = {
    "MODEL.ROI_HEADS.NMS_FILTER": "filter",
    "MODEL.ROI_HEADS.SCORE_THRESH": "score_threshold",
    "MODEL.ROI_HEADS.MIN_DETECTIONS_PER_IMG": "min_objects",
    "MODEL.ROI_HEADS.DETECTIONS_PER_IMG": "max_objects",
}
"""Upstream's setting -> ours."""
SIZES = {
    "MODEL.ROI_HEADS.NMS": "roi_nms",
    "MODEL.RPN.NMS_THRESH": "rpn_nms",
    "MODEL.RPN.PRE_NMS_TOP_N_TEST": "pre_nms_top_n",
    "MODEL.RPN.POST_NMS_TOP_N_TEST": "post_nms_top_n",
    "MODEL.ROI_ATTRIBUTE_HEAD.POSTPROCESS_ATTRIBUTES_THRESHOLD": "attr_thresh",
    "MODEL.ROI_ATTRIBUTE_HEAD.MAX_NUM_ATTR_PER_IMG": "max_num_attr_per_img",
    "MODEL.ROI_ATTRIBUTE_HEAD.MAX_NUM_ATTR_PER_OBJ": "max_num_attr_per_obj",
    "INPUT.MIN_SIZE_TEST": "min_size",
    "INPUT.MAX_SIZE_TEST": "max_size",
}
"""Upstream's setting -> entry of the model's config.json."""
REGRESSION = "TEST.IGNORE_BOX_REGRESSION"

pytestmark = [pytest.mark.golden, pytest.mark.parametrize("precision", ROUNDING)]


class VinvlReference(Reference):
    """The folder of reference outputs."""

    def __init__(self, folder, models):
        super().__init__(folder)
        self.models = models
        counts = {name: self.description[name] for name in ("num_classes", "num_attributes")}
        self.config = {**self.description["config"], **counts}

    def overrides(self, case):
        """What a case changes, by upstream's names."""
        overrides = self.cases[case]["overrides"]
        unknown = overrides.keys() - {*SETTINGS, *SIZES, REGRESSION}
        assert not unknown, f"case {case} changes settings that this test does not know: {', '.join(unknown)}"
        return overrides

    def settings(self, case):
        """Settings of detect in a case."""
        changed = {SETTINGS[name]: value for name, value in self.overrides(case).items() if name in SETTINGS}
        return {
            "score_threshold": self.config["score_thresh"],
            "min_objects": self.config["min_detections_per_img"],
            "max_objects": self.config["detections_per_img"],
            **changed,
            "regression": not self.overrides(case).get(REGRESSION, False),
        }

    def has_wrong_boxes(self, case):
        """Filter 2 with regression returns boxes of other proposals upstream; those are no reference."""
        settings = self.settings(case)
        return settings.get("filter") == 2 and settings["regression"]

    def detector(self, case, precision, weights):
        """The detector of a case: a model folder as a user has it."""
        changed = {SIZES[name]: value for name, value in self.overrides(case).items() if name in SIZES}
        folder = self.models / f"{weights.name}-{len(list(self.models.iterdir()))}"
        folder.mkdir()
        shutil.copy(weights, folder)
        (folder / CONFIG).write_text(json.dumps({**self.config, **changed}))
        label_maps = [file for file in self.folder.glob("*.json") if file.name not in ("golden.json", CONFIG)]
        if label_maps:
            shutil.copy(label_maps[0], folder)
        else:
            counts = {"label": self.config["num_classes"], "attribute": self.config["num_attributes"]}
            names = {f"{kind}_to_idx": {f"{kind} {n}": n for n in range(1, count)} for kind, count in counts.items()}
            (folder / "names.json").write_text(json.dumps(names))
        settings = {**self.settings(case), "device": "cpu", "precision": precision}
        return VinvlDetector(Detect(model=str(folder / weights.name), **settings))

    def case_of_attribute_logits(self):
        """The case whose objects ``mid/*/attr_logits`` are of, told by the scores of their best attributes."""
        for case in self.cases:
            if all(self.has_attribute_logits(case, i) for i in range(len(self.images))):
                return case
        raise AssertionError("no case has the objects that mid/*/attr_logits are of")

    def has_attribute_logits(self, case, image):
        """Whether these logits give the best attributes of a case's objects; a score of 0 is one that was too low."""
        best = self[f"mid/{image}/attr_logits"].softmax(1)[:, 1:].amax(1)
        scores = self[f"{case}/single{image}/0/attr_scores"][:, 0]
        return len(best) == len(scores) and torch.allclose(best[scores > 0], scores[scores > 0], atol=1e-3)


@pytest.fixture
def reference(golden, tmp_path):
    return VinvlReference(golden / "attrrcnn", tmp_path)


def align(actual, expected):
    """Order of ``actual`` in which entries of equal score stand as in ``expected``: ties have no order of their own."""
    order, remaining = [], list(range(len(actual["scores"])))
    for label, score, box in zip(expected["labels"], expected["scores"], expected["boxes_net"], strict=True):
        candidates = [i for i in remaining if abs(actual["scores"][i] - score) < 1e-5 and actual["labels"][i] == label]
        assert candidates, "no entry of this label and score"
        nearest = min(candidates, key=lambda i: float((actual["boxes_net"][i] - box).abs().max()))
        order.append(nearest)
        remaining.remove(nearest)
    scores = actual["scores"]
    assert all(abs(float(scores[moved] - scores[i])) < 1e-6 for i, moved in enumerate(order) if i != moved)
    return order


def distinct(scores):
    """(n, k) True where a score differs from its neighbours."""
    gap = scores.diff(dim=1).abs() > 1e-5
    edge = gap.new_ones(len(gap), 1)
    return torch.cat([edge, gap], 1) & torch.cat([gap, edge], 1)


def compare_detections(detections, expected, comparable_boxes, tolerance):
    """Detections against reference values."""
    actual = {
        "boxes_net": detections.boxes,
        "labels": detections.labels,
        "scores": detections.scores,
        "box_features": detections.features,
        "attr_labels": detections.attributes,
        "attr_scores": detections.attribute_scores,
    }
    assert len(detections.labels) == len(expected["labels"])
    # Where upstream returns the boxes of other objects they cannot tell objects of equal score apart.
    order = align(actual, expected) if comparable_boxes else list(range(len(detections.labels)))
    actual = {name: value[order] for name, value in actual.items()}
    assert torch.equal(actual["labels"], expected["labels"])
    assert_close(actual["scores"], expected["scores"], 1e-5)
    assert_close(actual["box_features"], expected["box_features"], 1e-4)
    if comparable_boxes:
        assert_close(actual["boxes_net"], expected["boxes_net"], 1e-3)
        assert_close(actual["attr_scores"], expected["attr_scores"], tolerance)
        decided = (expected["attr_scores"] > 0) & distinct(expected["attr_scores"])
        assert torch.equal(actual["attr_labels"][decided], expected["attr_labels"][decided])


def test_official_preprocessing(reference, precision):
    detector = reference.detector(next(iter(reference.cases)), precision, reference.weights[0])
    for i, image in enumerate(reference.images):
        assert torch.equal(detector.stack([resized(image, detector.config)])[0], reference[f"pre/{i}"])


def test_official_intermediate_values(reference, precision):
    case = reference.case_of_attribute_logits()
    for weights in reference.weights:
        network = reference.detector(case, precision, weights).network
        for i in range(len(reference.images)):
            pixels, expected = reference[f"pre/{i}"][None], reference.group(f"mid/{i}")
            objects = reference.group(f"{case}/single{i}/0")
            with torch.inference_mode():
                c4 = network.backbone["body"](pixels)
                logits, deltas = network.rpn.get_submodule("head")(c4)
                (proposals,) = network.rpn(c4, [tuple(pixels.shape[2:])])
                features, class_logits, box_deltas = network.roi_heads["box"](c4[0], proposals.boxes)
                features = network.attribute.feature_extractor(c4[0], objects["boxes_net"])
                attribute_logits = network.attribute.predictor(features, objects["labels"])
            assert_close(c4, expected["c4"], 1e-4)
            assert_close(logits, expected["rpn_obj"], 1e-4)
            assert_close(deltas, expected["rpn_reg"], 1e-4)
            assert_close(proposals.boxes, expected["proposals"], 1e-3)
            assert_close(class_logits, expected["cls_logits"], 1e-4)
            assert_close(box_deltas, expected["box_regression"], 1e-4)
            assert_close(attribute_logits, expected["attr_logits"], 1e-4)


def test_official_images(reference, precision):
    """From the file of an image to named objects."""
    for weights in reference.weights:
        for case in reference.cases:
            detector = reference.detector(case, precision, weights)
            for i, regions in enumerate(detector.regions(reference.images)):
                assert regions.size == reference.images[i].image.size
                expected = reference.group(f"{case}/single{i}/0")
                compare_regions(regions, expected, detector, not reference.has_wrong_boxes(case), ROUNDING[precision])


def compare_regions(regions, expected, detector, comparable_boxes, tolerance):
    """Regions of one image against reference values; names are compared by their first index."""
    class_index = {name: detector.classes.index(name) for name in detector.classes}
    labels = torch.tensor([class_index[item.label] for item in regions.objects])
    expected["labels"] = torch.tensor([class_index[detector.classes[label]] for label in expected["labels"]])
    scores = torch.tensor([item.score for item in regions.objects])
    boxes = torch.tensor([item.box for item in regions.objects])
    if not comparable_boxes:
        assert torch.equal(labels, expected["labels"])
        assert_close(scores, expected["scores"], 1e-5)
        return
    actual = {"labels": labels, "scores": scores, "boxes_net": boxes}
    order = align(actual, {**expected, "boxes_net": expected["boxes"]})
    assert_close(boxes[order], expected["boxes"], 1e-3)
    assert_close(scores[order], expected["scores"], 1e-5)
    assert_close(regions.features[order], expected["box_features"], 1e-4)
    for index, row, attribute_labels in zip(order, expected["attr_scores"], expected["attr_labels"], strict=True):
        attributes = regions.objects[index].attributes
        positive = row > 0
        assert_close(torch.tensor([score for _, score in attributes]), row[positive], tolerance)
        names = [detector.attributes[label] for label in attribute_labels[positive]]
        decided = distinct(row[None])[0][positive].tolist()
        for (name, _), expected_name, is_decided in zip(attributes, names, decided, strict=True):
            assert name == expected_name or not is_decided


def test_official_batches(reference, precision):
    """Images padded into one batch: upstream's results change with the padding, and ours in the same way."""
    for case in reference.cases:
        detector = reference.detector(case, precision, reference.weights[0])
        for name, members in reference.batches.items():
            images = [reference[f"pre/{i}"] for i in members]
            sizes = [tuple(image.shape[1:]) for image in images]
            height, width = (max(sides) for sides in zip(*sizes, strict=True))
            batch = torch.stack(
                [
                    torch.nn.functional.pad(image, (0, width - image.shape[2], 0, height - image.shape[1]))
                    for image in images
                ]
            )
            with torch.inference_mode():
                detections_of_images = detector.network(batch, sizes, detector.postprocess)
            for i, detections in enumerate(detections_of_images):
                expected = reference.group(f"{case}/{name}/{i}")
                compare_detections(detections, expected, not reference.has_wrong_boxes(case), ROUNDING[precision])
