"""caption: images.parquet -> captions/{captioner}/{shard}.parquet.

A captioner generates captions, the beams of its search, for every image that was downloaded: from its pixels, or from
the regions of a detector. ``precomputed`` reads captions from files, a captioner per file, for every image that they
name, downloaded or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
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
from ita.vision.captioners import build_captioner
from ita.vision.images import decode_batches, list_image_files
from ita.vision.region_tables import read_regions
from ita.vision.sharding import shard_batches, shard_rows
from ita.vision.types import Captioner, ImageCaption, ImageFile, RegionCaptioner, Regions

ImageCaptions = tuple[str, list[ImageCaption]]
"""Image id, captions."""


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
        UserError: for wrong settings or files, or a model that cannot be loaded.
    """
    caption = read_section(settings, "caption", Caption)
    inputs, engine, captions = open_captions(caption, images, objects, features, shard)
    counts = Counter(images=0, captions=0)
    provenance = {**provenance_of(settings, {"images": images, **inputs}), "engine": engine}
    with parquet.create("captions", output) as table:
        for image_id, image_captions in captions:
            counts.update(images=1, captions=len(image_captions))
            table.add(
                {"image_id": image_id, "rank": rank, "caption": item.text, "logprob": item.logprob}
                for rank, item in enumerate(image_captions)
            )
        table.metadata = {**provenance, "counts": dict(counts)}
    log.info("caption: %d captions of %d images", counts["captions"], counts["images"])


def open_captions(
    caption: Caption, images: Path, objects: Path | None, features: Path | None, shard: str | None
) -> tuple[dict[str, Path], dict[str, Any], Iterator[ImageCaptions]]:
    """Loads the captioner, or finds the files, of the settings.

    Args:
        caption: the settings.
        images: as for ``work``.
        objects: as for ``work``.
        features: as for ``work``.
        shard: as for ``work``.

    Returns:
        Files that were read, by name; what identifies the captioner; captions of one image after another.

    Raises:
        UserError: as ``work``.
    """
    engine: dict[str, Any] = {"backend": caption.backend}
    if caption.backend == "precomputed":
        files = list_files(caption.files, "caption.files")
        captions = caption.search().captions
        return {str(file): file for file in files}, engine, read_captions(files, captions, images, shard)
    captioner = build_captioner(caption)
    engine |= captioner.metadata
    image_files = list_image_files(images)
    if not isinstance(captioner, RegionCaptioner):
        return {}, engine, caption_images(captioner, shard_batches(image_files, shard, caption.batch_size))
    if not (objects and features):
        raise UserError(f"captioner '{caption.backend}' describes regions: give --objects and --features")
    detection = parquet.metadata(objects)
    engine |= {"detector": detection.get("engine"), "detector_settings": detection.get("settings", {}).get("detect")}
    blocks = shard_batches(image_files, shard)
    return {}, engine, caption_regions(captioner, read_regions(objects, features), blocks)


def caption_images(captioner: Captioner, batches: Sequence[Sequence[ImageFile]]) -> Iterator[ImageCaptions]:
    """Captions of every image that can be decoded."""
    for images in progress(decode_batches(batches), len(batches), "caption", "batch"):
        for image, captions in zip(images, captioner.caption(images), strict=True):
            yield image.image_id, captions


def caption_regions(
    captioner: RegionCaptioner, regions: Iterable[tuple[str, Regions]], blocks: Sequence[Sequence[ImageFile]]
) -> Iterator[ImageCaptions]:
    """Captions of every image in which a detector looked for objects.

    Args:
        captioner: of regions.
        regions: image id and regions, in the order of the blocks; images may be missing.
        blocks: images that are captioned together.

    Raises:
        UserError: for an image that is in no block.
    """
    numbered = ((file.image_id, number) for number, block in enumerate(blocks) for file in block)

    def block(image_regions: tuple[str, Regions]) -> int:
        number = next((number for image_id, number in numbered if image_id == image_regions[0]), None)
        if number is None:
            raise UserError(
                f"'{image_regions[0]}' is not among the images of this shard; detect must have had the same shard"
            )
        return number

    for _, group in progress(groupby(regions, key=block), len(blocks), "caption", "block"):
        image_ids, block_regions = zip(*group, strict=True)
        yield from zip(image_ids, captioner.caption_regions(block_regions), strict=True)


def read_captions(files: Sequence[Path], most: int, images: Path, shard: str | None) -> Iterator[ImageCaptions]:
    """The first captions, at most ``most``, of every image of the shard that the files name."""
    texts = read_texts(files)
    rows = parquet.stream("images", images, 1024, ["image_id"], shard_rows(parquet.count("images", images), shard))
    for image_id, image_texts in match_images(texts, rows):
        yield image_id, [ImageCaption(text) for text in image_texts[:most]]
