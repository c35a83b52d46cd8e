"""Thirty real tweets with their images, and images that cannot be read, through every compared system."""

import csv
import json
from collections import Counter

import pytest

from ita.demo import SHIPPED_MODELS
from ita.io import parquet
from tests.support.pipeline import Pipeline

pytestmark = pytest.mark.slow

GRID = {"umt", "umt-words", "rpbert", "rpbert-without-rp", "imgfeat", "acn"}
"""Read the cells of an image grid."""
BOXES = {"umgf": "demo", "umgf-whole": "demo-whole", "vinvl-crf": "demo", "bert-vinvl-crf": "demo"}
"""Read regions of a detector: system -> entry of 'detectors'."""
SYSTEMS = sorted({*GRID, *BOXES, "crf-x"})
ENCODERS = {"vinvl-crf": ["{encoder}"], "bert-vinvl-crf": ["second", "{encoder}"]}
SPLITS = {"train": "train", "dev": "valid", "test": "test"}
BROKEN = {"train": ["torn", "text"], "dev": ["lost"], "test": ["stub"]}
"""Further posts, whose images are cut off, no images at all, or not there."""
EPOCHS = 8


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    """Folder of a small ResNet with random weights."""
    import torch
    from transformers import ConvNextImageProcessorPil, ResNetConfig, ResNetForImageClassification

    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1], "layer_type": "basic"}
    folder = tmp_path_factory.mktemp("resnet")
    ResNetForImageClassification(ResNetConfig(**sizes)).save_pretrained(folder)
    ConvNextImageProcessorPil(size={"shortest_edge": 224}, crop_pct=0.875).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def encoders(tiny_encoder, tmp_path_factory):
    """Two encoders as the tiny one, with room for a post and the 49 cells of an image."""
    import torch
    from transformers import AutoConfig, AutoTokenizer, BertModel

    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(tiny_encoder, max_position_embeddings=512)
    folders = {name: tmp_path_factory.mktemp(name) for name in ("tiny", "second")}
    for folder in folders.values():
        BertModel(config).save_pretrained(folder)
        AutoTokenizer.from_pretrained(tiny_encoder, model_max_length=512).save_pretrained(folder)
    return folders


def add_posts(folder, data):
    """Writes the posts of both sets and the further ones."""
    folder.mkdir()
    for split, name in SPLITS.items():
        texts = [path.read_text().strip() for path in sorted(data.glob(f"tweets30/*/{name}.txt"))]
        texts += [f"IMGID:{image}\nAda\tB-PER\nin\tO\nRome\tB-LOC" for image in BROKEN[split]]
        (folder / f"{name}.txt").write_text("\n\n".join(texts) + "\n")


def add_images(folder, data):
    """Copies the images and writes the broken ones."""
    folder.mkdir()
    images = {path.stem: path.read_bytes() for path in data.glob("tweets30/*/images/*.jpg")}
    assert len(images) == 30
    largest = max(images.values(), key=len)
    broken = {"torn": largest[: len(largest) // 2], "text": b"no image", "stub": largest[:200]}
    for name, content in {**images, **broken}.items():
        (folder / f"{name}.jpg").write_bytes(content)


@pytest.fixture(scope="module")
def results(tmp_path_factory, data, encoders, resnet):
    """Results of a run of all systems."""
    pipeline = Pipeline(tmp_path_factory.mktemp("systems"))
    add_posts(pipeline.folder / "posts", data)
    add_images(pipeline.folder / "pictures", data)
    pipeline.config["datasets"]["tweets"] = {
        "posts": {"files": {split: f"posts/{name}.txt" for split, name in SPLITS.items()}},
        "download": {"source": "folder", "folder": "pictures"},
        "detectors": {
            "resnet": {"model": str(resnet)},
            "demo": {"model": str(SHIPPED_MODELS / "detector"), "min_objects": 1},
            "demo-whole": {"model": str(SHIPPED_MODELS / "detector"), "whole_image": 4},
        },
        "context": {"detector": "demo"},
        "encoders": {
            name: {"model": str(folder), "defaults": {"learning_rate": 1.0e-3, "batch_size": 4}}
            for name, folder in encoders.items()
        },
        "systems": {
            system: {"regions": detector, "encoders": ENCODERS.get(system, ["{encoder}"])}
            for system, detector in BOXES.items()
        },
        "train": {"epochs": EPOCHS},
        "seeds": [1],
    }
    pipeline.write(pipeline.config)
    pipeline.run(*(f"results/tweets/runs/tiny/{system}/seed1/metrics.json" for system in SYSTEMS))
    return pipeline.folder / "results" / "tweets"


@pytest.fixture(params=SYSTEMS)
def system(request):
    return request.param


def test_broken_images_end_no_run(results):
    fates = Counter(row["status"] for row in parquet.rows("images", results / "images.parquet"))
    assert fates["ok"] == 30 and sum(fates.values()) == 34


def test_a_system_learns_from_real_tweets(results, system):
    with open(results / "runs" / "tiny" / system / "seed1" / "history.csv", newline="") as file:
        history = list(csv.DictReader(file))
    assert len(history) == EPOCHS
    (loss,) = {"loss_t", "loss_it"} & history[0].keys()
    assert float(history[-1][loss]) < 0.9 * float(history[0][loss])


def test_every_post_is_tagged_and_scored(results, system):
    run = results / "runs" / "tiny" / system / "seed1"
    posts = {row["post_id"]: row for row in parquet.rows("posts", results / "posts.parquet")}
    predictions = list(parquet.rows("predictions", run / "predictions.parquet"))
    metrics = json.loads((run / "metrics.json").read_text())
    for split, count in (("dev", 11), ("test", 11)):
        for view, score in metrics["scores"][split].items():
            tagged = [row for row in predictions if (row["split"], row["view"]) == (split, view)]
            assert len(tagged) == len({row["post_id"] for row in tagged}) == count
            assert all(len(row["predicted"]) == len(posts[row["post_id"]]["tokens"]) for row in tagged)
            assert 0 <= score["default"]["f1"] <= 100


def test_posts_without_image_are_read_without_regions(results, system):
    about = json.loads((results / "runs" / "tiny" / system / "seed1" / "settings.json").read_text())
    if system == "crf-x":
        assert "regions" not in about
        return
    assert about["regions"]["posts"] == {"train": 10, "dev": 10}
    assert about["regions"]["detector"] == BOXES.get(system, "resnet")
