"""detect: images.parquet -> objects/{detector}/{shard}.parquet and features/{detector}/{shard}.parquet.

A detector looks at every image that is there; ``precomputed`` takes objects that somebody else found, for every image
that is named, downloaded or not. Features are what detectors of regions see of each object, for captioners and taggers
that read regions; ``grid`` sees cells instead of objects, and of other detectors there are none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Detect
from ita.data.entries import list_files, match_images
from ita.io import parquet
from ita.io.provenance import provenance_of
from ita.log import log, progress
from ita.vision import images as decoding
from ita.vision import region_tables, sharding
from ita.vision.detectors import build_detector
from ita.vision.precomputed import read_objects
from ita.vision.types import Detector, ImageFile, Regions

Found = tuple[str, Regions]
"""Name of an image, what was found in it."""


def work(
    settings: dict[str, Any],
    images: Path,
    output: Path,
    features: Path | None = None,
    shard: str | None = None,
) -> None:
    """Writes the objects of a shard's images, and their features.

    Args:
        settings: ``detect``.
        images: images.parquet.
        output: objects table to write.
        features: table to write the features of the regions to.
        shard: the part of the images to read, such as 2-of-7 (default: all).

    Raises:
        UserError: for wrong settings or files, or a model that can not be had.
    """
    detect = read_section(settings, "detect", Detect)
    files = {}
    if detect.backend == "precomputed":
        files = {str(path): path for path in list_files(detect.files, "detect.files")}
        found: Iterable[Found] = precomputed(detect, images, shard)
        about: dict[str, Any] = {"backend": detect.backend}
    else:
        detector = build_detector(detect)
        found = detected(detector, sharding.blocks(decoding.list_image_files(images), shard, detect.batch_size))
        about = {"backend": detect.backend, **detector.metadata}
    counts: Counter[str] = Counter(images=0, objects=0)
    described = {**provenance_of(settings, {"images": images, **files}), "engine": about}
    with ExitStack() as stack:
        objects = stack.enter_context(parquet.create("objects", output))
        vectors = stack.enter_context(parquet.create("features", features)) if features else None
        for image_id, one in found:
            counts.update(images=1, objects=len(one.objects))
            objects.add(region_tables.object_rows(image_id, one.objects))
            if vectors and one.features is not None:
                vectors.add([region_tables.row(image_id, one)])
        objects.metadata = {**described, "counts": dict(counts)}
        if vectors:
            vectors.metadata = objects.metadata
    log.info("detect: %d objects in %d images", counts["objects"], counts["images"])


def detected(detector: Detector, batches: Sequence[Sequence[ImageFile]]) -> Iterator[Found]:
    """Every image that can be read and what is in it."""
    for pictures in progress(decoding.decode_batches(batches), len(batches), "detect", "batch"):
        for picture, regions in zip(pictures, detector.regions(pictures), strict=True):
            yield picture.image_id, regions.ranked()


def precomputed(detect: Detect, images: Path, shard: str | None = None) -> Iterator[Found]:
    """Every image that the files name and its objects; the same limits hold as for a detector."""
    found = read_objects(list_files(detect.files, "detect.files"))
    rows = sharding.part(parquet.rows("images", images), shard)
    for image_id, objects in match_images(found, rows):
        kept = [one for one in objects if one.score is None or one.score >= detect.score_threshold]
        yield image_id, Regions(kept[: detect.max_objects])
