"""Detected objects and regions as rows of the tables of objects and features, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ita.io.features import feature_row, iter_regions
from ita.vision.types import DetectedObject, Regions


def object_rows(image_id: str, objects: Sequence[DetectedObject]) -> Iterator[dict[str, Any]]:
    """Rows of the table of objects, in rank order."""
    for rank, item in enumerate(objects):
        x1, y1, x2, y2 = item.box or (None, None, None, None)
        attributes = [{"label": label, "score": score} for label, score in item.attributes]
        row = {"image_id": image_id, "rank": rank, "label": item.label, "score": item.score}
        yield {**row, "x1": x1, "y1": y1, "x2": x2, "y2": y2, "attributes": attributes}


def feature_rows(image_id: str, regions: Regions) -> list[dict[str, Any]]:
    """The row of the table of features; none where the detector keeps none."""
    if regions.features is None or regions.size is None:
        return []
    return [feature_row(image_id, regions.size, regions.features.numpy())]


def read_regions(objects: Path, features: Path) -> Iterator[tuple[str, Regions]]:
    """Image id and regions of one image after another.

    Args:
        objects: a shard of the table of objects.
        features: the same shard of the table of features.

    Raises:
        UserError: when the two do not belong together.
    """
    import torch

    for image_id, size, rows, vectors in iter_regions(objects, features):
        yield image_id, Regions([to_object(row) for row in rows], torch.from_numpy(vectors), size)


def to_object(row: Mapping[str, Any]) -> DetectedObject:
    """A row of the table of objects as the detector returned it."""
    x1, y1, x2, y2 = (row[edge] for edge in ("x1", "y1", "x2", "y2"))
    box = None if None in (x1, y1, x2, y2) else (x1, y1, x2, y2)
    attributes = tuple((attribute["label"], attribute["score"]) for attribute in row["attributes"] or [])
    return DetectedObject(row["label"], row["score"], box, attributes)
