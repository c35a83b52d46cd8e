"""Posts with pictures and tables of these, and the stage that asks about them."""

import pytest

from ita.io import parquet
from ita.stages import knowledge
from tests.support.pictures import scene

FAST = {"model": "made", "allow_networks": ["127.0.0.1"], "backoff": 0.01, "timeout": 2.0, "max_failed": 1.0}
COUNT = 6


@pytest.fixture
def posts_with_pictures(tmp_path):
    """Posts with pictures, and tables of these."""
    rows = [
        {
            "post_id": f"p{number}",
            "split": "train" if number < 3 else "test",
            "image_id": f"i{number}" if number != 5 else None,
            "tokens": ["Kim", "visits", f"Town{number}"],
            "tags": ["O"] * 3,
        }
        for number in range(COUNT)
    ]
    parquet.write("posts", rows, tmp_path / "posts.parquet")
    images = []
    for number in range(COUNT - 1):
        scene(64, 48, number).save(tmp_path / f"i{number}.png")
        images.append({"image_id": f"i{number}", "status": "ok", "path": f"i{number}.png", "width": 64, "height": 48})
    parquet.write("images", images, tmp_path / "images.parquet")
    captions = [
        {"image_id": f"i{number}", "rank": rank, "caption": f"scene {number}{'ab'[rank]}"}
        for number in range(COUNT - 1)
        for rank in (1, 0)
    ]
    parquet.write("captions", captions, tmp_path / "captions.parquet")
    objects = [{"image_id": "i0", "rank": 0, "label": "dog", "attributes": [{"label": "red", "score": 0.9}]}]
    parquet.write("objects", objects, tmp_path / "objects.parquet")
    parquet.write("ocr", [{"image_id": "i0", "text": "BIG\nSIGN"}], tmp_path / "ocr.parquet")
    return tmp_path


def made(folder, shard=None, name="made", output="out.parquet", **settings):
    """Rows of the stage, by post."""
    tables = {name: folder / f"{name}.parquet" for name in ("images", "objects", "captions", "ocr")}
    content = {"knowledge": {**FAST, **settings}, "name": name}
    knowledge.work(content, folder / output, folder / "posts.parquet", **tables, shard=shard)
    return {row["post_id"]: row for row in parquet.rows("knowledge", folder / output)}
