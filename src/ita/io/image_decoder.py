"""The one decoder of images: what it calls an image when it is downloaded every later stage reads.

Bytes from the web are untrusted: the format follows from the content and is one of a short list, and nothing but the
pixels has to be whole. What is damaged beside them is passed over.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from typing import NamedTuple, TypeVar

from PIL import Image, UnidentifiedImageError, features

from ita.io.image_formats import EXIF_ORIENTATION, FORMATS
from ita.io.image_repairs import complete_jpeg, jpeg_has_end, jpeg_without_side_segments, png_without_side_chunks

T = TypeVar("T")

REVISION = 2
"""Raise it when an image that was refused is now read, or the other way round: refusals are then tried again."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what turns the stored pixels upright."""
PLAIN_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""Formats that other programs read, too."""
NO_END = "no-end-marker: the JPEG lacks its end marker; all of its pixels are there"
SIDE_DAMAGE = "damaged-metadata: passed over, the pixels are whole"
ADVICE = {
    "HEIC": "install its decoder (pip install pillow-heif), or convert the image",
    "AVIF": "install a Pillow that decodes it (version 11.3 or later), or convert the image",
}
SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WEBP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "PSD"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"PK\3\4", "ZIP archive"),
    (0, b"\x1f\x8b", "gzip archive"),
    (0, b"\x1aE\xdf\xa3", "WebM video"),
    (4, b"ftyp", "MP4 video"),
    (0, b"version https://git-lfs", "Git LFS pointer, not the file itself"),
)
"""Offset, bytes there, name of the format."""


class BadImage(ValueError):
    """Bytes that are no usable image. ``kind`` is a short class, the message says more."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class Picture(NamedTuple):
    """A decoded image."""

    pixels: Image.Image
    """RGB, upright, transparent pixels on white; of an animation the first frame."""
    format: str
    """A key of FORMATS."""
    plain: bool
    """Whether other programs can read the file as it is: undamaged, upright, and of a widespread format."""
    note: str | None
    """What is wrong with the file beside its pixels: class and detail."""


def allow_pixels(max_pixels: int) -> None:
    """Raises Pillow's own limit, so that images that were downloaded under a higher one are read."""
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)


@cache
def decodable() -> tuple[str, ...]:
    """Those of FORMATS whose decoder is installed."""
    if importlib.util.find_spec("pillow_heif"):
        importlib.import_module("pillow_heif").register_heif_opener()
    Image.init()
    installed = {"AVIF": bool(features.check("avif"))}
    return tuple(name for name in FORMATS if name in Image.OPEN and installed.get(name, True))


def decode_image(data: bytes, max_pixels: int | None = None) -> Picture:
    """Decodes all of an image.

    Args:
        data: content of the file.
        max_pixels: largest width times height; checked on the header, before anything is decoded.

    Raises:
        BadImage: of kind ``not-an-image``, ``no-decoder``, ``too-many-pixels``, ``truncated`` or ``corrupt``.
    """
    if not data:
        raise BadImage("not-an-image", "no bytes")
    try:
        return _decode(data, max_pixels, None)
    except BadImage as error:
        for repaired, note in _repairs(data, error):
            try:
                return _decode(repaired, max_pixels, note)
            except BadImage:
                continue
        raise


def _repairs(data: bytes, error: BadImage) -> Iterator[tuple[bytes, str]]:
    """The same image without what is damaged beside its pixels, and what that was; the likeliest repair first."""
    if error.kind in ("too-many-pixels", "no-decoder"):
        return
    if data.startswith(b"\x89PNG"):
        yield png_without_side_chunks(data), SIDE_DAMAGE
        yield png_without_side_chunks(data, opaque=True), SIDE_DAMAGE
    elif data.startswith(b"\xff\xd8"):
        bare = jpeg_without_side_segments(data)
        for variant, notes in ((data, [NO_END]), (bare, [NO_END, SIDE_DAMAGE])):
            if (complete := complete_jpeg(variant)) is not None:
                yield complete, "; ".join(notes)
        yield bare, SIDE_DAMAGE


def _decode(data: bytes, max_pixels: int | None, note: str | None) -> Picture:
    """As ``decode_image``, of bytes as they are."""
    image = _open(data, max_pixels)
    with image:
        # JPEG files of phones may hold a second picture, which Pillow calls MPO; the first one counts.
        image_format = "JPEG" if image.format == "MPO" else str(image.format)
        width, height = image.size
        if max_pixels is not None and width * height > max_pixels:
            raise BadImage("too-many-pixels", f"{width}x{height}, at most {max_pixels}")
        _attempt(image.load, f"{image_format} {width}x{height}", max_pixels)
        if image_format not in FORMATS:
            raise BadImage("not-an-image", f"{image_format} is none of {', '.join(decodable())}")
        if image_format == "JPEG" and note is None and not jpeg_has_end(data):
            raise BadImage("truncated", f"JPEG {width}x{height}: it has no end")  # Pillow stops at the last pixel
        turn = orientation(image)
        animated_webp = image_format == "WEBP" and getattr(image, "is_animated", False)
        plain = note is None and turn == 1 and not animated_webp and image_format in PLAIN_FORMATS
        pixels = _attempt(lambda: _upright_rgb(image, turn), f"{image_format} {width}x{height}", max_pixels)
        return Picture(pixels, image_format, plain, note)


def _open(data: bytes, max_pixels: int | None) -> Image.Image:
    def read_header() -> Image.Image:
        try:
            return Image.open(BytesIO(data), formats=list(decodable()))
        except UnidentifiedImageError:
            raise _unknown(data) from None

    return _attempt(read_header, f"starts with {data[:12]!r}", max_pixels)


def _attempt(step: Callable[[], T], what: str, max_pixels: int | None) -> T:
    """Runs a step of the decoder, whose errors become BadImage."""
    try:
        return step()
    except BadImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImage("too-many-pixels", f"{what}: more than {max_pixels or Image.MAX_IMAGE_PIXELS}") from None
    except Exception as error:  # decoders raise anything on malformed bytes, from OSError to struct.error
        kind = "truncated" if "truncated" in str(error).lower() else "corrupt"
        raise BadImage(kind, f"{what}: {type(error).__name__}: {error}") from None


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; whatever else is in the EXIF data, and 1 where there is none that makes sense."""
    try:
        value = image.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:  # as above
        return 1
    return value if value in TURNS else 1


def _upright_rgb(image: Image.Image, turn: int) -> Image.Image:
    # ImageOps.exif_transpose writes the EXIF data anew, which fails on tags that nobody needs.
    pixels: Image.Image = image.transpose(TURNS[turn]) if turn in TURNS else image
    if pixels.mode.startswith("I;16"):  # Pillow would clip 16 bits at 255, which is white
        transparent = pixels.info.pop("transparency", None)
        pixels = pixels.point(lambda value: value / 256).convert("L")
        if transparent is not None:
            pixels.info["transparency"] = transparent >> 8
    if pixels.has_transparency_data:
        pixels = pixels.convert("RGBA")
        pixels = Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels)
    return pixels if pixels.mode == "RGB" else pixels.convert("RGB")  # a copy takes as long as decoding


def _unknown(data: bytes) -> BadImage:
    """What is said about bytes that no decoder takes: their own name, where it is known."""
    name = content_name(data)
    decoder = {"HEIC": "HEIF"}.get(str(name), name)
    if name in ADVICE and decoder not in decodable():
        return BadImage("no-decoder", f"{name}; {ADVICE[name]}")
    if decoder in decodable():
        return BadImage("corrupt", f"{name}: its header is damaged")
    known = name or f"starts with {data[:12]!r}"
    return BadImage("not-an-image", f"{known}; expected one of {', '.join(decodable())}")


def content_name(data: bytes) -> str | None:
    """Name of a format by its first bytes."""
    if data[4:8] == b"ftyp":
        brands = {data[8:12], *(data[start : start + 4] for start in range(16, min(len(data), 64), 4))}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}:
            return "HEIC"
    for offset, signature, name in SIGNATURES:
        if data[offset : offset + len(signature)] == signature:
            return name
    head = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "HTML page"
    if head.startswith((b"<svg", b"<?xml")):
        return "SVG or other XML"
    return "JSON" if head[:1] in (b"{", b"[") else None
