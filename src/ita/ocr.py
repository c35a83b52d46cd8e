"""Characters in the images: images.parquet -> ocr/{reader}.parquet, a row for every image that is there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita import stage, tables
from ita.settings import Ocr
from ita.stage import log
from ita.vision import images as decoding
from ita.vision.readers import RapidReader, Reader, TesseractReader

VERSION = 1


def work(settings: dict[str, Any], images: Path, output: Path) -> None:
    """Writes what is read from all images.

    Raises:
        UserError: for wrong settings, or an engine that is not installed.
    """
    ocr = stage.section(settings, "ocr", Ocr)
    reader: Reader = TesseractReader(ocr) if ocr.engine == "tesseract" else RapidReader(ocr)
    sources = decoding.sources(images)
    readings = list(stage.progress(reader.read(sources), len(sources), "ocr", "images"))
    counts = {"images": len(readings), "with_text": sum(bool(reading.text.strip()) for reading in readings)}
    log.info("ocr: text in %d of %d images", counts["with_text"], counts["images"])
    engine = {"reader": reader.name, "version": reader.version}
    rows = (
        {"image_id": reading.image_id, "text": reading.text, "confidence": reading.confidence, **engine}
        for reading in readings
    )
    tables.write(
        "ocr", rows, output, {**stage.provenance(settings, {"images": images}), "engine": engine, "counts": counts}
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the stage."""
    return stage.main("ocr", VERSION, work, inputs={"images": "images.parquet"}, argv=argv)


if __name__ == "__main__":
    sys.exit(main())
