"""Captions of the images: images.parquet -> captions/{captioner}/{shard}.parquet.

A captioner writes the beams of its search for every image that is there, from its pixels or from the regions that a
detector found; ``precomputed`` takes captions that somebody else wrote, one captioner per file, for every image that is
named, downloaded or not.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ita import stage, tables
from ita.settings import Caption
from ita.stage import log
from ita.vision import images as decoding
from ita.vision import shards
from ita.vision.captioners import Captioner, WrittenCaption, opened

VERSION = 1
INPUTS = {
    "images": "images.parquet",
    "objects?": "the detector's objects of the same shard, for captioners that read regions",
    "features?": "their features",
}

Written = tuple[str, list[WrittenCaption]]
"""Name of an image, its captions."""


def work(
    settings: dict[str, Any],
    images: Path,
    output: Path,
    objects: Path | None = None,
    features: Path | None = None,
    shard: str | None = None,
) -> None:
    """Writes the captions of a shard's images.

    Raises:
        UserError: for wrong settings or files, or a model that can not be had.
    """
    caption = stage.section(settings, "caption", Caption)
    files, about = {}, {"backend": caption.backend}
    if caption.backend == "precomputed":
        files = {name: Path(name) for name in caption.files}
        written = precomputed(caption, images, shard)
    else:
        captioner = opened(caption)
        about |= captioner.facts
        sources = shards.part(decoding.sources(images), shard, caption.batch_size)
        written = captioned(captioner, sources, caption.batch_size)
    counts: Counter[str] = Counter(images=0, captions=0)
    described = {**stage.provenance(settings, {"images": images, **files}), "engine": about}
    with tables.writing("captions", output) as out:
        for image_id, captions in written:
            counts.update(images=1, captions=len(captions))
            out.add(
                {"image_id": image_id, "rank": rank, "caption": one.text, "logprob": one.logprob}
                for rank, one in enumerate(captions)
            )
        out.about = {**described, "counts": dict(counts)}
    log.info("caption: %d captions of %d images", counts["captions"], counts["images"])


def captioned(captioner: Captioner, sources: Sequence[decoding.Source], size: int) -> Iterator[Written]:
    """Every image that can be read and its captions."""
    batches = stage.progress(decoding.batches(sources, size), -(-len(sources) // size), "caption", "batch")
    for pictures in batches:
        for picture, captions in zip(pictures, captioner.caption(pictures), strict=True):
            yield picture.image_id, captions


def precomputed(caption: Caption, images: Path, shard: str | None = None) -> Iterator[Written]:
    """Every image that the files name and its captions."""
    from ita.vision import precomputed as files

    found = files.read_texts(files.given(caption.files, "caption.files"))
    for image_id, texts in files.matched(found, shards.part(tables.rows("images", images), shard)):
        yield image_id, [WrittenCaption(text) for text in texts[: caption.captions]]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the stage."""
    return stage.main("caption", VERSION, work, inputs=INPUTS, argv=argv, options=stage.SHARD)


if __name__ == "__main__":
    sys.exit(main())
