"""The table of region features that taggers read."""

import numpy as np
import pytest

from ita.errors import UserError
from ita.io import features, parquet

WIDTH = 5


def write(path, **images):
    """A shard: image -> (regions, D)."""
    rows = [
        {"image_id": name, "width": 1, "height": 1, "regions": len(regions), "features": np.float32(regions).flatten()}
        for name, regions in images.items()
    ]
    parquet.write("features", rows, path)
    return path


def numbers(count, seed):
    return np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)


def test_the_table_holds_the_images_asked_for(tmp_path):
    one, two, three = numbers(3, 0), numbers(1, 1), numbers(4, 2)
    shards = [write(tmp_path / "1.parquet", a=one, other=numbers(2, 3)), write(tmp_path / "2.parquet", b=two, c=three)]
    write(tmp_path / "3.parquet", empty=np.zeros((0, WIDTH)))
    table = features.read([*shards, tmp_path / "3.parquet"], {"a", "c", "empty", "gone"})
    assert table.vectors.dtype == np.float16 and table.vectors.shape == (7, table.width) == (7, WIDTH)
    for name, expected in (("a", one), ("c", three)):
        np.testing.assert_array_equal(table.vectors[table.of(name)], expected.astype(np.float16))
    for name in ("other", "b", "empty", "gone", None):
        assert table.of(name).dtype == np.int32 and len(table.of(name)) == 0


def test_wrong_tables_are_refused(tmp_path):
    good = write(tmp_path / "good.parquet", a=numbers(2, 0))
    with pytest.raises(UserError, match="no features of these posts' images.*vinvl, bottomup or grid"):
        features.read([good], {"b"})
    with pytest.raises(UserError, match="'a' stands in the table of features twice"):
        features.read([good, good], {"a"})
    wide = write(tmp_path / "wide.parquet", b=np.ones((2, WIDTH + 1)))
    with pytest.raises(UserError, match="'b' has 12 numbers for 2 regions, expected 5 for each"):
        features.read([good, wide], {"a", "b"})
    for value in (float("nan"), float("inf"), -1e6, 1e6):
        odd = write(tmp_path / "odd.parquet", a=np.full((1, 2), value))
        with pytest.raises(UserError, match="'a' are not finite in half precision"):
            features.read([odd], {"a"})
    with pytest.raises(UserError, match="no such file"):
        features.read([tmp_path / "none.parquet"], {"a"})
