"""Shards: the same table, byte for byte, for any number of them."""

import json
import os
import re

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from ita.cli import run_stage
from ita.errors import UserError
from ita.io import parquet
from ita.stages import detect, gather, ocr
from ita.vision import sharding
from ita.vision.sharding import BLOCK, blocks, part
from tests.support.pictures import table

NUMBERS = (1, 3, 7)


@pytest.mark.parametrize("batch", [1, 24, 64])
@pytest.mark.parametrize("of", [1, 3, 7, 50])
@pytest.mark.parametrize("count", [0, 1, 64, 65, 500])
def test_shards_are_whole_blocks_of_all_items_in_order(count, of, batch):
    items = list(range(count))
    shards = [blocks(items, f"{number}-of-{of}", batch) for number in range(1, of + 1)]
    batches = [one for shard in shards for one in shard]
    assert [item for one in batches for item in one] == items
    assert all(0 < len(one) <= batch for one in batches)
    assert batches == blocks(items, None, batch), "batches are the same for any number of shards"
    sizes = [-(-sum(map(len, shard)) // BLOCK) for shard in shards]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("shard", ["3", "0-of-3", "4-of-3", "1-of-0", "one-of-3", "../1-of-3"])
def test_a_wrong_shard_is_refused(shard):
    with pytest.raises(UserError, match="2-of-7"):
        part([1, 2, 3], shard)
    assert part([1, 2, 3], None) == [1, 2, 3]


@pytest.fixture
def images(tmp_path, monkeypatch):
    """A table of 23 images, two of which cannot be read; blocks are small here."""
    monkeypatch.setattr(sharding, "BLOCK", 4)
    for n in range(23):
        Image.new("RGB", (60 + n % 3, 40), (n * 9, 99, 50)).save(tmp_path / f"i{n:02}.png")
    for n in (5, 6):
        (tmp_path / f"i{n:02}.png").write_bytes(b"broken")
    return table(tmp_path, **{f"i{n:02}": f"i{n:02}.png" for n in range(23)})


def made(stage, settings, images, folder, of, **outputs):
    """Runs a stage shard by shard and gathers its table."""
    shards = []
    for number in range(1, of + 1):
        shard = folder / f"{number}-of-{of}.parquet"
        more = [word for name, path in outputs.items() for word in (f"--{name}", str(path / shard.name))]
        arguments = ["--settings", json.dumps(settings), "--images", str(images), "--shard", shard.stem, *more]
        assert run_stage(stage, [*arguments, "--output", str(shard)]) == 0
        shards.append(str(shard))
    output = folder / "all.parquet"
    assert run_stage(gather, ["--shards", *shards, "--output", str(output)]) == 0
    return output


def test_any_number_of_shards_makes_the_same_table(images, tmp_path, detr):
    settings = {
        "detect": {"backend": "transformers", "model": detr, "score_threshold": 0.0, "batch_size": 3},
        "name": "d",
    }
    tables_made = [made(detect, settings, images, tmp_path / f"d{of}", of) for of in NUMBERS]
    assert len({table.read_bytes() for table in tables_made}) == 1
    rows = parquet.rows("objects", tables_made[0])
    assert len({row["image_id"] for row in rows}) == 21
    about = parquet.metadata(tables_made[0])
    assert about["counts"] == {"images": 21, "objects": len(rows)}


def test_files_of_others_too(images, tmp_path):
    file = tmp_path / "tags.jsonl"
    lines = [{"image_id": f"i{n:02}", "tags": ["red car", "dog"]} for n in range(0, 23, 2)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = {"detect": {"backend": "precomputed", "files": [str(file)]}}
    tables_made = [made(detect, settings, images, tmp_path / f"p{of}", of) for of in NUMBERS]
    assert len({table.read_bytes() for table in tables_made}) == 1
    assert parquet.metadata(tables_made[0])["counts"] == {"images": 12, "objects": 24}


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
def test_characters_too(images, tmp_path):
    tables_made = [made(ocr, {}, images, tmp_path / f"o{of}", of) for of in NUMBERS]
    assert len({table.read_bytes() for table in tables_made}) == 1


def test_shards_that_were_made_differently_are_not_mixed(tmp_path, capsys):
    for name, note in (("a", 1), ("b", 2)):
        parquet.write("ocr", [{"image_id": name}], tmp_path / name, {"settings": note, "counts": {"images": 1}})
    parquet.write("posts", [], tmp_path / "posts")
    output = tmp_path / "o"
    for shards, message in (
        (["a", "b"], "made in another way than .*a \\(settings\\)"),
        (["a", "posts"], "expected the table 'ocr', found 'posts'"),
        (["a", "none"], "no such file"),
        ([], "no shards"),
    ):
        assert run_stage(gather, ["--shards", *(str(tmp_path / one) for one in shards), "--output", str(output)]) == 1
        assert re.search(message, capsys.readouterr().err)
        assert not output.exists()


def test_a_table_is_read_in_parts(tmp_path):
    """Arrow left alone reads far ahead: memory would grow with the number of images."""
    wide = np.random.default_rng(0).random(512, dtype=np.float32)
    rows = ({"image_id": str(n), "width": 1, "height": 1, "regions": 1, "features": wide} for n in range(4000))
    parquet.write("features", rows, tmp_path / "f.parquet")  # 8 MB of values
    before, most, count = pa.total_allocated_bytes(), 0, 0
    for batch in parquet.batches("features", tmp_path / "f.parquet", 16):
        most, count = max(most, pa.total_allocated_bytes() - before), count + len(batch)
    assert count == 4000 and most < 2**20
    assert [row["image_id"] for row in parquet.stream("features", tmp_path / "f.parquet", 5)] == list(
        map(str, range(4000))
    )
