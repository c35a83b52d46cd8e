"""Grid cells of a ResNet: the network against transformers' own, the picture it reads, the tables it leaves."""

import json

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import ResNetConfig, ResNetModel

from ita.cli import run_stage
from ita.config import Detect
from ita.errors import UserError
from ita.io import parquet
from ita.stages import detect
from ita.vision import region_tables
from ita.vision import weights as checkpoints
from ita.vision.detectors import build_detector
from ita.vision.detectors.grid import MEAN, STD, prepared
from ita.vision.detectors.resnet import HEAD, ResNet, shape_of
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
    return theirs, {renamed(name): value for name, value in theirs.state_dict().items()}


def renamed(name):
    """A name of transformers as timm and torchvision have it."""
    parts = name.split(".")
    kind = {"convolution": "conv", "normalization": "bn"}[parts[-2]]
    if parts[0] == "embedder":
        return f"{kind}1.{parts[-1]}"
    block = f"layer{int(parts[2]) + 1}.{parts[4]}"
    if parts[5] == "shortcut":
        return f"{block}.downsample.{int(kind == 'bn')}.{parts[-1]}"
    return f"{block}.{kind}{int(parts[6]) + 1}.{parts[-1]}"


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


@pytest.mark.parametrize("kind", ["bottleneck", "basic"])
def test_the_network_is_that_of_transformers(kind):
    theirs, weights = model(kind)
    ours = ResNet(shape_of(weights, "here"))
    checkpoints.fill(ours, weights, "here")
    ours.eval()
    pixels = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected, found = theirs(pixels).last_hidden_state, ours(pixels)
    assert found.shape == (2, ours.width, 2, 3) and found.max() > 0
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_the_default_shape_is_resnet_152():
    from ita.vision.detectors.resnet import Shape

    with torch.device("meta"):
        network = ResNet(Shape())
    assert sum(weight.numel() for weight in network.parameters()) == 60_192_808 - 2_049_000, "all but the classifier"
    assert shape_of(network.state_dict(), "here") == Shape()


@pytest.mark.parametrize("size", [(256, 256), (512, 512), (300, 200), (217, 431), (640, 427)])
def test_pictures_are_resized_then_cropped(size):
    """In two steps as torchvision does it, of which ours leaves out what the crop removes."""
    image = Image.fromarray(numpy.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=numpy.uint8))
    whole = image.resize(tuple(256 * side // min(size) for side in size), Image.Resampling.BILINEAR)
    left, top = (round((side - 224) / 2) for side in whole.size)
    expected = torch.from_numpy(numpy.array(whole.crop((left, top, left + 224, top + 224)))).permute(2, 0, 1)
    levels = (prepared(image) * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]) * 255
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
    assert about["engine"]["class"] == "ResNet" and "model.safetensors" in about["engine"]["weights"]
    theirs, _ = model("bottleneck")
    for row, seed in zip(rows, (0, 1, 2), strict=True):
        image = scene(row["width"], row["height"], seed)
        with torch.no_grad():
            cells = theirs(prepared(image)[None]).last_hidden_state[0]
        expected = [cells[:, line, column] for line in range(7) for column in range(7)]
        found = torch.tensor(row["features"]).view(49, -1)
        torch.testing.assert_close(found, torch.stack(expected), atol=1e-3, rtol=2e-3)
        assert torch.equal(found, found.half().float()), "rounded to half precision"
    with pytest.raises(UserError, match="49 regions, and 0 objects"):
        list(region_tables.read(tmp_path / "objects.parquet", tmp_path / "features.parquet"))


def test_a_result_does_not_depend_on_its_batch_and_any_size_is_read(tmp_path):
    eyes = build_detector(Detect(**TINY, model=saved(tmp_path / "resnet", "basic")))
    images = [DecodedImage(str(size), scene(*size)) for size in [(120, 80), (1, 1), (4000, 2), (2, 4000), (224, 224)]]
    together = eyes.regions(images)
    for one, picture in zip(together, images, strict=True):
        assert one.objects == [] and one.features.shape == (49, 24) and one.features.isfinite().all()
        torch.testing.assert_close(one.features, eyes.regions([picture])[0].features, atol=2e-3, rtol=2e-3)


def test_a_file_of_torchvision_is_read(tmp_path):
    _, weights = model("basic")
    torch.save({**weights, "fc.weight": torch.zeros(2, 2), "fc.bias": torch.zeros(2)}, tmp_path / "resnet.pth")
    eyes = build_detector(Detect(**TINY, model=str(tmp_path / "resnet.pth")))
    (one,) = eyes.regions([DecodedImage("a", scene())])
    assert one.features.shape == (49, 24)
    assert all(not name.startswith(HEAD) for name in eyes.network.state_dict())


def test_other_networks_and_broken_files_are_refused(tmp_path):
    def load(folder):
        build_detector(Detect(**TINY, model=folder))

    deep = saved(tmp_path / "deep", **{"conv1.weight": None, "conv1.0.weight": torch.zeros(4, 3, 3, 3)})
    with pytest.raises(UserError, match="holds no plain ResNet.*timm/resnet152.tv_in1k"):
        load(deep)
    with pytest.raises(UserError, match="1 missing: layer3.1.bn2.weight"):
        load(saved(tmp_path / "gap", **{"layer3.1.bn2.weight": None}))
    with pytest.raises(UserError, match="1 not expected: layer2.0.se.weight"):
        load(saved(tmp_path / "more", **{"layer2.0.se.weight": torch.zeros(1)}))
    (tmp_path / "gap" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match="is not a checkpoint that can be read"):
        load(str(tmp_path / "gap"))
