"""Features of image regions for taggers that read them: one table in half precision, of which posts name rows.

Memory: 2 bytes a number, so 49 regions of 2048 numbers are 0.2 MB an image, and all 8,257 images of Twitter-2015
1.66 GB; a stage holds those of the splits it reads.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ita.errors import UserError
from ita.io import parquet
from ita.log import log

NONE = np.zeros(0, np.int32)
"""The regions of a post without any."""
LARGEST = float(np.finfo(np.float16).max)


class Features(NamedTuple):
    """Regions of some images, F in all."""

    vectors: NDArray[np.float16]
    """(F, D) features, one image after another."""
    places: dict[str, tuple[int, int]]
    """Image -> its first row and the one behind its last."""

    @property
    def width(self) -> int:
        """D."""
        return self.vectors.shape[1]

    def of(self, image_id: str | None) -> NDArray[np.int32]:
        """Rows of an image; none for a post without an image, or with one that could not be had."""
        return np.arange(*self.places.get(image_id or "", (0, 0)), dtype=np.int32)


def read(shards: Sequence[Path], images: Collection[str]) -> Features:
    """Features of some images.

    Args:
        shards: of the table of features; they are read batch by batch.
        images: which; others are passed over, and an image without regions has no features.

    Raises:
        UserError: for a file that is no such table, features of several widths, or none at all.
    """
    places: dict[str, tuple[int, int]] = {}
    total = 0
    for shard in shards:
        for batch in parquet.batches("features", shard, 4096, ["image_id", "regions"]):
            for image_id, count in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if image_id in images and count:
                    if image_id in places:
                        raise UserError(f"{shard}: '{image_id}' stands in the table of features twice; make it again")
                    places[image_id] = (total, total := total + count)
    if not places:
        raise UserError(
            f"{', '.join(map(str, shards))}: holds no features of these posts' images; a system with regions needs a "
            "detector that keeps them (backend vinvl, bottomup or grid) and images that were found"
        )
    vectors: NDArray[np.float16] | None = None
    for shard in shards:
        for batch in parquet.batches("features", shard, 16):
            values = batch.column("features")
            for number, image_id in enumerate(batch.column("image_id").to_pylist()):
                if image_id not in places:
                    continue
                start, end = places[image_id]
                own = values[number].values.to_numpy()
                if vectors is None:
                    vectors = np.empty((total, len(own) // (end - start)), np.float16)
                if len(own) != (end - start) * vectors.shape[1]:
                    raise UserError(
                        f"{shard}: '{image_id}' has {len(own)} numbers for {end - start} regions, expected "
                        f"{vectors.shape[1]} for each as before; all shards must come from one detector"
                    )
                if not max(own.max(), -own.min()) <= LARGEST:
                    raise UserError(f"{shard}: features of '{image_id}' are not finite in half precision")
                vectors[start:end] = own.reshape(end - start, -1)
    assert vectors is not None
    log.info("features of %d images: %d regions of %d numbers", len(places), *vectors.shape)
    return Features(vectors, places)
