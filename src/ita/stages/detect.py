"""detect: images.parquet -> objects/{detector}/{shard}.parquet and features/{detector}/{shard}.parquet.

A detector looks for objects in every image that was downloaded; ``precomputed`` reads objects from files, for every
image that they name, downloaded or not. Region features are kept for captioners and taggers that read regions: of each
object by ``vinvl`` and ``bottomup``, of the cells of a grid, without objects, by ``grid``; other detectors have none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Detect
from ita.data.entries import list_files, match_images
from ita.io import parquet
from ita.io.provenance import provenance_of
from ita.log import log, progress
from ita.vision.detectors import build_detector
from ita.vision.images import decode_batches, list_image_files
from ita.vision.precomputed import read_objects
from ita.vision.region_tables import feature_rows, object_rows
from ita.vision.sharding import shard_batches, shard_rows
from ita.vision.types import Detector, ImageFile, Regions


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
        UserError: for wrong settings or files, or a model that cannot be loaded.
    """
    detect = read_section(settings, "detect", Detect)
    files: dict[str, Path] = {}
    engine: dict[str, Any] = {"backend": detect.backend}
    regions: Iterator[tuple[str, Regions]]
    if detect.backend == "precomputed":
        files = {str(path): path for path in list_files(detect.files, "detect.files")}
        regions = read_regions(detect, list(files.values()), images, shard)
    else:
        detector = build_detector(detect)
        engine |= detector.metadata
        regions = detect_objects(detector, shard_batches(list_image_files(images), shard, detect.batch_size))
    counts = Counter(images=0, objects=0)
    provenance = {**provenance_of(settings, {"images": images, **files}), "engine": engine}
    with ExitStack() as stack:
        tables = [stack.enter_context(parquet.create("objects", output))]
        if features:
            tables.append(stack.enter_context(parquet.create("features", features)))
        for image_id, image_regions in regions:
            counts.update(images=1, objects=len(image_regions.objects))
            tables[0].add(object_rows(image_id, image_regions.objects))
            for table in tables[1:]:
                table.add(feature_rows(image_id, image_regions))
        for table in tables:
            table.metadata = {**provenance, "counts": dict(counts)}
    log.info("detect: %d objects in %d images", counts["objects"], counts["images"])


def detect_objects(detector: Detector, batches: Sequence[Sequence[ImageFile]]) -> Iterator[tuple[str, Regions]]:
    """Regions of every image that can be decoded, by falling score."""
    for images in progress(decode_batches(batches), len(batches), "detect", "batch"):
        for image, regions in zip(images, detector.regions(images), strict=True):
            yield image.image_id, regions.ranked()


def read_regions(
    detect: Detect, files: Sequence[Path], images: Path, shard: str | None
) -> Iterator[tuple[str, Regions]]:
    """Objects of every image of the shard that the files name; the same limits hold as for a detector."""
    objects_of_image = read_objects(files)
    rows = parquet.stream("images", images, 1024, ["image_id"], shard_rows(parquet.count("images", images), shard))
    for image_id, objects in match_images(objects_of_image, rows):
        objects = [item for item in objects if item.score is None or item.score >= detect.score_threshold]
        yield image_id, Regions(objects[: detect.max_objects])
