"""The table of region features: its rows, the regions of one image after another, one matrix for taggers.

Memory of the matrix: 2 bytes a number, so 49 regions of 2048 numbers are 0.2 MB an image, and all 8,257 images of
Twitter-2015 1.66 GB; a stage holds those of the splits it reads.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ita.errors import UserError
from ita.log import log

IMAGES_PER_READ = 16
"""Images whose features are in memory at a time, as many as a row group holds."""
POSITION_WIDTH = 6
"""Numbers of a region's position, behind its features."""
NO_REGIONS = np.zeros(0, np.int32)
"""The regions of a post without any."""
MAX_HALF = float(np.finfo(np.float16).max)


class ImageRegions(NamedTuple):
    """The regions of one image."""

    image_id: str
    size: tuple[int, int]
    """Width and height of the image in pixels."""
    objects: list[dict[str, Any]]
    """R rows of the table of objects."""
    features: NDArray[np.float32]
    """(R, D)."""


class Features(NamedTuple):
    """Region features of some images."""

    vectors: NDArray[np.float16]
    """(R, D) features, one image after another."""
    spans: dict[str, tuple[int, int]]
    """Image -> its first row and the one behind its last."""

    @property
    def width(self) -> int:
        """D."""
        return self.vectors.shape[1]

    def rows_of(self, image_id: str | None) -> NDArray[np.int32]:
        """Rows of an image; none for a post without an image, or with one that is missing."""
        return np.arange(*self.spans.get(image_id or "", (0, 0)), dtype=np.int32)


def feature_row(image_id: str, size: tuple[int, int], features: NDArray[np.float32]) -> dict[str, Any]:
    """A row of the table.

    Args:
        image_id: name of the image.
        size: its width and height in pixels.
        features: (R, D) of its regions.
    """
    width, height = size
    row = {"image_id": image_id, "width": width, "height": height, "regions": len(features)}
    return {**row, "features": features.ravel()}


def position_features(boxes: NDArray[np.float32], image_size: tuple[int, int]) -> NDArray[np.float32]:
    """Relative positions of regions, which Oscar and VinVL read behind the 2048 features of a region.

    Args:
        boxes: (V, 4) left, top, right and bottom edges in pixels of the image.
        image_size: width and height of the image.

    Returns:
        (V, 6): x1/W, y1/H, x2/W, y2/H, w/W, h/H with w = x2 - x1 and h = y2 - y1 (microsoft/Oscar, issue 10).
    """
    corners = boxes / np.array([*image_size, *image_size], np.float32)
    return np.concatenate([corners, corners[:, 2:] - corners[:, :2]], 1)


def iter_regions(objects: Path, features: Path) -> Iterator[ImageRegions]:
    """The regions of one image after another, of which a few are in memory at a time.

    Args:
        objects: a shard of the table of objects.
        features: the same shard of the table of features.

    Raises:
        UserError: when the two do not belong together.
    """
    from ita.io import parquet

    groups = itertools.groupby(parquet.stream("objects", objects, 1024), key=lambda row: row["image_id"])
    pending = next(groups, None)
    for row, values in _feature_rows(features):
        rows: list[dict[str, Any]] = []
        if pending is not None and pending[0] == row["image_id"]:
            rows = list(pending[1])
            pending = next(groups, None)
        if len(rows) != row["regions"]:
            raise UserError(
                f"{features}: '{row['image_id']}' has {row['regions']} regions, and {len(rows)} objects in "
                f"{objects}; both must come from the same run of the detector"
            )
        vectors = np.array(values).reshape(len(rows), len(values) // max(len(rows), 1))  # Arrow's memory is read-only
        yield ImageRegions(row["image_id"], (row["width"], row["height"]), rows, vectors)
    if pending is not None:
        raise UserError(
            f"{features}: has no features of '{pending[0]}', which has objects; captioners that read regions need a "
            "detector that keeps features (backend vinvl or bottomup)"
        )


def load_features(
    shards: Sequence[Path], images: Collection[str], objects: Sequence[Path] = (), known_width: int = 0
) -> Features:
    """Features of some images in one matrix.

    Args:
        shards: of the table of features.
        images: which; others are passed over, and an image without regions has no features.
        objects: the same shards of the table of objects, where the position of each region follows its features.
        known_width: numbers of a region, where a model knows them; it can then tag posts none of whose images has any.

    Raises:
        UserError: for a file that is no such table, features of several widths, or none at all without a known width.
    """
    if objects and len(objects) != len(shards):
        raise UserError(f"{len(objects)} shards of objects, expected the same {len(shards)} as of features")
    spans: dict[str, tuple[int, int]] = {}
    values = np.empty(0, np.float16)
    count = width = 0
    for number, shard in enumerate(shards):
        for row, image_values in _positioned_rows(objects[number], shard) if objects else _feature_rows(shard):
            image_id, regions = row["image_id"], row["regions"]
            if image_id not in images or not regions:
                continue
            if image_id in spans:
                raise UserError(f"{shard}: '{image_id}' is in the table of features twice; make it again")
            width = width or len(image_values) // regions
            if len(image_values) != regions * width:
                raise UserError(
                    f"{shard}: '{image_id}' has {len(image_values)} numbers for {regions} regions, expected "
                    f"{width} for each as before; all shards must come from one detector"
                )
            if not max(image_values.max(), -image_values.min()) <= MAX_HALF:
                raise UserError(f"{shard}: features of '{image_id}' are not finite in half precision")
            spans[image_id] = (count, count + regions)
            # The system moves no bytes when a large array grows in place; collecting parts would need twice the memory.
            values.resize((count + regions) * width, refcheck=False)
            values[count * width :] = image_values
            count += regions
    if not spans and known_width:
        log.warning("%s: no features of these posts' images; all posts are read without", ", ".join(map(str, shards)))
        return Features(np.zeros((1, known_width), np.float16), {})  # one row, since fusion layers look one up
    if not spans:
        raise UserError(
            f"{', '.join(map(str, shards))}: holds no features of these posts' images; a system with regions needs a "
            "detector that keeps them (backend vinvl, bottomup or grid) and images that were found"
        )
    log.info("features of %d images: %d regions of %d numbers", len(spans), count, width)
    return Features(values.reshape(count, width), spans)


def _feature_rows(shard: Path) -> Iterator[tuple[Mapping[str, Any], NDArray[np.float32]]]:
    """The rows of a shard without their features, and these, without making Python numbers of them."""
    from ita.io import parquet

    for batch in parquet.batches("features", shard, IMAGES_PER_READ):
        vectors = batch.column("features")
        for index, row in enumerate(batch.drop_columns(["features"]).to_pylist()):
            yield row, vectors[index].values.to_numpy()


def _positioned_rows(objects: Path, shard: Path) -> Iterator[tuple[Mapping[str, Any], NDArray[np.float32]]]:
    """The rows of a shard without their features, and these, each region's followed by its position."""
    for image in iter_regions(objects, shard):
        edges = [[row[edge] for edge in ("x1", "y1", "x2", "y2")] for row in image.objects]
        if any(None in box for box in edges):
            raise UserError(
                f"{objects}: an object of '{image.image_id}' has no box; a system with region_boxes needs a detector "
                "that writes boxes (backend vinvl or bottomup)"
            )
        boxes = np.array(edges, np.float32).reshape(-1, 4)
        values = np.concatenate([image.features, position_features(boxes, image.size)], 1)
        yield {"image_id": image.image_id, "regions": len(boxes)}, values.ravel()
