"""Verification of image bytes from untrusted hosts before they are stored."""

from __future__ import annotations

import warnings
from typing import NamedTuple

from PIL import Image

from ita.io.image_decoder import decode_image


class ImageInfo(NamedTuple):
    """What is known of an image: format as in FORMATS, width and height in pixels of the upright image."""

    format: str
    width: int
    height: int
    note: str | None = None
    """What is wrong with the file beside its pixels."""


def set_pixel_limit(max_pixels: int) -> None:
    """Makes Pillow's own check, which also sees frames larger than their header says, an error in this process."""
    Image.MAX_IMAGE_PIXELS = max_pixels
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def verify_image(data: bytes, max_pixels: int) -> ImageInfo:
    """Decodes an image as all later stages do, and returns its format and size.

    Args:
        data: content of the file.
        max_pixels: largest width times height; checked on the header, before anything is decoded.

    Raises:
        BadImage: as ``decode_image``.
    """
    picture = decode_image(data, max_pixels)
    return ImageInfo(picture.format, *picture.pixels.size, picture.note)
