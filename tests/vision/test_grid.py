"""Grids of cells: backbones by transformers and by timm, what they read of an image, the tables they leave.

timm needs torchvision, which has to fit torch; where the two cannot be imported, its tests are skipped. To run them,
make an environment of a torch and a torchvision of the same build and all that the tests need::

    python -m venv timmenv
    timmenv/bin/pip install torch==2.14.1 torchvision==0.29.1 -e ".[dev,timm]"
    timmenv/bin/python -m pytest tests/vision/test_grid.py -k timm
"""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import BertConfig, ResNetConfig, ResNetModel

from ita.cli import run_stage
from ita.config import Detect
from ita.errors import UserError
from ita.io import parquet
from ita.stages import detect
from ita.vision.detectors import backbones, build_detector
from ita.vision.detectors.backbones import Preprocessing
from ita.vision.detectors.resnet_weights import resnet_config, torchvision_name
from ita.vision.region_tables import read_regions
from ita.vision.types import DecodedImage
from tests.support.pictures import scene, table

TINY = {"backend": "grid", "device": "cpu", "precision": "fp32"}
SIZES = {
    "bottleneck": {"embedding_size": 8, "hidden_sizes": [16, 24, 32, 48], "depths": [2, 1, 3, 1]},
    "basic": {"embedding_size": 8, "hidden_sizes": [8, 12, 16, 24], "depths": [1, 2, 1, 1]},
}


def model(kind):
    """A ResNet of transformers with random weights, and its weights by the names of timm and torchvision."""
    torch.manual_seed(0)
    theirs = ResNetModel(ResNetConfig(layer_type=kind, **SIZES[kind])).eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return theirs, {torchvision_name(name): value for name, value in theirs.state_dict().items()}


def saved(folder, kind="bottleneck", **changes):
    """A folder as timm's on the hub: weights with a classifier, which is not used."""
    folder.mkdir(exist_ok=True)
    weights = {**model(kind)[1], "fc.weight": torch.zeros(3, 4), "fc.bias": torch.zeros(3), **changes}
    save_file({name: value for name, value in weights.items() if value is not None}, folder / "model.safetensors")
    return str(folder)


@pytest.fixture
def pictures(tmp_path):
    scene(120, 80, 0).save(tmp_path / "a.png")
    scene(80, 120, 1).save(tmp_path / "b.png")
    scene(300, 200, 2).save(tmp_path / "c.png")
    return table(tmp_path, a="a.png", b="b.png", gone=None, c="c.png")


def features_of(folder, *images):
    """Features that the detector of a folder has of images."""
    detector = build_detector(Detect(**TINY, model=str(folder)))
    decoded = [DecodedImage(str(number), image) for number, image in enumerate(images)]
    return [regions.features for regions in detector.regions(decoded)]


@pytest.mark.parametrize("kind", ["bottleneck", "basic"])
def test_the_features_are_those_of_transformers_resnet(tmp_path, kind):
    theirs, _ = model(kind)
    image = scene(300, 200, 3)
    with torch.no_grad():
        expected = theirs(Preprocessing()(image)[None]).last_hidden_state[0].flatten(1).T
    (features,) = features_of(saved(tmp_path / kind, kind), image)
    assert features.shape == (49, SIZES[kind]["hidden_sizes"][-1]) and features.max() > 0
    assert torch.equal(features, expected.half().float())


def test_resnet_152_has_the_published_weights():
    """Names and shapes of timm/resnet152.tv_in1k."""
    with torch.device("meta"):
        network = ResNetModel(
            ResNetConfig(depths=[3, 8, 36, 3], hidden_sizes=[256, 512, 1024, 2048], embedding_size=64)
        )
    weights = {torchvision_name(name): value for name, value in network.state_dict().items()}
    assert len(weights) == 930
    assert sum(weight.numel() for weight in network.parameters()) == 60_192_808 - 2_049_000, "all but the classifier"
    published = {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_mean": (64,),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.downsample.1.num_batches_tracked": (),
        "layer3.35.conv2.weight": (256, 256, 3, 3),
        "layer4.2.bn3.bias": (2048,),
    }
    assert {name: tuple(weights[name].shape) for name in published} == published
    config = resnet_config(weights, "here")
    assert (config.depths, config.hidden_sizes) == ([3, 8, 36, 3], [256, 512, 1024, 2048])
    assert (config.embedding_size, config.layer_type) == (64, "bottleneck")


@pytest.mark.parametrize("size", [(256, 256), (512, 512), (300, 200), (217, 431), (640, 427)])
def test_pictures_are_resized_then_cropped(size):
    """In two steps as torchvision does it, of which ours leaves out what the crop removes."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    whole = image.resize(tuple(256 * side // min(size) for side in size), Image.Resampling.BILINEAR)
    left, top = (round((side - 224) / 2) for side in whole.size)
    expected = torch.from_numpy(np.array(whole.crop((left, top, left + 224, top + 224)))).permute(2, 0, 1)
    mean, std = (torch.tensor(values)[:, None, None] for values in (Preprocessing.mean, Preprocessing.std))
    levels = (Preprocessing()(image) * std + mean) * 255
    assert (levels - expected).abs().max() < 1.01, "a level of 256 at most, by rounding"


def test_the_stage_keeps_features_and_finds_no_objects(pictures, tmp_path):
    folder = saved(tmp_path / "resnet")
    settings = {"detect": {**TINY, "model": folder, "batch_size": 2}}
    arguments = ["--images", str(pictures), "--settings", json.dumps(settings)]
    files = ["--output", str(tmp_path / "objects.parquet"), "--features", str(tmp_path / "features.parquet")]
    assert run_stage(detect, [*arguments, *files]) == 0
    assert parquet.rows("objects", tmp_path / "objects.parquet") == []
    rows = parquet.rows("features", tmp_path / "features.parquet")
    assert [(row["image_id"], row["width"], row["height"], row["regions"]) for row in rows] == [
        ("a", 120, 80, 49),
        ("b", 80, 120, 49),
        ("c", 300, 200, 49),
    ]
    about = parquet.metadata(tmp_path / "features.parquet")
    assert about["engine"]["class"] == "ResNetModel" and "model.safetensors" in about["engine"]["weights"]
    theirs, _ = model("bottleneck")
    for row, seed in zip(rows, (0, 1, 2), strict=True):
        image = scene(row["width"], row["height"], seed)
        with torch.no_grad():
            cells = theirs(Preprocessing()(image)[None]).last_hidden_state[0]
        expected = [cells[:, line, column] for line in range(7) for column in range(7)]
        found = torch.tensor(row["features"]).view(49, -1)
        torch.testing.assert_close(found, torch.stack(expected), atol=1e-3, rtol=2e-3)
        assert torch.equal(found, found.half().float()), "rounded to half precision"
    with pytest.raises(UserError, match="49 regions, and 0 objects"):
        list(read_regions(tmp_path / "objects.parquet", tmp_path / "features.parquet"))


def test_a_result_does_not_depend_on_its_batch_and_any_size_is_read(tmp_path):
    detector = build_detector(Detect(**TINY, model=saved(tmp_path / "resnet", "basic")))
    images = [DecodedImage(str(size), scene(*size)) for size in [(120, 80), (1, 1), (4000, 2), (2, 4000), (224, 224)]]
    together = detector.regions(images)
    for one, picture in zip(together, images, strict=True):
        assert one.objects == [] and one.features.shape == (49, 24) and one.features.isfinite().all()
        torch.testing.assert_close(one.features, detector.regions([picture])[0].features, atol=2e-3, rtol=2e-3)


def test_a_file_of_torchvision_is_read(tmp_path):
    _, weights = model("basic")
    torch.save({**weights, "fc.weight": torch.zeros(2, 2), "fc.bias": torch.zeros(2)}, tmp_path / "resnet.pth")
    detector = build_detector(Detect(**TINY, model=str(tmp_path / "resnet.pth")))
    (one,) = detector.regions([DecodedImage("a", scene())])
    assert one.features.shape == (49, 24)


TIMM = {
    "architecture": "resnet18",
    "num_classes": 3,
    "num_features": 512,
    "pretrained_cfg": {
        "input_size": [3, 96, 96],
        "interpolation": "bicubic",
        "crop_pct": 0.75,
        "crop_mode": "center",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "num_classes": 3,
        "classifier": "fc",
        "first_conv": "conv1",
    },
}


def test_preprocessing_follows_the_config_of_timm(tmp_path, monkeypatch):
    monkeypatch.setattr(backbones, "timm_is_available", lambda: False)
    folder = saved(tmp_path / "resnet")
    (tmp_path / "resnet" / "config.json").write_text(json.dumps(TIMM))
    detector = build_detector(Detect(**TINY, model=folder))
    expected = Preprocessing(96, 0.75, False, "bicubic", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    assert detector.backbone.preprocess == expected and expected(scene()).shape == (3, 96, 96)
    assert features_of(folder, scene())[0].shape == (9, 48)
    for name, value in (("crop_mode", "border"), ("interpolation", "random"), ("input_size", [3, 96, 128])):
        wrong = {**TIMM, "pretrained_cfg": {**TIMM["pretrained_cfg"], name: value}}
        (tmp_path / "resnet" / "config.json").write_text(json.dumps(wrong))
        with pytest.raises(UserError, match="config.json: input of .* not supported; expected a square, center or"):
            build_detector(Detect(**TINY, model=folder))


def test_squashed_images_keep_their_corners():
    image = Image.new("RGB", (300, 100), (255, 255, 255))
    image.paste((0, 0, 0), (0, 0, 150, 100))
    pixels = Preprocessing(16, 1.0, True, "nearest", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))(image)
    assert (pixels[:, :, :8] == 0).all() and (pixels[:, :, 8:] == 1).all()


def test_backbones_of_transformers_are_read(tmp_path):
    """As microsoft/resnet-50 is on the hub: a classifier with its image processor."""
    from transformers import ConvNextImageProcessorPil, ResNetForImageClassification

    folder = tmp_path / "resnet"
    torch.manual_seed(0)
    theirs = ResNetForImageClassification(ResNetConfig(**SIZES["basic"], layer_type="basic")).eval()
    theirs.save_pretrained(folder)
    processor = ConvNextImageProcessorPil(size={"shortest_edge": 64}, crop_pct=0.875)
    processor.save_pretrained(folder)
    images = [scene(120, 80, 0), scene(80, 120, 1)]
    for image, features in zip(images, features_of(folder, *images), strict=True):
        with torch.no_grad():
            maps = theirs.resnet(**processor(images=image, return_tensors="pt")).last_hidden_state
        assert features.shape == (4, 24)
        torch.testing.assert_close(features, maps[0].flatten(1).T, atol=2e-3, rtol=2e-3)
    BertConfig().save_pretrained(folder)
    with pytest.raises(UserError, match="config.json: transformers has no backbone for 'bert'"):
        features_of(folder, *images)


def usable_timm():
    """timm, if it can be imported."""
    try:
        return pytest.importorskip("timm", reason="timm is not installed; this module's docstring says how to run it")
    except RuntimeError as error:
        pytest.skip(f"timm cannot be imported ({error}); this module's docstring says how to run it")


def saved_by_timm(folder, architecture):
    """A model of timm with random weights, saved as on the hub."""
    timm = usable_timm()
    torch.manual_seed(0)
    network = timm.create_model(architecture, pretrained=False, num_classes=3).eval()
    from timm.models import save_for_hf

    save_for_hf(network, folder, safe_serialization=True)
    return network


@pytest.mark.parametrize(
    "architecture", ["resnet18", "convnextv2_atto", "swin_tiny_patch4_window7_224", "vit_tiny_patch16_224"]
)
def test_timm_gives_the_cells_of_its_last_feature_map(tmp_path, architecture):
    network = saved_by_timm(tmp_path / "model", architecture)
    from timm.data import create_transform, resolve_model_data_config

    image = scene(300, 200, 2)
    with torch.no_grad():
        pixels = create_transform(**resolve_model_data_config(network), is_training=False)(image)
        feature_map = network.forward_features(pixels[None])[0]
    if architecture.startswith("vit"):
        expected = feature_map[1:]  # without the class token
    elif architecture.startswith("swin"):
        expected = feature_map.flatten(0, 1)
    else:
        expected = feature_map.flatten(1).T
    (features,) = features_of(tmp_path / "model", image)
    assert features.shape == expected.shape == (196 if architecture.startswith("vit") else 49, network.num_features)
    # timm resizes in two steps, which moves a pixel by a level of 256 at most.
    assert (features - expected).abs().mean() < 0.02 * expected.abs().mean()


@pytest.mark.parametrize("architecture", ["resnet18", "resnet50"])
def test_timm_and_transformers_give_the_same_cells_of_a_resnet(tmp_path, architecture, monkeypatch):
    saved_by_timm(tmp_path / "model", architecture)
    images = [scene(120, 80, 0), scene(300, 200, 1)]
    by_timm = features_of(tmp_path / "model", *images)
    monkeypatch.setattr(backbones, "timm_is_available", lambda: False)
    by_transformers = features_of(tmp_path / "model", *images)
    for features, expected in zip(by_timm, by_transformers, strict=True):
        torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-3)


def test_other_networks_and_broken_files_are_refused(tmp_path):
    def load(folder):
        build_detector(Detect(**TINY, model=folder))

    deep = saved(tmp_path / "deep", **{"conv1.weight": None, "conv1.0.weight": torch.zeros(4, 3, 3, 3)})
    with pytest.raises(UserError, match=r"holds no plain ResNet.*timm/resnet152.tv_in1k.*pip install"):
        load(deep)
    wide = saved(tmp_path / "wide", **{"layer1.0.conv2.weight": torch.zeros(8, 4, 3, 3)})
    with pytest.raises(UserError, match="holds no plain ResNet"):
        load(wide)
    with pytest.raises(UserError, match="1 missing: layer3.1.bn2.weight"):
        load(saved(tmp_path / "gap", **{"layer3.1.bn2.weight": None}))
    with pytest.raises(UserError, match="1 not expected: layer2.0.se.weight"):
        load(saved(tmp_path / "more", **{"layer2.0.se.weight": torch.zeros(1)}))
    (tmp_path / "gap" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match="is not a checkpoint that can be read"):
        load(str(tmp_path / "gap"))
