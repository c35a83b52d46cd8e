"""Characters in the images: images.parquet -> ocr/{reader}/{shard}.parquet, a row for every image that is there."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita import stage, tables
from ita.corpus.characters import tokens
from ita.settings import Ocr
from ita.stage import log
from ita.vision import images as decoding
from ita.vision import shards
from ita.vision.readers import Reader, TesseractReader

VERSION = 2


def work(settings: dict[str, Any], images: Path, output: Path, shard: str | None = None) -> None:
    """Writes what is read from a shard's images.

    Raises:
        UserError: for wrong settings, or an engine that is not installed.
    """
    ocr = stage.section(settings, "ocr", Ocr)
    reader = opened(ocr)
    sources = shards.part(decoding.sources(images), shard)
    counts: Counter[str] = Counter(images=0, with_text=0, tokens=0)
    engine = {"reader": reader.name, "version": reader.version}
    described = {**stage.provenance(settings, {"images": images}), "engine": {**engine, **reader.facts}}
    with tables.writing("ocr", output) as out:
        for one in stage.progress(reader.read(sources), len(sources), "ocr", "images"):
            read = tokens(one.text)
            counts.update(images=1, with_text=read > 0, tokens=read)
            out.add([{"image_id": one.image_id, "text": one.text, "confidence": one.confidence, **engine}])
        out.about = {**described, "counts": dict(counts)}
    log.info("ocr: text in %d of %d images", counts["with_text"], counts["images"])


def opened(settings: Ocr) -> Reader:
    """The reader of the engine.

    Raises:
        UserError: when it is not installed, or its models can not be had.
    """
    if settings.engine == "tesseract":
        return TesseractReader(settings)
    from ita.vision.ppocr import PaddleReader, RapidReader

    return PaddleReader(settings) if settings.engine == "paddleocr" else RapidReader(settings)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the stage."""
    return stage.main("ocr", VERSION, work, inputs={"images": "images.parquet"}, argv=argv, options=stage.SHARD)


if __name__ == "__main__":
    sys.exit(main())
