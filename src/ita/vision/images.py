"""Decoding of images, in one place.

Bytes from the web are untrusted: the format follows from the content and is one of a short list, paths must stay inside
the folder of their table, and a broken image affects only itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ita.io import parquet
from ita.io.image_formats import EXIF_ORIENTATION, FORMATS
from ita.log import log
from ita.vision.types import DecodedImage, ImageFile

if TYPE_CHECKING:
    from PIL.Image import Image

ROTATED = range(2, 9)
"""Values of the EXIF orientation of pixels that are not stored upright."""
DECODER_THREADS = 4
"""Pillow releases the interpreter lock while it decodes."""


class Unreadable(Exception):
    """An image that cannot be decoded; the message says why."""


def list_image_files(table: Path) -> list[ImageFile]:
    """The image files of a table, those that were downloaded, in its order.

    Args:
        table: images.parquet; its paths are relative to its folder.

    Raises:
        UserError: when the table is missing or another one.
    """
    root = table.parent.resolve()
    image_files = []
    for row in parquet.stream("images", table, 1024):
        if row["status"] != "ok" or not row["path"]:
            continue
        path = (root / row["path"]).resolve()
        if path.is_relative_to(root):
            image_files.append(ImageFile(row["image_id"], path))
        else:
            log.warning("%s: skipped, its path %s leads out of %s", row["image_id"], row["path"], table.parent)
    return image_files


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
                transparent = image.info.pop("transparency", None)
                image = image.point(lambda value: value / 256).convert("L")
                if transparent is not None:
                    image.info["transparency"] = transparent >> 8
            if image.has_transparency_data:
                image = image.convert("RGBA")
                background = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(background, image)
            return image.convert("RGB")
    except Exception as error:  # decoders raise anything on broken bytes, from OSError to struct.error
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def is_plain(path: Path) -> bool:
    """Reads all of an image, at reduced size where that is quicker.

    Returns:
        Whether other programs can read the file as it is: stored upright, and no animated WebP, which few support.

    Raises:
        Unreadable: as ``decode``.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=list(FORMATS)) as image:
            upright = image.getexif().get(EXIF_ORIENTATION, 1) not in ROTATED
            animated_webp = image.format == "WEBP" and getattr(image, "is_animated", False)
            image.draft("L", (1, 1))  # JPEG: an eighth of the size, which still reads every byte
            image.load()
            return upright and not animated_webp
    except Exception as error:  # as in decode
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def decode_batches(batches: Sequence[Sequence[ImageFile]]) -> Iterator[list[DecodedImage]]:
    """Decodes batches of images ahead of their use; broken images are left out with a warning, and empty batches."""

    def decode_file(image_file: ImageFile) -> DecodedImage | None:
        try:
            return DecodedImage(image_file.image_id, decode(image_file.path))
        except Unreadable as error:
            log.warning("%s: skipped, the image cannot be read (%s)", image_file.image_id, error)
            return None

    with ThreadPoolExecutor(DECODER_THREADS) as pool:
        # A batch is decoded while the model runs on the one before: memory stays at two batches.
        pending: list[Future[DecodedImage | None]] = []
        for batch in [*batches, []]:
            ready, pending = pending, [pool.submit(decode_file, image_file) for image_file in batch]
            images = [image for image in (future.result() for future in ready) if image is not None]
            if images:
                yield images
