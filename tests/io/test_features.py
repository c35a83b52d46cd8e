"""The table of region features: one matrix for taggers, and the regions of one image after another."""

import numpy as np
import pytest

from ita.errors import UserError
from ita.io import parquet
from ita.io.features import POSITION_WIDTH, feature_row, iter_regions, load_features, position_features

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


def test_a_known_width_does_without_images(tmp_path):
    table = load_features([write(tmp_path / "1.parquet", a=numbers(2, 0))], {"b"}, known_width=7)
    assert table.width == 7 and len(table.vectors) == 1 and not len(table.rows_of("b"))


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


def test_position_features():
    boxes = np.array([[20.0, 10.0, 60.0, 40.0], [0.0, 0.0, 200.0, 50.0]], np.float32)
    expected = [[0.1, 0.2, 0.3, 0.8, 0.2, 0.6], [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]]
    np.testing.assert_allclose(position_features(boxes, (200, 50)), expected, rtol=1e-6)
    assert position_features(np.zeros((0, 4), np.float32), (3, 4)).shape == (0, POSITION_WIDTH)


def write_boxes(path, **images):
    """A shard of objects: image -> boxes."""
    rows = [
        {"image_id": name, "rank": rank, "label": "cat", **dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))}
        for name, boxes in images.items()
        for rank, box in enumerate(boxes)
    ]
    parquet.write("objects", rows, path)
    return path


def test_positions_follow_the_features_of_their_regions(tmp_path):
    one, two = numbers(2, 0), numbers(1, 1)
    boxes = {"a": [(64, 48, 320, 240), (0, 0, 640, 480)], "b": [(160, 120, 480, 480)]}
    shards = [write(tmp_path / "f1.parquet", none=np.zeros((0, WIDTH)), a=one), write(tmp_path / "f2.parquet", b=two)]
    objects = [write_boxes(tmp_path / f"o{n}.parquet", **{name: boxes[name]}) for n, name in ((1, "a"), (2, "b"))]
    table = load_features(shards, {"a", "b", "none"}, objects)
    assert table.width == WIDTH + POSITION_WIDTH and len(table.rows_of("none")) == 0
    for name, features in (("a", one), ("b", two)):
        rows = table.vectors[table.rows_of(name)]
        np.testing.assert_array_equal(rows[:, :WIDTH], features.astype(np.float16))
        np.testing.assert_allclose(
            rows[:, WIDTH:], position_features(np.float32(boxes[name]), (640, 480)), rtol=1e-3, atol=0
        )


def test_regions_without_a_box_are_refused(tmp_path):
    features = write(tmp_path / "f.parquet", a=numbers(2, 0))
    with pytest.raises(UserError, match="an object of 'a' has no box"):
        load_features([features], {"a"}, [write_objects(tmp_path / "o.parquet", a=2)])
    with pytest.raises(UserError, match="2 shards of objects, expected the same 1"):
        load_features([features], {"a"}, [tmp_path / "o.parquet"] * 2)
