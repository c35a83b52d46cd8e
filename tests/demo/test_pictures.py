"""Synthetic images: repeatable, of one size, with objects inside them and legible banners."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from ita.config import Demo
from ita.demo import pictures
from ita.demo.posts import NEUTRAL, Post
from ita.demo.shapes import SHAPES, SIZES
from tests.support.demo import SMALL, generate, share

SEED = Demo().seed
DIGEST = "a66c7bac62014fc97a1f6de43d164a8aaa361568c2ff06e346c96b76915dec1e"
"""SHA-256 of what the scenes of the default settings show."""


@pytest.fixture(scope="module")
def posts() -> list[Post]:
    """The posts of a small data set."""
    return generate(Demo(**SMALL))


def test_the_scenes_are_always_the_same() -> None:
    scenes = [pictures.scene_of(post, SEED) for post in generate(Demo())]
    shown = [
        (scene.banner, scene.ground, scene.clouds, [(o.label, o.colour, o.box, o.skin, o.hair) for o in scene.objects])
        for scene in scenes
    ]
    assert hashlib.sha256(repr(shown).encode()).hexdigest() == DIGEST
    assert 0.3 < share([bool(scene.banner) for scene in scenes]) < 0.45


@pytest.mark.parametrize("kind", pictures.SUBJECTS)
def test_a_scene_is_about_its_subjects(kind: str) -> None:
    for seed in range(40):
        scene = pictures.sample_scene(random.Random(seed), kind)
        subjects = [item.label for item in scene.objects if item.subject]
        others = [item.label for item in scene.objects if not item.subject and item.label != "ball"]
        assert set(subjects) <= set(pictures.SUBJECTS[kind])
        assert len(subjects) in ((3, 4, 5) if kind == "ORG" else (1,))
        assert len(others) <= 3
        assert not set(others) & set(pictures.SUBJECTS[kind])
        for item in scene.objects:
            x1, y1, x2, y2 = item.box
            assert 0 <= x1 < x2 <= pictures.WIDTH
            assert 0 <= y1 < y2 <= pictures.HEIGHT


def test_mirrored_objects_have_mirrored_boxes() -> None:
    scene = pictures.sample_scene(random.Random(1), NEUTRAL)
    values = {**vars(scene.objects[-1]), "label": "dog", "x": 200.0, "size": 50.0}
    straight = pictures.SceneObject(**{**values, "mirrored": False}).box
    mirrored = pictures.SceneObject(**{**values, "mirrored": True}).box
    assert (mirrored[0] + straight[2], mirrored[2] + straight[0]) == pytest.approx((400, 400))
    assert straight != mirrored


def test_every_shape_can_be_drawn() -> None:
    assert set(SHAPES) == set(SIZES)
    labels = {label for labels in pictures.SUBJECTS.values() for label in labels} | {*pictures.DISTRACTORS, "ball"}
    assert labels == set(SHAPES)
    scene = pictures.sample_scene(random.Random(1), NEUTRAL)
    draw = pictures.ImageDraw.Draw(Image.new("RGB", (800, 600)))
    with pytest.raises(ValueError, match="unknown form of shape: star"):
        pictures.draw_shape(draw, scene.objects[0], ("star", "main", 0, 0, 1, 1))


def test_image_files(posts: list[Post]) -> None:
    formats = set()
    for post in posts[:80]:
        data = pictures.image_bytes(post, SEED)
        assert data == pictures.image_bytes(post, SEED)
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (pictures.WIDTH, pictures.HEIGHT)
            formats.add(image.format)
            if post.image == "broken":
                with pytest.raises(OSError, match="truncated"):
                    image.load()
            else:
                image.load()
    assert formats == {"JPEG", "PNG"}


def test_tesseract_reads_the_banners(posts: list[Post], tmp_path: Path) -> None:
    program = shutil.which("tesseract")
    if program is None:
        pytest.skip("tesseract is not installed")
    banners = {}
    for post in posts:
        banner = pictures.scene_of(post, SEED).banner
        if banner and post.image in ("ok", "unrelated"):
            (tmp_path / f"{post.image_id}.jpg").write_bytes(pictures.image_bytes(post, SEED))
            banners[post.image_id] = banner.lower()
    assert len(banners) > 40
    files = tmp_path / "files.txt"
    files.write_text("".join(f"{tmp_path / name}.jpg\n" for name in banners))
    run = subprocess.run(
        [program, str(files), "-"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_THREAD_LIMIT": "1"},
    )
    pages = [" ".join(page.lower().split()) for page in run.stdout.split("\f")]
    missed = [banner for banner, page in zip(banners.values(), pages, strict=False) if banner not in page]
    assert len(missed) <= 0.1 * len(banners), missed
