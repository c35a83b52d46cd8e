"""VinVL's detector: what must hold for any weights. Reference outputs: tests/golden."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ita.config import Detect
from ita.errors import UserError
from ita.vision import boxes
from ita.vision.detectors.vinvl import postprocessing
from ita.vision.detectors.vinvl.config import CONFIG, LABELS, VinvlConfig, read_vinvl_config
from ita.vision.detectors.vinvl.detector import VinvlDetector, network_size
from ita.vision.detectors.vinvl.network import AttrRCNN, cell_anchors
from ita.vision.detectors.vinvl.postprocessing import Candidates, PostprocessConfig
from ita.vision.detectors.vinvl.roi_align import roi_align
from tests.support.detectors import assert_independent_of_batches, decoded_scenes

EXACT = {"device": "cpu", "precision": "fp32"}


def peaked(rows, classes, generator, size=200.0):
    """Candidates of a trained head: a few classes per box have most of the probability."""
    corner = torch.rand(rows, 2, generator=generator) * size
    proposals = torch.cat([corner, corner + 20 + torch.rand(rows, 2, generator=generator) * size / 2], 1)
    scores = (4 * torch.randn(rows, classes, generator=generator)).softmax(1)
    deltas = torch.randn(rows, classes, 4, generator=generator) / 2
    return proposals, scores, deltas, (int(2 * size), int(2 * size))


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize(("threshold", "minimum"), [(0.2, 10), (0.9, 10), (0.9, 70), (0.2, 0), (0.001, 10), (0.0, 10)])
def test_filter_1_is_nms_in_each_class_over_all_scores(generator, regression, threshold, minimum):
    """Class by class without leaving out low scores, then each proposal's best class, then the best proposals."""
    for _ in range(2):
        proposals, scores, deltas, size = peaked(60, 21, generator)
        candidates = Candidates(proposals, scores, deltas if regression else None, size)
        rows = torch.arange(60)
        remaining = torch.zeros_like(scores)
        for label in range(1, 21):
            class_boxes = candidates.boxes(rows, torch.full_like(rows, label))
            keep = boxes.nms(class_boxes, scores[:, label], 0.3)
            remaining[keep, label] = scores[keep, label]
        best, labels = remaining.max(1)
        order = best.sort(descending=True, stable=True).indices
        order = order[best[order] > 0][: max(int((best >= threshold).sum()), minimum)]
        selection = postprocessing.select_detections(
            candidates, PostprocessConfig(1, regression, threshold, minimum), 0.5
        )
        assert selection.rows.tolist() == order.tolist()
        assert torch.equal(selection.labels, labels[order]) and torch.equal(selection.scores, best[order])
        assert torch.equal(selection.boxes, candidates.boxes(order, labels[order]))


@pytest.mark.parametrize("regression", [False, True])
def test_suppression_class_by_class_is_suppression_of_pairs(generator, regression, monkeypatch):
    proposals, scores, deltas, size = peaked(50, 37, generator)
    candidates = Candidates(proposals, scores, deltas if regression else None, size)
    considered = scores > 0.01
    pairs = postprocessing.class_nms(candidates, considered, 0.3)
    monkeypatch.setattr(postprocessing, "MAX_PAIRS", 0)
    assert torch.equal(postprocessing.class_nms(candidates, considered, 0.3), pairs)
    assert not (pairs & ~considered).any() and not pairs[:, 0].any()


def test_an_untrained_head_needs_no_more_memory_than_a_trained_one(generator):
    """Every pair qualifies where no class stands out; compared all with all they would be 10^10."""
    proposals, _, _, size = peaked(100, 1001, generator)
    scores = (0.01 * torch.randn(100, 1001, generator=generator)).softmax(1)
    kept = postprocessing.select_detections(Candidates(proposals, scores, None, size), PostprocessConfig(), 0.5)
    assert len(kept.rows) == 10 and (kept.scores.diff() <= 0).all()


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_filters_keep_within_the_bounds(generator, kind):
    proposals, scores, _, size = peaked(60, 41, generator)
    candidates = Candidates(proposals, scores, None, size)

    def select(**settings):
        return postprocessing.select_detections(candidates, PostprocessConfig(kind, **settings), 0.5)

    many = select(score_threshold=0.01, min_detections=0, max_detections=7)
    assert len(many.rows) == 7
    few = select(score_threshold=0.999, min_detections=5)
    assert len(few.rows) >= 5 and few.scores.min() < 0.999
    free = select(score_threshold=0.5, min_detections=0)
    assert 0 < len(free.rows) < 60 and free.scores.min() >= 0.5 and (free.labels > 0).all()
    if kind == 0:
        assert (free.labels.diff() >= 0).all()
    else:
        assert (free.scores.diff() <= 0).all() and len(set(free.rows.tolist())) == len(free.rows)
    assert torch.equal(free.boxes, proposals[free.rows])


def test_attributes_compete_with_none_and_are_bounded_per_image():
    logits = torch.tensor([[9.0, 8.0, 0, 0, 0], [0.0, 3.0, 3.5, 2.0, 0.0], [0.0, 0.1, 5.0, 0.2, 4.0]])
    labels, scores = postprocessing.best_attributes(logits, 0.05, per_image=3, per_object=2)
    expected = logits.softmax(1)
    assert labels.shape == scores.shape == (3, 2)
    assert scores[0].tolist() == [0, 0]  # 0.27, but three others of the image are better
    assert labels[1].tolist() == [2, 1] and scores[1].tolist() == expected[1, [2, 1]].tolist()
    assert labels[2, 0] == 2 and scores[2].tolist() == [expected[2, 2], 0]


def test_roi_align_is_the_average_of_bilinear_samples(generator):
    features = torch.randn(3, 9, 13, generator=generator)
    corner = torch.rand(12, 2, generator=generator) * torch.tensor([150.0, 100.0])
    spread = torch.rand(12, 2, generator=generator) * torch.tensor([58.0, 44.0])
    regions = torch.cat([corner, corner + spread], 1)
    regions[0] = torch.tensor([0.0, 0.0, 208.0, 144.0])
    regions[1] = torch.tensor([30.0, 30.0, 30.0, 30.0])
    pooled = roi_align(features, regions, 4)
    assert pooled.is_contiguous(memory_format=torch.channels_last)
    for region, pooled_region in zip(regions.tolist(), pooled, strict=True):
        torch.testing.assert_close(pooled_region, sampled(features, region, 4), atol=1e-5, rtol=0)


def sampled(features, region, resolution):
    """RoIAlign sample by sample."""
    height, width = features.shape[1:]
    x1, y1, x2, y2 = (edge / 16 for edge in region)
    bin_w, bin_h = max(x2 - x1, 1.0) / resolution, max(y2 - y1, 1.0) / resolution
    across, down = int(np.ceil(bin_w)), int(np.ceil(bin_h))
    out = torch.zeros(len(features), resolution, resolution)
    for row in range(resolution):
        for column in range(resolution):
            for i in range(down):
                for j in range(across):
                    y = y1 + row * bin_h + (i + 0.5) * bin_h / down
                    x = x1 + column * bin_w + (j + 0.5) * bin_w / across
                    if not (-1 <= y <= height and -1 <= x <= width):
                        continue
                    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
                    top, left = int(y), int(x)
                    low, right = min(top + 1, height - 1), min(left + 1, width - 1)
                    v, u = y - top, x - left
                    out[:, row, column] += (
                        features[:, top, left] * (1 - v) * (1 - u)
                        + features[:, top, right] * (1 - v) * u
                        + features[:, low, left] * v * (1 - u)
                        + features[:, low, right] * v * u
                    ) / (across * down)
    return out


def test_the_full_network_has_the_published_weights():
    with torch.device("meta"):
        network = AttrRCNN(VinvlConfig())
    state = network.state_dict()
    assert len(state) == 841
    assert sum(value.numel() for value in network.parameters()) == 147_742_015
    published = {
        "backbone.body.stem.conv1.weight": (64, 3, 7, 7),
        "backbone.body.layer1.0.conv2.weight": (256, 8, 3, 3),
        "backbone.body.layer3.35.conv2.weight": (1024, 32, 3, 3),
        "roi_heads.box.feature_extractor.head.layer4.0.conv2.weight": (2048, 64, 3, 3),
        "attribute.feature_extractor.head.layer4.0.downsample.1.running_var": (2048,),
        "rpn.anchor_generator.cell_anchors.0": (15, 4),
        "rpn.head.bbox_pred.bias": (60,),
        "roi_heads.box.predictor.bbox_pred.weight": (6380, 2048),
        "attribute.predictor.cls_embedding.weight": (1595, 256),
        "attribute.predictor.fc_attr.weight": (512, 2304),
        "attribute.predictor.attr_score.weight": (525, 512),
    }
    assert {name: tuple(state[name].shape) for name in published} == published


def test_anchors_are_rounded_as_published():
    anchors = cell_anchors((32, 64, 128, 256, 512), (0.5, 1, 2)).tolist()
    assert anchors[:2] == [[-15, -4, 30, 19], [-38, -16, 53, 31]] and anchors[4] == [-360, -184, 375, 199]
    assert anchors[5] == [-8, -8, 23, 23] and anchors[10] == [-3, -14, 18, 29]


@pytest.mark.parametrize(
    ("size", "expected"),
    [((800, 600), (800, 600)), ((640, 480), (800, 600)), ((480, 640), (600, 800)), ((1000, 300), (1000, 300))]
    + [((601, 601), (600, 600)), ((500, 333), (900, 600)), ((333, 500), (600, 900)), ((1, 3000), (1, 3000))],
)
def test_sizes_after_resizing(size, expected):
    assert network_size(size, VinvlConfig()) == expected


TINY = {
    "num_classes": 6,
    "num_attributes": 5,
    "stem_out": 8,
    "res2_out": 16,
    "groups": 4,
    "width_per_group": 2,
    "blocks": [1, 1, 1, 1],
    "anchor_sizes": [32, 64],
    "post_nms_top_n": 30,
    "cls_emd_dim": 8,
    "attr_emd_dim": 8,
    "min_size": 96,
    "max_size": 160,
}
NAMES = {
    "label_to_idx": {"Cat": 1, "dog": 2, "traffic light": 3, "sky": 4, "man": 5},
    "attribute_to_idx": {"Red": 1, "big": 2, "wet": 3, "old": 4},
}


@pytest.fixture
def tiny(tmp_path):
    """A model folder with random weights and spread scores."""
    (tmp_path / CONFIG).write_text(json.dumps(TINY))
    (tmp_path / LABELS).write_text(json.dumps(NAMES))
    torch.manual_seed(0)
    network = AttrRCNN(read_vinvl_config(tmp_path))
    torch.nn.init.normal_(network.attribute.predictor.cls_embedding.weight)
    with torch.no_grad():
        network.roi_heads["box"].predictor["cls_score"].weight.mul_(20)
        network.attribute.predictor.attr_score.weight.mul_(4)
    save_file({name: value.clone() for name, value in network.state_dict().items()}, tmp_path / "model.safetensors")
    return tmp_path


def test_objects_and_regions(tiny):
    detector = VinvlDetector(Detect(model=str(tiny), **EXACT))
    images = decoded_scenes((120, 80), (80, 120))
    for image, regions in zip(images, detector.regions(images), strict=True):
        objects = regions.objects
        assert regions.size == image.image.size and len(objects) >= 10
        assert regions.features.shape == (len(objects), 128) and regions.features.dtype == torch.float32
        scores = [item.score for item in objects]
        assert scores == sorted(scores, reverse=True) and all(0 < score <= 1 for score in scores)
        for item in objects:
            assert item.label in {"cat", "dog", "traffic light", "sky", "man"}
            x1, y1, x2, y2 = item.box
            assert 0 <= x1 <= x2 <= regions.size[0] and 0 <= y1 <= y2 <= regions.size[1]
            assert all(name in {"red", "big", "wet", "old"} and score > 0.05 for name, score in item.attributes)
            assert list(item.attributes) == sorted(item.attributes, key=lambda pair: -pair[1])
        assert any(item.attributes for item in objects)
    assert detector.regions([]) == []
    assert set(detector.metadata["weights"]) == {"model.safetensors", LABELS}


def test_the_whole_image_several_times(tiny):
    """In place of objects: one box, pooled and classified as any other box would be."""
    images = decoded_scenes((120, 80), (80, 120))
    detector = VinvlDetector(Detect(model=str(tiny), whole_image=4, regression=True, **EXACT))
    for image, regions in zip(images, detector.regions(images), strict=True):
        width, height = regions.size
        assert len({(item.label, item.score, item.box) for item in regions.objects}) == 1
        assert len(regions.objects) == 4 and regions.features.shape == (4, 128)
        (network_image,) = detector.preprocess([image])
        rows, columns = network_image.shape[:2]
        right, bottom = width * (columns - 1) / columns, height * (rows - 1) / rows
        assert regions.objects[0].box == pytest.approx((0, 0, right, bottom))
        head = detector.network.roi_heads["box"]
        with torch.inference_mode():
            c4 = detector.network.backbone["body"](detector.stack([network_image]))[0]
            expected, logits, _ = head(c4, torch.tensor([[0.0, 0.0, columns - 1.0, rows - 1.0]]))
        torch.testing.assert_close(regions.features, expected.expand(4, -1))
        assert regions.objects[0].score == pytest.approx(float(logits.softmax(1)[0, 1:].max()))
        assert regions.objects[0].label == detector.classes[int(logits[0, 1:].argmax()) + 1]


def test_filter_0_gives_classes_one_after_another_which_are_then_ranked(tiny):
    detector = VinvlDetector(Detect(model=str(tiny), filter=0, regression=True, **EXACT))
    images = decoded_scenes((120, 80))
    order = [NAMES["label_to_idx"].get(item.label, 1) for item in detector.regions(images)[0].objects]
    assert order == sorted(order)
    regions = detector.regions(images)[0]
    ranked = regions.ranked()
    scores = [item.score for item in ranked.objects]
    assert scores == sorted(scores, reverse=True)
    for item, feature in zip(ranked.objects, ranked.features, strict=True):
        assert torch.equal(regions.features[regions.objects.index(item)], feature)


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_a_result_does_not_depend_on_its_batch(tiny, regression, precision):
    settings = {"device": "cpu", "precision": precision, "batch_size": 2, "regression": regression}
    detector = VinvlDetector(Detect(model=str(tiny), **settings))
    assert_independent_of_batches(detector)


def test_bf16_keeps_boxes_and_scores_in_float32(tiny):
    images = decoded_scenes((120, 80))
    rough = VinvlDetector(Detect(model=str(tiny), device="cpu", precision="bf16"))
    assert rough.network.rpn.head.cls_logits.weight.dtype == torch.float32
    assert rough.network.backbone["body"].layer1[0].conv1.weight.dtype == torch.bfloat16
    (regions,) = rough.regions(images)
    (exact,) = VinvlDetector(Detect(model=str(tiny), **EXACT)).regions(images)
    assert regions.features.dtype == torch.float32
    assert regions.objects[0].score == pytest.approx(exact.objects[0].score, abs=0.05)


def test_a_file_names_the_model_as_well_as_a_folder(tiny):
    images = decoded_scenes((120, 80))
    (tiny / "other.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"several weights \(model.safetensors, other.safetensors\)"):
        VinvlDetector(Detect(model=str(tiny), **EXACT))
    VinvlDetector(Detect(model=str(tiny / "model.safetensors"), **EXACT)).regions(images)


def test_files_that_do_not_fit_are_named(tiny):
    def problem(pattern):
        with pytest.raises(UserError, match=pattern):
            VinvlDetector(Detect(model=str(tiny), **EXACT))

    for text, pattern in (
        ("{", rf"{LABELS}: cannot be read"),
        ("[]", rf"{LABELS}: expected a JSON object"),
        ("{}", rf"{LABELS}: label_to_idx names 0 indices"),
        (json.dumps({**NAMES, "attribute_to_idx": {"red": 1}}), rf"{LABELS}: attribute_to_idx names 1"),
        (json.dumps({**NAMES, "label_to_idx": [1]}), rf"{LABELS}: label_to_idx is not a map"),
    ):
        (tiny / LABELS).write_text(text)
        problem(pattern)
    (tiny / LABELS).unlink()
    problem(rf"{LABELS}: the names of classes and attributes are missing")
    (tiny / "names.json").write_text(json.dumps(NAMES))
    VinvlDetector(Detect(model=str(tiny), **EXACT))
    for value, pattern in (("wide", "stem_out is 'wide'"), (4, "stem.bn1.bias is .8,., expected .4,.")):
        (tiny / CONFIG).write_text(json.dumps({**TINY, "stem_out": value}))
        problem(pattern)
    (tiny / CONFIG).write_text(json.dumps(TINY))
    (tiny / "model.safetensors").write_bytes(b"<html>")
    problem("model.safetensors: is not a checkpoint")
    (tiny / "model.safetensors").unlink()
    problem("holds no weights; expected vinvl_vg_x152c4.pth")
