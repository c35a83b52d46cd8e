"""The bottom-up attention detector: what must hold for any weights. Reference outputs: tests/golden."""

import json
import math
from dataclasses import replace

import pytest
import torch
import yaml
from safetensors.torch import save_file

from ita.config import Detect
from ita.errors import UserError
from ita.vision.detectors.bottomup.config import ATTRIBUTES, OBJECTS, BottomUpConfig, read_bottomup_config
from ita.vision.detectors.bottomup.detector import BottomUpDetector, network_size
from ita.vision.detectors.bottomup.network import BottomUp, cell_anchors
from ita.vision.detectors.bottomup.roi_pool import roi_pool, round_half_away
from tests.support.detectors import assert_independent_of_batches, decoded_scenes

EXACT = {"device": "cpu", "precision": "fp32"}
TINY = {
    "RESNETS": {"DEPTH": 50, "STEM_OUT_CHANNELS": 8, "RES2_OUT_CHANNELS": 16, "WIDTH_PER_GROUP": 4},
    "ANCHOR_GENERATOR": {"SIZES": [[32, 64]], "ASPECT_RATIOS": [[0.5, 1.0]]},
    "PROPOSAL_GENERATOR": {"HIDDEN_CHANNELS": 8},
    "RPN": {"POST_NMS_TOPK_TEST": 40},
    "ROI_HEADS": {"NUM_CLASSES": 4, "NMS_THRESH_TEST": [0.3, 0.5]},
    "ROI_BOX_HEAD": {"NUM_ATTRS": 3},
    "INPUT": {"MIN_SIZE_TEST": 96, "MAX_SIZE_TEST": 160},
    "MIN_DETECTIONS": 4,
    "MAX_DETECTIONS": 12,
}


def largest(features, region, resolution):
    """RoIPool bin by bin."""
    height, width = features.shape[1:]
    left, top, right, bottom = (math.floor(edge / 16 + 0.5) for edge in region)  # edges are not negative
    wide, high = max(right - left + 1, 1) / resolution, max(bottom - top + 1, 1) / resolution
    out = torch.zeros(len(features), resolution, resolution)
    for row in range(resolution):
        for column in range(resolution):
            y1, y2 = (min(max(y + top, 0), height) for y in (math.floor(row * high), math.ceil((row + 1) * high)))
            x1, x2 = (min(max(x + left, 0), width) for x in (math.floor(column * wide), math.ceil((column + 1) * wide)))
            if y2 > y1 and x2 > x1:
                out[:, row, column] = features[:, y1:y2, x1:x2].amax((1, 2))
    return out


@pytest.mark.parametrize("resolution", [1, 2, 4, 8])
def test_roi_pool_is_the_largest_value_of_each_bin(resolution):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 11, 19, generator=generator)
    corner = torch.rand(60, 2, generator=generator) * torch.tensor([280.0, 160.0])
    regions = torch.cat([corner, corner + torch.rand(60, 2, generator=generator) * 150], 1)
    regions[:20] = (regions[:20] / 8).round() * 8  # edges on halves of a cell
    regions = regions.clamp(max=19 * 16)
    regions[0] = torch.tensor([0.0, 0.0, 304.0, 176.0])
    regions[1] = torch.tensor([304.0, 176.0, 304.0, 176.0])  # outside the last cell: empty
    pooled = roi_pool(features, regions, resolution)
    assert pooled.is_contiguous(memory_format=torch.channels_last)
    for region, pooled_region in zip(regions.tolist(), pooled, strict=True):
        assert torch.equal(pooled_region, largest(features, region, resolution))
    assert (pooled[1] == 0).all() and roi_pool(features, regions[:0], resolution).shape == (0, 3, *2 * [resolution])


def test_halves_are_rounded_away_from_zero():
    x = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, 0.49999997, 2.4, -2.6])
    assert round_half_away(x).tolist() == [1, 2, 3, -1, -2, 0, 2, -3]


def test_anchors_are_centred_on_the_corner_of_their_cell():
    anchors = cell_anchors((64, 128), (0.5, 1.0))
    assert torch.allclose(anchors[0], torch.tensor([-45.2548, -22.6274, 45.2548, 22.6274]))
    assert anchors[1].tolist() == [-32, -32, 32, 32] and anchors[3].tolist() == [-64, -64, 64, 64]


@pytest.mark.parametrize(
    ("size", "expected"),
    [((800, 600), (800, 600)), ((640, 480), (800, 600)), ((500, 333), (901, 600)), ((200, 50), (1000, 250))]
    + [((333, 500), (600, 901)), ((1, 3000), (1, 1000)), ((601, 601), (600, 600))],
)
def test_sizes_after_resizing(size, expected):
    assert network_size(size, BottomUpConfig()) == expected


def test_the_full_network_has_the_published_sizes():
    with torch.device("meta"):
        network = BottomUp(BottomUpConfig())
    state = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    published = {
        "backbone.stem.conv1.weight": (64, 3, 7, 7),
        "backbone.res4.22.conv2.norm.running_var": (256,),
        "proposal_generator.rpn_head.conv.weight": (512, 1024, 3, 3),
        "proposal_generator.rpn_head.anchor_deltas.weight": (48, 512, 1, 1),
        "proposal_generator.anchor_generator.cell_anchors.0": (12, 4),
        "roi_heads.res5.0.shortcut.weight": (2048, 1024, 1, 1),
        "roi_heads.box_predictor.cls_score.weight": (1601, 2048),
        "roi_heads.box_predictor.bbox_pred.weight": (6400, 2048),
        "roi_heads.box_predictor.cls_embedding.weight": (1601, 256),
        "roi_heads.box_predictor.fc_attr.weight": (512, 2304),
        "roi_heads.box_predictor.attr_score.weight": (401, 512),
    }
    assert {name: state[name] for name in published} == published


@pytest.fixture
def tiny(tmp_path):
    """A model folder with random weights and spread scores."""
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    (tmp_path / OBJECTS).write_text("Cat,kitten\ndog\ntraffic light\nsky\n")
    (tmp_path / ATTRIBUTES).write_text("red\nbig\nwet,soaked\n")
    torch.manual_seed(0)
    network = BottomUp(read_bottomup_config(tmp_path))
    torch.nn.init.normal_(network.roi_heads.box_predictor.cls_embedding.weight)
    with torch.no_grad():
        network.roi_heads.box_predictor.cls_score.weight.mul_(10)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    return tmp_path


def test_objects_and_regions(tiny):
    detector = BottomUpDetector(Detect(model=str(tiny), score_threshold=0.0, **EXACT))
    images = decoded_scenes((120, 80), (80, 120))
    for image, regions in zip(images, detector.regions(images), strict=True):
        objects = regions.objects
        assert regions.size == image.image.size and 4 <= len(objects) <= 12
        assert regions.features.shape == (len(objects), 128) and regions.features.dtype == torch.float32
        scores = [item.score for item in objects]
        assert scores == sorted(scores, reverse=True) and all(0 < score <= 1 for score in scores)
        for item in objects:
            assert item.label in {"cat", "dog", "traffic light", "sky"} and len(item.attributes) == 1
            assert item.attributes[0][0] in {"red", "big", "wet"}
            x1, y1, x2, y2 = item.box
            assert 0 <= x1 <= x2 <= regions.size[0] + 1e-3 and 0 <= y1 <= y2 <= regions.size[1] + 1e-3
    assert detector.regions([]) == []


def test_bounds_of_the_settings_and_of_the_network(tiny):
    images = decoded_scenes((120, 80))

    def count(**settings):
        detector = BottomUpDetector(Detect(model=str(tiny), **EXACT, **settings))
        return len(detector.regions(images)[0].objects)

    every = count(score_threshold=0.0)
    assert count(score_threshold=1.0, min_objects=0) == 0 and count(score_threshold=1.0, min_objects=3) == 3
    assert count(score_threshold=0.0, max_objects=2) == 2 and count(score_threshold=1.0, min_objects=100) == every


def test_the_overlap_allowed_grows_until_enough_are_left(tiny):
    detector = BottomUpDetector(Detect(model=str(tiny), score_threshold=0.0, **EXACT))
    plain = detector.network.config

    def count(**change):
        detector.network.config = replace(plain, **change)
        return len(detector.regions(decoded_scenes((120, 80)))[0].objects)

    few, many = (count(nms=(nms,), min_detections=1, max_detections=99) for nms in (0.1, 0.9))
    assert few < many
    assert count(nms=(0.1, 0.9), min_detections=few + 1, max_detections=99) == many
    assert count(nms=(0.1, 0.9), min_detections=few, max_detections=99) == few
    assert count(nms=(0.1, 0.9), min_detections=99, max_detections=99) == many  # never enough: the last


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_a_result_does_not_depend_on_its_batch(tiny, precision):
    detector = BottomUpDetector(Detect(model=str(tiny), device="cpu", precision=precision, batch_size=2))
    assert_independent_of_batches(detector)


def test_bf16_keeps_boxes_and_scores_in_float32(tiny):
    rough = BottomUpDetector(Detect(model=str(tiny), device="cpu", precision="bf16"))
    assert rough.network.proposal_generator.rpn_head.anchor_deltas.weight.dtype == torch.float32
    assert rough.network.roi_heads.res5[0].conv1.weight.dtype == torch.bfloat16
    (regions,) = rough.regions(decoded_scenes((120, 80)))
    assert regions.features.dtype == torch.float32 and regions.objects


def test_configurations_in_yaml_and_lower_case(tiny):
    def lower(value):
        return {key.lower(): lower(x) for key, x in value.items()} if isinstance(value, dict) else value

    expected = read_bottomup_config(tiny)
    (tiny / "config.json").unlink()
    assert read_bottomup_config(tiny) == BottomUpConfig()
    (tiny / "config.yaml").write_text(yaml.safe_dump(lower(TINY)))
    assert read_bottomup_config(tiny) == expected and expected.nms == (0.3, 0.5) and expected.anchor_sizes == (32, 64)
    (tiny / "model.safetensors").rename(tiny / "other.safetensors")
    BottomUpDetector(Detect(model=str(tiny), **EXACT))


def test_a_file_may_lack_what_follows_from_the_rest(tiny):
    from safetensors.torch import load_file

    images = decoded_scenes((120, 80))
    before = BottomUpDetector(Detect(model=str(tiny), **EXACT)).regions(images)[0].objects
    weights = load_file(tiny / "model.safetensors")
    fewer = {
        name: value for name, value in weights.items() if not name.endswith(("num_batches_tracked", "cell_anchors.0"))
    }
    assert len(fewer) < len(weights)
    save_file(fewer, tiny / "model.safetensors")
    assert BottomUpDetector(Detect(model=str(tiny), **EXACT)).regions(images)[0].objects == before


def test_files_that_do_not_fit_are_named(tiny):
    def problem(pattern):
        with pytest.raises(UserError, match=pattern):
            BottomUpDetector(Detect(model=str(tiny), **EXACT))

    for change, pattern in (
        ({"RESNETS": {"DEPTH": 51}}, "config.json: depth 51"),
        ({"INPUT": {"MIN_SIZE_TEST": "big"}}, "config.json: input.min_size_test is 'big'"),
        ({"ROI_BOX_HEAD": {"NUM_ATTRS": 3, "RES5HALVE": True}}, "config.json: .*RES5HALVE"),
    ):
        (tiny / "config.json").write_text(json.dumps({**TINY, **change}))
        problem(pattern)
    (tiny / "config.json").write_text("{")
    problem("config.json: cannot be read")
    (tiny / "config.json").write_text(json.dumps(TINY))
    (tiny / OBJECTS).write_text("cat\n")
    problem(f"{OBJECTS}: holds 1 names, expected 4")
    (tiny / OBJECTS).unlink()
    problem(f"{OBJECTS}: cannot be read .*py-bottom-up-attention")
    elsewhere = tiny / "names"
    elsewhere.mkdir()
    (elsewhere / OBJECTS).write_text("a\nb\nc\nd\n")
    (elsewhere / ATTRIBUTES).write_text("x\ny\nz\n")
    BottomUpDetector(Detect(model=str(tiny), vocabulary=str(elsewhere), **EXACT))
    (tiny / "model.safetensors").write_bytes(b"<html>")
    with pytest.raises(UserError, match="model.safetensors: is not a checkpoint"):
        BottomUpDetector(Detect(model=str(tiny), vocabulary=str(elsewhere), **EXACT))
