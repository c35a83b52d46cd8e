"""Captions of the images: images.parquet -> captions/{captioner}.parquet.

A captioner of transformers writes the beams of its search for every image that is there; ``precomputed`` takes captions
that somebody else wrote, one captioner per file, for every image that is named, downloaded or not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ita import stage, tables
from ita.settings import Caption
from ita.stage import log
from ita.vision import images as decoding
from ita.vision.captioners import Captioner, TransformersCaptioner, WrittenCaption

VERSION = 1


def work(settings: dict[str, Any], images: Path, output: Path) -> None:
    """Writes the captions of all images.

    Raises:
        UserError: for wrong settings or files, or a model that can not be had.
    """
    caption = stage.section(settings, "caption", Caption)
    files = {}
    if caption.backend == "precomputed":
        files = {name: Path(name) for name in caption.files}
        written = dict(precomputed(caption, images))
        about: dict[str, Any] = {"backend": caption.backend}
    else:
        captioner = TransformersCaptioner(caption)
        written = dict(captioned(captioner, decoding.sources(images), caption.batch_size))
        about = {"backend": caption.backend, **captioner.facts}
    counts = {"images": len(written), "captions": sum(map(len, written.values()))}
    log.info("caption: %d captions of %d images", counts["captions"], counts["images"])
    rows = (
        {"image_id": image_id, "rank": rank, "caption": one.text, "logprob": one.logprob}
        for image_id, captions in written.items()
        for rank, one in enumerate(captions)
    )
    metadata = {**stage.provenance(settings, {"images": images, **files}), "engine": about, "counts": counts}
    tables.write("captions", rows, output, metadata)


def captioned(
    captioner: Captioner, sources: Sequence[decoding.Source], size: int
) -> Iterator[tuple[str, list[WrittenCaption]]]:
    """Image id and captions of every image that can be read."""
    batches = stage.progress(decoding.batches(sources, size), -(-len(sources) // size), "caption", "batch")
    for pictures in batches:
        for picture, captions in zip(pictures, captioner.caption(pictures), strict=True):
            yield picture.image_id, captions


def precomputed(caption: Caption, images: Path) -> Iterator[tuple[str, list[WrittenCaption]]]:
    """Image id and captions of every image that the files name."""
    from ita.vision import precomputed as files

    found = files.read_texts(files.given(caption.files, "caption.files"))
    for image_id, texts in files.matched(found, tables.rows("images", images)):
        yield image_id, [WrittenCaption(text) for text in texts[: caption.captions]]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the stage."""
    return stage.main("caption", VERSION, work, inputs={"images": "images.parquet"}, argv=argv)


if __name__ == "__main__":
    sys.exit(main())
