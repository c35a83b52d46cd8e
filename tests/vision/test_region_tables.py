"""Objects and regions survive their tables."""

import torch

from ita.io import parquet
from ita.vision.region_tables import feature_rows, object_rows, read_regions
from ita.vision.types import DetectedObject, Regions


def test_regions_are_read_as_they_were_written(tmp_path):
    cat = DetectedObject("cat", 0.75, (1.0, 2.0, 3.0, 4.5), (("red", 0.5), ("wet", None)))
    tag = DetectedObject("dog")
    regions = {
        "a": Regions([cat, tag], torch.randn(2, 5), (640, 480)),
        "b": Regions([], torch.zeros(0, 5), (10, 20)),
    }
    objects, features = tmp_path / "objects.parquet", tmp_path / "features.parquet"
    for table, path, rows_of in (
        ("objects", objects, lambda name: object_rows(name, regions[name].objects)),
        ("features", features, lambda name: feature_rows(name, regions[name])),
    ):
        parquet.write(table, (row for name in regions for row in rows_of(name)), path)
    for (image_id, actual), (name, expected) in zip(read_regions(objects, features), regions.items(), strict=True):
        assert (image_id, actual.size, actual.objects) == (name, expected.size, expected.objects)
        assert torch.equal(actual.features, expected.features) or not expected.objects


def test_a_detector_without_features_has_no_row():
    assert feature_rows("a", Regions([DetectedObject("cat")], None, (640, 480))) == []
    assert feature_rows("a", Regions([DetectedObject("cat")])) == []
