"""ocr: images.parquet -> ocr/{ocr_engine}/{shard}.parquet.

The table has a row for every image that is there.
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
from ita.vision import images as decoding
from ita.vision import sharding
from ita.vision.ocr import build_ocr_engine


def work(settings: dict[str, Any], images: Path, output: Path, shard: str | None = None) -> None:
    """Writes what is read from a shard's images.

    Args:
        settings: ``ocr``.
        images: images.parquet.
        output: table to write.
        shard: the part of the images to read, such as 2-of-7 (default: all).

    Raises:
        UserError: for wrong settings, or an engine that is not installed.
    """
    ocr = read_section(settings, "ocr", Ocr)
    engine = build_ocr_engine(ocr)
    sources = sharding.part(decoding.list_image_files(images), shard)
    counts: Counter[str] = Counter(images=0, with_text=0, tokens=0)
    identity = {"engine": engine.name, "version": engine.version}
    described = {**provenance_of(settings, {"images": images}), "engine": {**identity, **engine.metadata}}
    with parquet.create("ocr", output) as out:
        for one in progress(engine.recognize(sources), len(sources), "ocr", "images"):
            read = count_words(one.text)
            counts.update(images=1, with_text=read > 0, tokens=read)
            out.add([{"image_id": one.image_id, "text": one.text, "confidence": one.confidence, **identity}])
        out.metadata = {**described, "counts": dict(counts)}
    log.info("ocr: text in %d of %d images", counts["with_text"], counts["images"])
