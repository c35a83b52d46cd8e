"""Images of a table, in files of their own or in shards, decoded by the one decoder of ``ita.io``.

Paths must stay inside the folder of their table, and a broken image affects only itself.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, overload

from ita.io import parquet
from ita.io.image_decoder import BadImage, Picture, allow_pixels, decode_image
from ita.io.image_shards import Member
from ita.log import log
from ita.vision.types import DecodedImage, ImageFile

if TYPE_CHECKING:
    from PIL.Image import Image

DECODER_THREADS = 4
"""Pillow releases the interpreter lock while it decodes."""


PLACE = ["image_id", "path", "offset", "bytes", "sha256"]
"""Columns that say where an image is."""
READ = 1024
"""Rows of a table of images in memory at a time."""


class Unreadable(Exception):
    """An image that cannot be decoded; the message says why."""


class ImageFiles(Sequence[ImageFile]):
    """Image files of a table, which are read from it when they are asked for: eight bytes each are in memory.

    Args:
        table: images.parquet; its paths are relative to its folder.
        numbers: rows of the table, ascending.
    """

    def __init__(self, table: Path, numbers: array[int]) -> None:
        self.table, self.numbers = table, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> ImageFile: ...

    @overload
    def __getitem__(self, index: slice) -> ImageFiles: ...

    def __getitem__(self, index: int | slice) -> ImageFile | ImageFiles:
        if isinstance(index, slice):
            return ImageFiles(self.table, self.numbers[index])
        return next(iter(ImageFiles(self.table, array("q", [self.numbers[index]]))))

    def __iter__(self) -> Iterator[ImageFile]:
        if not self.numbers:
            return
        root = self.table.parent.resolve()
        numbers = iter(self.numbers)
        number, rows = next(numbers), range(self.numbers[0], self.numbers[-1] + 1)
        for position, row in zip(rows, parquet.stream("images", self.table, READ, PLACE, rows), strict=True):
            if position == number:
                path = (root / row["path"]).resolve()
                in_shard = row.get("offset") is not None
                location = Member(path, row["offset"], row["bytes"], row["sha256"]) if in_shard else path
                yield ImageFile(row["image_id"], location)
                number = next(numbers, -1)


def list_image_files(table: Path) -> ImageFiles:
    """The image files of a table, those that were downloaded, in its order.

    Args:
        table: images.parquet; its paths are relative to its folder.

    Raises:
        UserError: when the table is missing or another one.
    """
    root = table.parent.resolve()
    download = (parquet.metadata(table).get("settings") or {}).get("download") or {}
    allow_pixels(download.get("max_pixels", 0))
    numbers = array("q")
    for number, row in enumerate(parquet.stream("images", table, READ, ["image_id", "status", "path"])):
        if row["status"] != "ok" or not row["path"]:
            continue
        if (root / row["path"]).resolve().is_relative_to(root):
            numbers.append(number)
        else:
            log.warning("%s: skipped, its path %s leads out of %s", row["image_id"], row["path"], table.parent)
    return ImageFiles(table, numbers)


def read_picture(path: Path | Member) -> Picture:
    """Decodes an image by the decoder that verified it.

    Raises:
        Unreadable: for a missing or broken file, an unknown format or a decompression bomb.
    """
    try:
        return decode_image(read_bytes(path))
    except BadImage as error:
        raise Unreadable(f"{error.kind}: {error}") from error
    except (OSError, MemoryError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def read_bytes(path: Path | Member) -> bytes:
    """Content of an image. Raises OSError when it is missing, or damaged in its shard."""
    return path.read() if isinstance(path, Member) else path.read_bytes()


def decode(path: Path | Member) -> Image:
    """Decodes the first frame of an image: EXIF orientation applied, transparent pixels on white, RGB.

    Raises:
        Unreadable: as ``read_picture``.
    """
    return read_picture(path).pixels


def shrink(picture: Image, max_pixels: int) -> Image:
    """A picture of at most so many pixels, in its proportions."""
    scale = math.sqrt(max_pixels / (picture.width * picture.height))
    if scale >= 1:
        return picture
    return picture.resize((max(1, int(picture.width * scale)), max(1, int(picture.height * scale))))


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
