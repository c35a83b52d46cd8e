"""Objects in the images: images.parquet -> objects/{detector}.parquet.

A detector of transformers looks at every image that is there; ``precomputed`` takes objects that somebody else found,
for every image that is named, downloaded or not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ita import stage, tables
from ita.settings import Detect
from ita.stage import log
from ita.vision import images as decoding
from ita.vision.detectors import DetectedObject, Detector, TransformersDetector

VERSION = 1


def work(settings: dict[str, Any], images: Path, output: Path) -> None:
    """Writes the objects of all images.

    Raises:
        UserError: for wrong settings or files, or a model that can not be had.
    """
    detect = stage.section(settings, "detect", Detect)
    files = {}
    if detect.backend == "precomputed":
        files = {name: Path(name) for name in detect.files}
        found = dict(precomputed(detect, images))
        about: dict[str, Any] = {"backend": detect.backend}
    else:
        detector = TransformersDetector(detect)
        found = dict(detected(detector, decoding.sources(images), detect.batch_size))
        about = {"backend": detect.backend, **detector.facts}
    counts = {"images": len(found), "objects": sum(map(len, found.values()))}
    log.info("detect: %d objects in %d images", counts["objects"], counts["images"])
    rows = (row(image_id, rank, one) for image_id, objects in found.items() for rank, one in enumerate(objects))
    metadata = {**stage.provenance(settings, {"images": images, **files}), "engine": about, "counts": counts}
    tables.write("objects", rows, output, metadata)


def detected(
    detector: Detector, sources: Sequence[decoding.Source], size: int
) -> Iterator[tuple[str, list[DetectedObject]]]:
    """Image id and objects of every image that can be read."""
    batches = stage.progress(decoding.batches(sources, size), -(-len(sources) // size), "detect", "batch")
    for pictures in batches:
        for picture, objects in zip(pictures, detector.detect(pictures), strict=True):
            yield picture.image_id, objects


def precomputed(detect: Detect, images: Path) -> Iterator[tuple[str, list[DetectedObject]]]:
    """Image id and objects of every image that the files name; the same limits hold as for a detector."""
    from ita.vision import precomputed as files

    found = files.read_objects(files.given(detect.files, "detect.files"))
    for image_id, objects in files.matched(found, tables.rows("images", images)):
        kept = [one for one in objects if one.score is None or one.score >= detect.score_threshold]
        yield image_id, kept[: detect.max_objects]


def row(image_id: str, rank: int, one: DetectedObject) -> dict[str, Any]:
    """A row of the table."""
    x1, y1, x2, y2 = one.box or (None, None, None, None)
    attributes = [{"label": label, "score": score} for label, score in one.attributes]
    edges = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return {
        "image_id": image_id,
        "rank": rank,
        "label": one.label,
        "score": one.score,
        **edges,
        "attributes": attributes,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the stage."""
    return stage.main("detect", VERSION, work, inputs={"images": "images.parquet"}, argv=argv)


if __name__ == "__main__":
    sys.exit(main())
