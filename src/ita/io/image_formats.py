"""Image formats that are read, and the names of their files. The only list of them."""

from __future__ import annotations

import os

FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp"}
"""Pillow's name of each format that is decoded -> extension of its files. Pillow's other decoders are never tried."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
"""Suffixes of image files, lower case; of two files that differ in nothing else the earlier suffix wins."""

EXIF_ORIENTATION = 0x0112
"""EXIF tag: how stored pixels are turned; 1 is upright."""


def is_image_name(name: str) -> bool:
    """Whether a file name ends like that of an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def strip_image_suffix(name: str) -> str:
    """The name of an image without its suffix, if it has one of IMAGE_SUFFIXES."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot + suffix.lower() in IMAGE_SUFFIXES else name
