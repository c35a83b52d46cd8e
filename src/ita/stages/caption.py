"""caption: images.parquet -> captions/{captioner}/{shard}.parquet.

A captioner writes the beams of its search for every image that is there, from its pixels or from the regions that a
detector found; ``precomputed`` takes captions that somebody else wrote, one captioner per file, for every image that is
named, downloaded or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Caption
from ita.data.entries import list_files, match_images
from ita.data.image_texts import read_texts
from ita.errors import UserError
from ita.io import parquet
from ita.io.provenance import provenance_of
from ita.log import log, progress
from ita.vision import images as decoding
from ita.vision import region_tables, sharding
from ita.vision.captioners import build_captioner
from ita.vision.types import Captioner, ImageCaption, ImageFile, RegionCaptioner, Regions

Written = tuple[str, list[ImageCaption]]
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

    Args:
        settings: ``caption``.
        images: images.parquet.
        output: captions table to write.
        objects: the detector's objects of the same shard, for captioners that read regions.
        features: their features.
        shard: the part of the images to read, such as 2-of-7 (default: all).

    Raises:
        UserError: for wrong settings or files, or a model that can not be had.
    """
    caption = read_section(settings, "caption", Caption)
    files: dict[str, Path] = {}
    about: dict[str, Any] = {"backend": caption.backend}
    if caption.backend == "precomputed":
        files = {str(path): path for path in list_files(caption.files, "caption.files")}
        written = precomputed(caption, images, shard)
    else:
        captioner = build_captioner(caption)
        about |= captioner.metadata
        if isinstance(captioner, RegionCaptioner):
            if not (objects and features):
                raise UserError(f"captioner '{caption.backend}' describes regions: give --objects and --features")
            about["detector"] = parquet.metadata(objects).get("engine")
            blocks = sharding.blocks([source.image_id for source in decoding.list_image_files(images)], shard)
            written = described(captioner, region_tables.read(objects, features), blocks)
        else:
            image_files = decoding.list_image_files(images)
            written = captioned(captioner, sharding.blocks(image_files, shard, caption.batch_size))
    counts: Counter[str] = Counter(images=0, captions=0)
    origin = {**provenance_of(settings, {"images": images, **files}), "engine": about}
    with parquet.create("captions", output) as out:
        for image_id, captions in written:
            counts.update(images=1, captions=len(captions))
            out.add(
                {"image_id": image_id, "rank": rank, "caption": one.text, "logprob": one.logprob}
                for rank, one in enumerate(captions)
            )
        out.metadata = {**origin, "counts": dict(counts)}
    log.info("caption: %d captions of %d images", counts["captions"], counts["images"])


def captioned(captioner: Captioner, batches: Sequence[Sequence[ImageFile]]) -> Iterator[Written]:
    """Every image that can be read and its captions."""
    for pictures in progress(decoding.decode_batches(batches), len(batches), "caption", "batch"):
        for picture, captions in zip(pictures, captioner.caption(pictures), strict=True):
            yield picture.image_id, captions


def described(
    captioner: RegionCaptioner, found: Iterator[tuple[str, Regions]], blocks: Sequence[Sequence[str]]
) -> Iterator[Written]:
    """Every image in which a detector looked for objects and its captions.

    Args:
        captioner: writes them.
        found: name and regions of the images, in the order of the blocks; images may be missing.
        blocks: names of the images that are described together.
    """
    ahead = next(found, None)
    for block in progress(blocks, len(blocks), "caption", "block"):
        names, seen = set(block), []
        while ahead is not None and ahead[0] in names:
            seen.append(ahead)
            ahead = next(found, None)
        captions = captioner.caption_regions([regions for _, regions in seen]) if seen else []
        yield from zip([name for name, _ in seen], captions, strict=True)
    if ahead is not None:
        raise UserError(f"'{ahead[0]}' is not among the images of this shard; detect must have had the same shard")


def precomputed(caption: Caption, images: Path, shard: str | None = None) -> Iterator[Written]:
    """Every image that the files name and its captions."""
    found = read_texts(list_files(caption.files, "caption.files"))
    for image_id, texts in match_images(found, sharding.part(parquet.rows("images", images), shard)):
        yield image_id, [ImageCaption(text) for text in texts[: caption.captions]]
