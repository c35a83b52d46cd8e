"""ocr: images.parquet -> ocr/{ocr_engine}/{shard}.parquet.

An OCR engine recognises the text in every image that was downloaded; images without text and images that cannot be
decoded have a row, too.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Ocr
from ita.data.visual_context import count_words
from ita.io import parquet
from ita.io.provenance import provenance_of
from ita.log import log, progress
from ita.vision.images import list_image_files
from ita.vision.ocr import build_ocr_engine
from ita.vision.sharding import shard_items


def work(settings: dict[str, Any], images: Path, output: Path, shard: str | None = None) -> None:
    """Writes the OCR text of a shard's images.

    Args:
        settings: ``ocr``.
        images: images.parquet.
        output: OCR table to write.
        shard: the part of the images to read, such as 2-of-7 (default: all).

    Raises:
        UserError: for wrong settings, or an engine that is not installed.
    """
    ocr = read_section(settings, "ocr", Ocr)
    engine = build_ocr_engine(ocr)
    image_files = shard_items(list_image_files(images), shard)
    counts = Counter(images=0, with_text=0, tokens=0)
    identity = {"engine": engine.name, "version": engine.version}
    provenance = {**provenance_of(settings, {"images": images}), "engine": {**identity, **engine.metadata}}
    with parquet.create("ocr", output) as table:
        for result in progress(engine.recognize(image_files), len(image_files), "ocr", "images"):
            word_count = count_words(result.text)
            counts.update(images=1, with_text=word_count > 0, tokens=word_count)
            row = {"image_id": result.image_id, "text": result.text, "confidence": result.confidence}
            table.add([{**row, **identity}])
        table.metadata = {**provenance, "counts": dict(counts)}
    log.info("ocr: text in %d of %d images", counts["with_text"], counts["images"])
