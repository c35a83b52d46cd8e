"""The table of features: what a detector saw of each region, kept for captioners and taggers that read regions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ita.errors import UserError
from ita.io import parquet
from ita.vision.types import DetectedObject, Regions


def row(image_id: str, regions: Regions) -> dict[str, Any]:
    """A row of the table; ``regions`` has features and a size."""
    assert regions.features is not None and regions.size is not None
    width, height = regions.size
    values = regions.features.flatten().numpy()
    return {
        "image_id": image_id,
        "width": width,
        "height": height,
        "regions": len(regions.features),
        "features": values,
    }


def read(objects: Path, features: Path) -> Iterator[tuple[str, Regions]]:
    """Name and regions of one image after another.

    Args:
        objects: a shard of the table of objects.
        features: the same shard of the table of features.

    Raises:
        UserError: when the two do not belong together.
    """
    import torch

    found = itertools.groupby(parquet.stream("objects", objects, 1024), key=lambda one: one["image_id"])
    ahead = next(found, None)
    for batch in parquet.batches("features", features, 16):
        vectors = batch.column("features")
        for number, one in enumerate(batch.drop_columns(["features"]).to_pylist()):
            rows: list[dict[str, Any]] = []
            if ahead is not None and ahead[0] == one["image_id"]:
                rows = list(ahead[1])
                ahead = next(found, None)
            if len(rows) != one["regions"]:
                raise UserError(
                    f"{features}: '{one['image_id']}' has {one['regions']} regions, and {len(rows)} objects in "
                    f"{objects}; both must come from the same run of the detector"
                )
            # Arrow's memory is not to be written to.
            values = np.array(vectors[number].values.to_numpy())
            things = [object_of(thing) for thing in rows]
            shape = (len(rows), len(values) // max(len(rows), 1))
            size = (one["width"], one["height"])
            yield one["image_id"], Regions(things, torch.from_numpy(values).view(*shape), size)
    if ahead is not None:
        raise UserError(
            f"{features}: has no features of '{ahead[0]}', which has objects; captioners that read regions need a "
            "detector that keeps features (backend vinvl or bottomup)"
        )


def object_of(row: dict[str, Any]) -> DetectedObject:
    """A row of the table of objects as the detector gave it."""
    box = (row["x1"], row["y1"], row["x2"], row["y2"])
    attributes = tuple((one["label"], one["score"]) for one in row["attributes"] or [])
    return DetectedObject(row["label"], row["score"], box if None not in box else None, attributes)


def object_rows(image_id: str, objects: Sequence[DetectedObject]) -> Iterator[dict[str, Any]]:
    """Rows of the table of objects, in rank order."""
    for rank, item in enumerate(objects):
        x1, y1, x2, y2 = item.box or (None, None, None, None)
        attributes = [{"label": label, "score": score} for label, score in item.attributes]
        row = {"image_id": image_id, "rank": rank, "label": item.label, "score": item.score}
        yield {**row, "x1": x1, "y1": y1, "x2": x2, "y2": y2, "attributes": attributes}
