"""The one place where images are decoded.

Bytes from the web are hostile: the format is taken from the content and only from a short list, paths must stay inside
the folder of their table, and a broken image costs only itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ita.download.verify import EXTENSIONS as FORMATS
from ita.download.verify import ORIENTATION
from ita.io import parquet
from ita.vision.types import DecodedImage, ImageFile

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger("ita")

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
"""File names of images, lower case."""
TURNED = range(2, 9)
"""Values of the EXIF orientation of pixels that are not stored upright."""
DECODERS = 4
"""Threads that decode; Pillow lets go of the interpreter lock meanwhile."""


class Unreadable(Exception):
    """An image that cannot be decoded; the message says why."""


def sources(table: Path) -> list[ImageFile]:
    """The images that a table says are there, in its order.

    Args:
        table: images.parquet; its paths are relative to its folder.

    Raises:
        UserError: when the table is missing or another one.
    """
    root = table.parent.resolve()
    found = []
    for row in parquet.stream("images", table, 1024):
        if row["status"] != "ok" or not row["path"]:
            continue
        path = (root / row["path"]).resolve()
        if path.is_relative_to(root):
            found.append(ImageFile(row["image_id"], path))
        else:
            log.warning("%s: skipped, its path %s leads out of %s", row["image_id"], row["path"], table.parent)
    return found


def decode(path: Path) -> Image:
    """Decodes the first frame of an image: EXIF orientation applied, transparent pixels on white, RGB.

    Raises:
        Unreadable: for a missing or broken file, an unknown format or a decompression bomb.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=list(FORMATS)) as stored:
            image = ImageOps.exif_transpose(stored)
            if image.mode.startswith("I;16"):  # Pillow would clip 16 bits at 255, which is white
                clear = image.info.pop("transparency", None)
                image = image.point(lambda value: value / 256).convert("L")
                if clear is not None:
                    image.info["transparency"] = clear >> 8
            if image.has_transparency_data:
                image = image.convert("RGBA")
                paper = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(paper, image)
            return image.convert("RGB")
    except Exception as error:  # broken bytes raise whatever the decoder stumbles over, from OSError to struct.error
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def check(path: Path) -> bool:
    """Reads all of an image, at reduced size where that is quicker.

    Returns:
        Whether the file as it is can be given to others: upright, and no animated WebP, which few programs read.

    Raises:
        Unreadable: as ``decode``.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=list(FORMATS)) as image:
            plain = image.getexif().get(ORIENTATION, 1) not in TURNED
            plain &= not (image.format == "WEBP" and getattr(image, "is_animated", False))
            image.draft("L", (1, 1))  # JPEG: an eighth of the size, which still reads every byte
            image.load()
            return plain
    except Exception as error:  # as in decode
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def batches(found: Sequence[Sequence[ImageFile]]) -> Iterator[list[DecodedImage]]:
    """Decodes batches of images ahead of their use; broken images are left out with a warning, and empty batches."""

    def open_one(source: ImageFile) -> DecodedImage | None:
        try:
            return DecodedImage(source.image_id, decode(source.path))
        except Unreadable as error:
            log.warning("%s: skipped, the image cannot be read (%s)", source.image_id, error)
            return None

    with ThreadPoolExecutor(DECODERS) as pool:
        # One batch is decoded while the one before it is in the model: memory stays at two batches.
        ahead: list[Future[DecodedImage | None]] = []
        for batch in [*found, []]:
            ready, ahead = ahead, [pool.submit(open_one, source) for source in batch]
            pictures = [picture for future in ready if (picture := future.result()) is not None]
            if pictures:
                yield pictures
