"""demo: the generated data set is repeatable, complete, and solved by the images rather than by the words."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ita.cli import run_stage
from ita.config import Demo
from ita.demo import pictures
from ita.demo.posts import TYPES, Post
from ita.errors import UserError
from ita.io import parquet
from ita.stages import caption, demo, detect
from tests.support.demo import SMALL, generate, share

SEED = Demo().seed
TINY = {"train": 16, "valid": 8, "test": 8}
Rows = dict[str, list[dict[str, Any]]]
"""Image id -> rows of a table."""


def make(folder: Path, **settings: int) -> Path:
    """Runs the stage from its command line."""
    text = json.dumps({"demo": {**SMALL, **settings}})
    assert run_stage(demo, ["--settings", text, "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set."""
    return make(tmp_path_factory.mktemp("demo") / "source")


@pytest.fixture(scope="module")
def posts() -> list[Post]:
    """Its posts."""
    return generate(Demo(**SMALL))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def by_image(table: str, file: Path) -> Rows:
    """The rows of a table by image."""
    rows: Rows = defaultdict(list)
    for row in parquet.rows(table, file):
        rows[row["image_id"]].append(row)
    return rows


@pytest.fixture(scope="module")
def detected(source: Path, posts: list[Post]) -> tuple[Rows, Rows]:
    """Objects and captions by the shipped detector and captioner."""
    images = source.parent / "images.parquet"
    rows = [
        {"image_id": post.image_id, "status": "ok", "path": f"source/images/{post.image_id}.jpg"}
        for post in posts
        if post.image in ("ok", "unrelated")
    ]
    parquet.write("images", rows, images)
    common = ["--images", str(images)]
    objects, features, captions = (source.parent / f"{name}.parquet" for name in ("objects", "features", "captions"))
    settings = json.dumps({"detect": {"model": str(source / "detector"), "min_objects": 1}})
    arguments = ["--settings", settings, *common, "--output", str(objects), "--features", str(features)]
    assert run_stage(detect, arguments) == 0
    settings = json.dumps({"caption": {"model": str(source / "captioner")}})
    arguments = ["--settings", settings, *common, "--objects", str(objects), "--features", str(features)]
    assert run_stage(caption, [*arguments, "--output", str(captions)]) == 0
    return by_image("objects", objects), by_image("captions", captions)


def test_repeats_to_the_byte(source: Path, tmp_path: Path) -> None:
    again = contents(make(tmp_path / "again"))
    assert again == contents(source)
    reseeded = contents(make(tmp_path / "reseeded", seed=SEED + 1))
    assert all(reseeded[name] != again[name] for name in ("train.txt", "test.txt"))
    common = [name for name in reseeded if name.startswith("images/") and name in again]
    assert len(common) > 100
    assert all(reseeded[name] != again[name] for name in common)


def test_replaces_an_older_dataset_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "old.jpg").write_bytes(b"old")
    stale = tmp_path / ".source.999999999.part"
    stale.mkdir()
    make(folder, **TINY)
    assert not (folder / "images" / "old.jpg").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
    names = ["captioner", "cased-encoder", "detector", "encoder", "images", "relation-train.csv", "relation-valid.csv"]
    names += ["test.txt", "train.txt", "valid.txt"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_failure_leaves_the_older_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "source", **TINY)
    before = contents(folder)

    def fail(*_: object, **__: object) -> None:
        raise UserError("no space")

    monkeypatch.setattr(demo, "write_encoder", fail)
    settings = json.dumps({"demo": {**TINY, "seed": SEED + 1}})
    assert run_stage(demo, ["--settings", settings, "--output", str(folder)]) == 1
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("split", SMALL)
def test_layout_is_that_of_umt(source: Path, posts: list[Post], split: str) -> None:
    text = (source / f"{split}.txt").read_bytes().decode()
    assert "\r" not in text
    assert text.endswith("\n\n")
    blocks = text.removesuffix("\n\n").split("\n\n")
    expected = [post for post in posts if post.split == split]
    assert len(blocks) == len(expected) == SMALL[split]
    for block, post in zip(blocks, expected, strict=True):
        head, *lines = block.split("\n")
        pairs = [line.split("\t") for line in lines]
        assert head == f"IMGID:{post.image_id}"
        assert [pair[0] for pair in pairs] == list(post.tokens)
        assert [pair[1] for pair in pairs] == list(post.tags)


def test_images_are_there_but_for_the_missing_and_the_broken(source: Path, posts: list[Post]) -> None:
    states = {post.image_id: post.image for post in posts}
    files = {path.stem: path for path in (source / "images").iterdir()}
    assert set(files) == {name for name, state in states.items() if state != "missing"}
    formats: Counter[str | None] = Counter()
    for name, path in files.items():
        with Image.open(path) as image:
            assert image.size == (pictures.WIDTH, pictures.HEIGHT)
            formats[image.format] += 1
            if states[name] == "broken":
                with pytest.raises(OSError, match="truncated"):
                    image.load()
            else:
                image.load()
    assert Counter(states.values())["broken"] == 1
    assert 0 < formats["PNG"] < formats["JPEG"]


def test_objects_and_captions(detected: tuple[Rows, Rows], posts: list[Post]) -> None:
    objects, captions = detected
    readable = [post.image_id for post in posts if post.image in ("ok", "unrelated")]
    assert list(captions) == readable
    assert list(objects) == readable, "at least one object is kept of each image"
    assert all(len(rows) == 5 and all(row["caption"] for row in rows) for rows in captions.values())
    for rows in objects.values():
        assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
        for row in rows:
            assert 0 <= row["x1"] < row["x2"] <= pictures.WIDTH
            assert 0 <= row["y1"] < row["y2"] <= pictures.HEIGHT
    assert share([bool(row["attributes"]) for rows in objects.values() for row in rows]) > 0.9


def test_images_determine_the_types_that_words_leave_open(detected: tuple[Rows, Rows], posts: list[Post]) -> None:
    objects, captions = detected
    types = {label: entity_type for entity_type in TYPES for label in pictures.SUBJECTS[entity_type]}
    ambiguous = [post for post in posts if post.decidable == "picture"]
    labels = [[row["label"] for row in objects.get(post.image_id, [])] for post in ambiguous]
    best_captions = [" ".join(row["caption"] for row in captions.get(post.image_id, [])[:1]) for post in ambiguous]
    words = [re.findall(r"[a-z]+?(?=s?\b)", text) for text in best_captions]
    for evidence in (labels, words):
        guesses = [next((types[word] for word in row if word in types), "") for row in evidence]
        assert share([guess == post.type for guess, post in zip(guesses, ambiguous, strict=True)]) > 0.75


def test_a_wrong_setting_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_stage(demo, ["--settings", '{"demo": {"train": 0}}', "--output", str(tmp_path / "source")]) == 1
    assert "train" in capsys.readouterr().err
    assert not (tmp_path / "source").exists()
