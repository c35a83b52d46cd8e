"""Small copies of images for pages."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ita.log import log

if TYPE_CHECKING:
    from PIL.Image import Image

QUALITY = 80
"""Of JPEG and WebP."""


class Thumbnail(NamedTuple):
    """A small copy of an image."""

    image_id: str
    image: Image
    size: tuple[int, int]
    """Width and height of the image itself in pixels, after EXIF orientation."""


def thumbnails(image_ids: Collection[str | None], images: Path, side: int) -> Iterator[Thumbnail]:
    """Thumbnails of images; those that cannot be read are left out.

    Args:
        image_ids: which images.
        images: images.parquet.
        side: longest side in pixels; 0 makes none.
    """
    from ita.vision.images import Unreadable, decode, list_image_files

    for image_file in list_image_files(images) if side else []:
        if image_file.image_id not in image_ids:
            continue
        try:
            image = decode(image_file.path)
        except Unreadable as error:
            log.warning("%s: left out, the image cannot be read (%s)", image_file.image_id, error)
            continue
        size = image.size
        image.thumbnail((side, side))
        yield Thumbnail(image_file.image_id, image, size)
