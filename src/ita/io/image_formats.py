"""Image formats that are read, and the names of their files. The only list of them."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

FORMATS = {
    "JPEG": "jpg",
    "PNG": "png",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "AVIF": "avif",
    "HEIF": "heic",
}
"""Pillow's name of each format that is decoded -> extension of its files. Pillow's other decoders are never tried."""

SUFFIX_FORMATS = {
    **dict.fromkeys(("jpg", "jpeg", "jpe", "jfif", "pjpeg", "pjp"), "jpg"),
    "png": "png",
    "webp": "webp",
    "gif": "gif",
    **dict.fromkeys(("bmp", "dib"), "bmp"),
    **dict.fromkeys(("avif", "avifs"), "avif"),
    **dict.fromkeys(("heic", "heif"), "heic"),
    **dict.fromkeys(("tif", "tiff"), "tif"),
}
"""Ends of image names, lower case -> the usual one of that format. TIFF is found and refused by its name."""

IMAGE_SUFFIXES = tuple(f".{suffix}" for suffix in SUFFIX_FORMATS)
"""Suffixes of image files, lower case; of two files that differ in nothing else the earlier suffix wins."""

SUFFIX_PATTERN = (
    rf"\.(?:{'|'.join(sorted(SUFFIX_FORMATS, key=len, reverse=True))})"
    r"(?:(?:[_:!-]|%3a)(?:large|orig|original|small|medium|thumb|tiny|\d+x\d+))?(?:[?&][^/\s]*)?"
)
"""An image suffix as people have them, lower case: Twitter's size may follow (``.jpg:large``, ``.jpg_orig``), and what
stands behind a question mark in its address."""

IMAGE_NAME = re.compile(rf"(?P<stem>.+?)(?P<suffix>{SUFFIX_PATTERN})", re.IGNORECASE | re.DOTALL)
ADDRESS = re.compile(r"(?P<stem>[^?]+)\?(?:.*&)?format=(?P<format>[a-z]+)(?:&.*)?", re.IGNORECASE)
"""A name cut from an address of Twitter: ``F123?format=jpg&name=large``."""

EXIF_ORIENTATION = 0x0112
"""EXIF tag: how stored pixels are turned; 1 is upright."""


@lru_cache(4096)
def split_image_name(name: str) -> tuple[str, str | None]:
    """The name of an image without its suffix, and the usual suffix of its format; None where it has none."""
    if match := IMAGE_NAME.fullmatch(name):
        suffix = re.match(r"\.([a-z]+)", match["suffix"].lower())
        return match["stem"], SUFFIX_FORMATS[suffix[1]] if suffix else None
    if (match := ADDRESS.fullmatch(name)) and match["format"].lower() in SUFFIX_FORMATS:
        return match["stem"], SUFFIX_FORMATS[match["format"].lower()]
    return name, None


def suffix_rank(name: str) -> int:
    """Of two names with the same stem that with the lower number wins: its suffix comes first in IMAGE_SUFFIXES."""
    match = IMAGE_NAME.fullmatch(name)
    if match is None:
        return 2 * len(IMAGE_SUFFIXES)
    suffix = match["suffix"].lower()
    plain = next(plain for plain in sorted(IMAGE_SUFFIXES, key=len, reverse=True) if suffix.startswith(plain))
    return 2 * IMAGE_SUFFIXES.index(plain) + (suffix != plain)


def is_image_name(name: str) -> bool:
    """Whether a file name ends like that of an image."""
    return split_image_name(name)[1] is not None


def strip_image_suffix(name: str) -> str:
    """The name of an image without its suffix, if it has one."""
    return split_image_name(name)[0]


def composed(name: str) -> str:
    """A name with each accent in its letter (NFC); file systems of Macs hand out both apart (NFD)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)
