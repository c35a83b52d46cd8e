"""The table of region features: one matrix for taggers, and the regions of one image after another."""

import numpy as np
import pytest

from ita.errors import UserError
from ita.io import parquet
from ita.io.features import feature_row, iter_regions, load_features

WIDTH = 5


def write(path, **images):
    """A shard: image -> (regions, D)."""
    rows = [feature_row(name, (640, 480), np.float32(regions)) for name, regions in images.items()]
    parquet.write("features", rows, path)
    return path


def numbers(count, seed):
    return np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)


def test_the_table_holds_the_images_asked_for(tmp_path):
    one, two, three = numbers(3, 0), numbers(1, 1), numbers(4, 2)
    shards = [write(tmp_path / "1.parquet", a=one, other=numbers(2, 3)), write(tmp_path / "2.parquet", b=two, c=three)]
    write(tmp_path / "3.parquet", empty=np.zeros((0, WIDTH)))
    table = load_features([*shards, tmp_path / "3.parquet"], {"a", "c", "empty", "gone"})
    assert table.vectors.dtype == np.float16 and table.vectors.shape == (7, table.width) == (7, WIDTH)
    for name, expected in (("a", one), ("c", three)):
        np.testing.assert_array_equal(table.vectors[table.rows_of(name)], expected.astype(np.float16))
    for name in ("other", "b", "empty", "gone", None):
        assert table.rows_of(name).dtype == np.int32 and len(table.rows_of(name)) == 0


def test_wrong_tables_are_refused(tmp_path):
    good = write(tmp_path / "good.parquet", a=numbers(2, 0))
    with pytest.raises(UserError, match="no features of these posts' images.*vinvl, bottomup or grid"):
        load_features([good], {"b"})
    with pytest.raises(UserError, match="'a' is in the table of features twice"):
        load_features([good, good], {"a"})
    wide = write(tmp_path / "wide.parquet", b=np.ones((2, WIDTH + 1)))
    with pytest.raises(UserError, match="'b' has 12 numbers for 2 regions, expected 5 for each"):
        load_features([good, wide], {"a", "b"})
    for value in (float("nan"), float("inf"), -1e6, 1e6):
        odd = write(tmp_path / "odd.parquet", a=np.full((1, 2), value))
        with pytest.raises(UserError, match="'a' are not finite in half precision"):
            load_features([odd], {"a"})
    with pytest.raises(UserError, match="no such file"):
        load_features([tmp_path / "none.parquet"], {"a"})


def write_objects(path, **counts):
    """A shard of objects: image -> number of objects."""
    rows = [
        {"image_id": name, "rank": rank, "label": f"{name}{rank}"}
        for name, count in counts.items()
        for rank in range(count)
    ]
    parquet.write("objects", rows, path)
    return path


def test_regions_come_image_by_image_with_their_objects(tmp_path):
    one, two = numbers(3, 0), numbers(1, 1)
    features = write(tmp_path / "features.parquet", a=one, none=np.zeros((0, WIDTH)), b=two)
    objects = write_objects(tmp_path / "objects.parquet", a=3, b=1)
    regions = list(iter_regions(objects, features))
    assert [(image.image_id, image.size) for image in regions] == [(name, (640, 480)) for name in ("a", "none", "b")]
    assert [[row["label"] for row in image.objects] for image in regions] == [["a0", "a1", "a2"], [], ["b0"]]
    np.testing.assert_array_equal(regions[0].features, one)
    np.testing.assert_array_equal(regions[2].features, two)
    assert len(regions[1].features) == 0 and regions[0].features.flags.writeable


def test_objects_and_features_of_different_runs_are_refused(tmp_path):
    features = write(tmp_path / "features.parquet", a=numbers(2, 0))
    with pytest.raises(UserError, match="'a' has 2 regions, and 3 objects in .*objects.parquet; both must come from"):
        list(iter_regions(write_objects(tmp_path / "objects.parquet", a=3), features))
    with pytest.raises(UserError, match="has no features of 'b', which has objects"):
        list(iter_regions(write_objects(tmp_path / "objects.parquet", a=2, b=1), features))
