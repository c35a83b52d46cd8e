"""Shards: the same table, byte for byte, for any number of them."""

import json
import os
import re

import pytest
from PIL import Image

from ita.cli import run_stage
from ita.io import parquet
from ita.stages import detect, gather, ocr
from ita.vision import sharding
from tests.support.pictures import table

SHARDS = (1, 3, 7)


@pytest.fixture
def images(tmp_path, monkeypatch):
    """A table of 23 images, two of which cannot be decoded; blocks are small here."""
    monkeypatch.setattr(sharding, "BLOCK", 4)
    for n in range(23):
        Image.new("RGB", (60 + n % 3, 40), (n * 9, 99, 50)).save(tmp_path / f"i{n:02}.png")
    for n in (5, 6):
        (tmp_path / f"i{n:02}.png").write_bytes(b"broken")
    return table(tmp_path, **{f"i{n:02}": f"i{n:02}.png" for n in range(23)})


def gathered(stage, settings, images, folder, count):
    """The table that a stage and gather make of a number of shards."""
    shards = []
    for number in range(1, count + 1):
        shard = folder / f"{number}-of-{count}.parquet"
        arguments = ["--settings", json.dumps(settings), "--images", str(images), "--shard", shard.stem]
        assert run_stage(stage, [*arguments, "--output", str(shard)]) == 0
        shards.append(str(shard))
    output = folder / "all.parquet"
    assert run_stage(gather, ["--shards", *shards, "--output", str(output)]) == 0
    return output


def same_for_any_number(stage, settings, images, folder):
    """A stage's table, which has the same bytes for any number of shards."""
    tables = [gathered(stage, settings, images, folder / str(count), count) for count in SHARDS]
    assert len({table.read_bytes() for table in tables}) == 1
    return tables[0]


def test_objects_are_the_same_for_any_number_of_shards(images, tmp_path, detr):
    detector = {"backend": "transformers", "model": detr, "score_threshold": 0.0, "batch_size": 3}
    output = same_for_any_number(detect, {"detect": detector, "name": "d"}, images, tmp_path)
    rows = parquet.rows("objects", output)
    assert len({row["image_id"] for row in rows}) == 21
    assert parquet.metadata(output)["counts"] == {"images": 21, "objects": len(rows)}


def test_precomputed_objects_are_the_same_for_any_number_of_shards(images, tmp_path):
    file = tmp_path / "tags.jsonl"
    lines = [{"image_id": f"i{n:02}", "tags": ["red car", "dog"]} for n in range(0, 23, 2)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = {"detect": {"backend": "precomputed", "files": [str(file)]}}
    output = same_for_any_number(detect, settings, images, tmp_path)
    assert parquet.metadata(output)["counts"] == {"images": 12, "objects": 24}
    assert [row["image_id"] for row in parquet.rows("objects", output)[::2]] == [f"i{n:02}" for n in range(0, 23, 2)]


def test_a_single_shard_is_not_copied(tmp_path, capsys):
    shard, output = tmp_path / "ocr" / "tesseract" / "1-of-1.parquet", tmp_path / "ocr" / "tesseract.parquet"
    parquet.write("ocr", [{"image_id": "a"}], shard, {"counts": {"images": 1}})
    assert run_stage(gather, ["--shards", str(shard), "--output", str(output)]) == 0
    assert os.readlink(output) == "tesseract/1-of-1.parquet", "relative, so that results can be moved"
    assert parquet.rows("ocr", output)[0]["image_id"] == "a"
    assert run_stage(gather, ["--shards", str(shard), "--output", str(output)]) == 0, "in place of the old link"
    shard.write_bytes(b"PAR1")
    assert run_stage(gather, ["--shards", str(shard), "--output", str(tmp_path / "other")]) == 1
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("tesseract")
def test_ocr_is_the_same_for_any_number_of_shards(images, tmp_path):
    output = same_for_any_number(ocr, {}, images, tmp_path)
    assert [row["image_id"] for row in parquet.rows("ocr", output)] == [f"i{n:02}" for n in range(23)]


def test_shards_that_were_made_differently_are_not_mixed(tmp_path, capsys):
    for name, note in (("a", 1), ("b", 2)):
        parquet.write("ocr", [{"image_id": name}], tmp_path / name, {"settings": note, "counts": {"images": 1}})
    parquet.write("posts", [], tmp_path / "posts")
    output = tmp_path / "output"
    for shards, message in (
        (["a", "b"], r"made in another way than .*a \(settings\)"),
        (["a", "posts"], "expected the table 'ocr', found 'posts'"),
        (["a", "none"], "no such file"),
        ([], "no shards"),
    ):
        assert (
            run_stage(gather, ["--shards", *(str(tmp_path / shard) for shard in shards), "--output", str(output)]) == 1
        )
        assert re.search(message, capsys.readouterr().err)
        assert not output.exists()
