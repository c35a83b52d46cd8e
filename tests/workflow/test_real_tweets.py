"""Thirty real tweets with their images, and three images that go wrong, from a web server to a trained model."""

import csv
import hashlib
import json
import time
from collections import Counter
from pathlib import Path

import pytesseract
import pytest

from ita.io import parquet
from ita.vision.ocr.tesseract import one_thread
from tests.support import web
from tests.support.pipeline import Pipeline
from tests.support.web import Handler, body

server = web.server
SYSTEM = "ita-oca-cva"
SPLITS = {"train": "train", "dev": "valid", "test": "test"}
READ = {"39": "screen with music playing", "694": "Safaricom Kenya", "test_3": "Explore Gwinnett"}
"""Words that Tesseract reads in some of the images."""


def late(handler):
    """No byte within the seconds that the pipeline waits."""
    time.sleep(5)
    handler.send(200, web.picture())


@pytest.fixture(scope="module")
def served(data):
    """Image id -> bytes of the real images."""
    images = {path.stem: path.read_bytes() for path in data.glob("tweets30/*/images/*.jpg")}
    assert len(images) == 30
    return images


@pytest.fixture(scope="module")
def done(tmp_path_factory, data, served, server, tiny_encoder):
    """The pipeline after a run over a dataset section of its own, and how often each image was asked for."""
    pipeline = Pipeline(tmp_path_factory.mktemp("real"))
    folder = pipeline.folder / "posts"
    folder.mkdir()
    for name in SPLITS.values():
        texts = [path.read_text().strip() for path in sorted(data.glob(f"tweets30/*/{name}.txt"))]
        if name == "train":
            texts += [f"IMGID:{image}\nAda\tB-PER\nin\tO\nRome\tB-LOC" for image in ("gone", "late", "torn")]
        (folder / f"{name}.txt").write_text("\n\n".join(texts) + "\n")
    pipeline.config["datasets"]["tweets"] = {
        "posts": {"files": {split: f"posts/{name}.txt" for split, name in SPLITS.items()}},
        "download": {
            "url": server + "/{image_id}.jpg",
            "allow_networks": ["127.0.0.1"],
            "read_timeout": 2.0,
            "attempts": 2,
            "backoff": 0.05,
        },
        "encoders": {"tiny": {"model": str(tiny_encoder), "defaults": {"learning_rate": 1.0e-3}}},
        "train": {"epochs": 2},
        "table": {"encoders": ["tiny"], "systems": [SYSTEM]},
        "seeds": [1],
    }
    pipeline.write(pipeline.config)
    torn = max(served.values(), key=len)
    replies = {**{image: body(content) for image, content in served.items()}, "late": late}
    replies["torn"] = body(torn[: len(torn) // 2])
    Handler.replies, Handler.requests = {f"/{image}.jpg": reply for image, reply in replies.items()}, Counter()
    pipeline.run("results/tweets/table1.csv")
    return pipeline, Counter({Path(path).stem: times for path, times in Handler.requests.items()})


@pytest.fixture(scope="module")
def folder(done):
    """The results of that run."""
    return done[0].folder / "results" / "tweets"


def test_every_image_has_its_fate(done, folder, served):
    rows = {row["image_id"]: row for row in parquet.rows("images", folder / "images.parquet")}
    assert rows.keys() == served.keys() | {"gone", "late", "torn"}
    assert done[1] == {image: 2 if image == "late" else 1 for image in rows}, "requests that reached the server"
    for image, content in served.items():
        row, digest = rows[image], hashlib.sha256(content).hexdigest()
        assert (row["status"], row["http_status"], row["attempts"], row["error"]) == ("ok", 200, 1, None)
        assert row["sha256"] == digest == hashlib.sha256((folder / row["path"]).read_bytes()).hexdigest()
        assert row["bytes"] == len(content)
    assert Counter(row["format"] for row in rows.values()) == {"JPEG": 28, "PNG": 2, None: 3}, "whatever the name says"
    fates = {image: (row["status"], row["error"].partition(":")[0]) for image, row in rows.items() if row["error"]}
    assert fates == {
        "gone": ("missing", "http-404"),
        "late": ("failed", "read-timeout"),
        "torn": ("refused", "truncated"),
    }
    assert {image: rows[image]["http_status"] for image in fates} == {"gone": 404, "late": None, "torn": 200}
    assert {image: rows[image]["attempts"] for image in fates} == {"gone": 1, "late": 2, "torn": 1}
    assert not any(rows[image]["path"] for image in fates)


def test_characters_are_those_of_plain_tesseract(data, folder, served):
    texts = {row["image_id"]: row["text"] for row in parquet.rows("ocr", folder / "ocr" / "tesseract.parquet")}
    assert texts.keys() == served.keys(), "a row for every image that is there"
    with one_thread():
        for image in (*READ, "654"):  # its lettering, "CHRIS PAUL BE LIKE", is beyond Tesseract
            path = next(data.glob(f"tweets30/*/images/{image}.jpg"))
            assert texts[image] == pytesseract.image_to_string(str(path))


def test_what_was_read_stands_in_the_contexts(folder):
    posts = {row["image_id"]: row for row in parquet.rows("posts", folder / "posts.parquet")}
    contexts = {row["post_id"]: row for row in parquet.rows("contexts", folder / "contexts" / "oca.parquet")}
    assert len(posts) == len(contexts) == 33
    for image, words in READ.items():
        assert words.lower() in " ".join(contexts[posts[image]["post_id"]]["tokens"]).lower()
    for row in contexts.values():
        assert row["kinds"] == ["oca"] * len(row["tokens"])
    for image in ("gone", "late", "torn"):
        assert contexts[posts[image]["post_id"]]["tokens"] == [], "no image, no context"
    assert Counter(row["split"] for row in posts.values()) == {"train": 13, "dev": 10, "test": 10}


def test_a_model_is_trained_and_scored_in_both_views(folder):
    about = parquet.metadata(parquet.read("posts", folder / "posts.parquet"))
    assert about["label_version"].startswith("own")
    run = folder / "runs" / "tiny" / SYSTEM / "seed1"
    assert (run / "model.safetensors").stat().st_size > 0
    metrics = json.loads((run / "metrics.json").read_text())
    views = {split: set(scores) for split, scores in metrics["scores"].items()}
    assert views == {"dev": {"t", "it"}, "test": {"t", "it"}}
    assert metrics["label_version"] == about["label_version"]
    assert metrics["training"]["epochs"] == 2
    tagged = Counter((row["split"], row["view"]) for row in parquet.rows("predictions", run / "predictions.parquet"))
    assert tagged == {(split, view): 10 for split in ("dev", "test") for view in ("t", "it")}
    with open(folder / "table1.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["approach"] for row in rows] == ["ITA-OCA+CVA"]
    assert rows[0]["label_version"].startswith("own")
