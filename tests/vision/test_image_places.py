"""What is read of images is the same wherever they lie: in files of their own, or in shards."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from ita.io import parquet
from ita.knowledge.pictures import load_picture
from ita.knowledge.prompts import read_pictures
from ita.reporting.cases_page import make_thumbnails
from ita.stages import caption, detect, download, ocr
from ita.vision.images import Unreadable, list_image_files, read_bytes, read_picture
from tests.support.pictures import lettering, run, save_turned, scene

PRECISE = {"device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """images.parquet of the same five images in files of their own, and in shards."""
    source = tmp_path_factory.mktemp("source")
    scene(120, 80, 0).save(source / "a.png")
    scene(80, 120, 1).save(source / "b.jpg")
    save_turned(lettering("Angela in Paris"), source / "turned.jpg")
    lettering("HELLO").save(source / "hello.webp")
    lettering("MOVED").save(source / "moved.gif", save_all=True, append_images=[Image.new("RGB", (640, 140))])
    names = ["a", "b", "gone", "turned", "hello", "moved"]
    posts = [{"post_id": name, "split": "train", "image_id": name, "tokens": ["x"], "tags": ["O"]} for name in names]
    tables = []
    for single_files in (10, 0):
        folder = tmp_path_factory.mktemp("images")
        parquet.write("posts", posts, folder / "posts.parquet")
        settings = {"source": "folder", "folder": str(source), "single_files": single_files}
        table = folder / "images.parquet"
        download.work({"download": settings}, table, folder / "posts.parquet", folder / "images")
        tables.append(table)
    single, shards = tables
    assert {row["offset"] is None for row in parquet.rows("images", shards) if row["status"] == "ok"} == {False}
    return single, shards


def assert_same(stage: ModuleType, tables: tuple[Path, Path], folder: Path, **settings: Any) -> None:
    """A stage makes the same rows, and more than none; its files differ in the hash of images.parquet alone."""
    outputs = [folder / f"{number}.parquet" for number in range(2)]
    rows = [run(stage, table, output, {}, **settings) for table, output in zip(tables, outputs, strict=True)]
    assert rows[0] == rows[1] and rows[0]
    metadata = [parquet.metadata(output) for output in outputs]
    assert metadata[0].pop("inputs") != metadata[1].pop("inputs")
    assert metadata[0] == metadata[1]


def test_a_detector_finds_the_same(tables: tuple[Path, Path], detr: str, tmp_path: Path) -> None:
    settings = {"backend": "transformers", "score_threshold": 0.0, "max_objects": 5, **PRECISE}
    assert_same(detect, tables, tmp_path, **settings, model=detr)


def test_a_captioner_says_the_same(tables: tuple[Path, Path], blip: str, tmp_path: Path) -> None:
    settings = {"backend": "transformers", "max_tokens": 6, "beams": 2, "captions": 2, **PRECISE}
    assert_same(caption, tables, tmp_path, **settings, model=blip)


def test_tesseract_reads_the_same(tables: tuple[Path, Path], tesseract: Any, tmp_path: Path) -> None:
    assert_same(ocr, tables, tmp_path, engine="tesseract")
    assert "Angela in Paris" in " ".join(row["text"] for row in parquet.rows("ocr", tmp_path / "1.parquet"))


def test_pages_and_language_models_get_the_same_pictures(tables: tuple[Path, Path]) -> None:
    single, shards = tables
    names = {"a", "b", "turned", "hello", "moved"}
    thumbnails = make_thumbnails(names, shards, 32)
    assert thumbnails == make_thumbnails(names, single, 32) and thumbnails.keys() == names
    pictures = [read_pictures(table, names) for table in tables]
    assert pictures[0].keys() == pictures[1].keys() == names
    for before, after in zip(pictures[0].values(), pictures[1].values(), strict=True):
        assert before[1:] == after[1:]
        assert load_picture(before.path, 900).tobytes() == load_picture(after.path, 900).tobytes()
    for single_file, member in zip(list_image_files(single), list_image_files(shards), strict=True):
        assert read_bytes(single_file.path) == read_bytes(member.path)


def test_damage_of_a_shard_costs_one_image(tables: tuple[Path, Path], tmp_path: Path) -> None:
    table = tables[1]
    (tmp_path / "images").mkdir()
    shard = bytearray((table.parent / "images" / "000001.tar").read_bytes())
    row = next(row for row in parquet.rows("images", table) if row["image_id"] == "b")
    shard[row["offset"] + row["bytes"] // 2] ^= 1
    (tmp_path / "images" / "000001.tar").write_bytes(shard)
    (tmp_path / "images.parquet").write_bytes(table.read_bytes())
    readable = set()
    for file in list_image_files(tmp_path / "images.parquet"):
        try:
            read_picture(file.path)
            readable.add(file.image_id)
        except Unreadable as error:
            assert file.image_id == "b" and "run download again" in str(error)
    assert readable == {"a", "turned", "hello", "moved"}
