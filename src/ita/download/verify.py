"""Verification of image bytes from untrusted hosts before they are stored."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from ita.io.image_formats import EXIF_ORIENTATION, FORMATS

SIDEWAYS = (5, 6, 7, 8)
"""Values of the EXIF orientation that swap width and height."""


class BadImage(ValueError):
    """Bytes that are no usable image. ``kind`` is a short class, the message says more."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class ImageInfo(NamedTuple):
    """Format as in FORMATS, width and height in pixels of the upright image."""

    format: str
    width: int
    height: int


def set_pixel_limit(max_pixels: int) -> None:
    """Makes Pillow's own check, which also sees frames larger than their header says, an error in this process."""
    Image.MAX_IMAGE_PIXELS = max_pixels
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def verify_image(data: bytes, max_pixels: int) -> ImageInfo:
    """Decodes an image fully and returns its format and size.

    Args:
        data: content of the file.
        max_pixels: largest width times height; checked on the header, before anything is decoded.

    Raises:
        BadImage: of kind ``not-an-image``, ``too-many-pixels``, ``truncated`` or ``corrupt``.
    """
    if not data:
        raise BadImage("not-an-image", "no bytes")
    try:
        image = Image.open(BytesIO(data), formats=list(FORMATS))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImage("too-many-pixels", f"more than {max_pixels}") from None
    except UnidentifiedImageError:
        raise BadImage("not-an-image", f"none of {', '.join(FORMATS)}; starts with {data[:12]!r}") from None
    except Exception as error:  # decoders raise anything on malformed bytes
        raise BadImage("corrupt", f"starts with {data[:12]!r}: {error}") from None
    with image:
        width, height = image.size
        if width * height > max_pixels:
            raise BadImage("too-many-pixels", f"{width}x{height}, at most {max_pixels}")
        # JPEG files of phones may hold a second picture, which Pillow calls MPO; the first one counts.
        image_format = "JPEG" if image.format == "MPO" else str(image.format)
        try:
            image.load()
            orientation = image.getexif().get(EXIF_ORIENTATION, 1)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise BadImage("too-many-pixels", f"a frame with more than {max_pixels}") from None
        except Exception as error:  # as above
            kind = "truncated" if "truncated" in str(error).lower() else "corrupt"
            raise BadImage(kind, f"{image_format} {width}x{height}: {error}") from None
    if image_format not in FORMATS:
        raise BadImage("not-an-image", f"{image_format} is none of {', '.join(FORMATS)}")
    if orientation in SIDEWAYS:
        width, height = height, width
    return ImageInfo(image_format, width, height)
