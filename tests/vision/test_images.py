"""Every kind of image becomes RGB and upright, or is refused with a reason before it costs anything."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageFile, ImageStat

from ita.download.verify import ImageInfo, verify_image
from ita.io import parquet
from ita.io.image_decoder import BadImage, decodable
from ita.vision import images
from tests.support.pictures import scene
from tests.support.web import picture, png

MANY = 10**8
RED, GREEN, BLUE, WHITE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (128, 128, 128)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def frames(kind: str, **options: Any) -> bytes:
    """An animation of red, green and blue."""
    red, *rest = (Image.new("RGB", (2, 1), colour) for colour in (RED, GREEN, BLUE))
    return saved(red, kind, save_all=True, append_images=rest, **options)


def row(*samples: int, bits: int = 8) -> bytes:
    return b"\0" + struct.pack(f">{len(samples)}{'H' if bits == 16 else 'B'}", *samples)


def decoded(folder: Path, data: bytes) -> Image.Image:
    (folder / "image").write_bytes(data)
    return images.decode(folder / "image")


TOP = 65_535
WIDE = (2, 1)
KINDS: dict[str, tuple[bytes, list[tuple[int, int, int]]]] = {
    "CMYK": (saved(Image.new("CMYK", WIDE, (0, 255, 255, 0)), "JPEG", quality=100), [RED, RED]),
    "1 bit": (png(WIDE, 1, 0, b"\0\x80"), [WHITE, (0, 0, 0)]),
    "grey": (png(WIDE, 8, 0, row(128, 255)), [GREY, WHITE]),
    "grey with transparency": (png(WIDE, 8, 0, row(128, 0), (b"tRNS", b"\0\0")), [GREY, WHITE]),
    "grey with alpha": (png(WIDE, 8, 4, row(128, 255, 0, 0)), [GREY, WHITE]),
    "16-bit grey": (png(WIDE, 16, 0, row(128 << 8, TOP, bits=16)), [GREY, WHITE]),
    "16-bit grey with transparency": (png(WIDE, 16, 0, row(128 << 8, 0, bits=16), (b"tRNS", b"\0\0")), [GREY, WHITE]),
    "16-bit grey with alpha": (png(WIDE, 16, 4, row(128 << 8, TOP, 0, 0, bits=16)), [GREY, WHITE]),
    "16-bit RGB": (png(WIDE, 16, 2, row(TOP, 0, 0, 0, 0, TOP, bits=16)), [RED, BLUE]),
    "16-bit RGBA": (png(WIDE, 16, 6, row(TOP, 0, 0, TOP, 0, 0, TOP, 0, bits=16)), [RED, WHITE]),
    "RGB with transparency": (png(WIDE, 8, 2, row(*RED, *BLUE), (b"tRNS", row(0, 0, 255, bits=16)[1:])), [RED, WHITE]),
    "palette": (png(WIDE, 8, 3, row(0, 1), (b"PLTE", bytes(RED + BLUE))), [RED, BLUE]),
    "palette with transparency": (
        png(WIDE, 8, 3, row(0, 1), (b"PLTE", bytes(RED + BLUE)), (b"tRNS", b"\xff\0")),
        [RED, WHITE],
    ),
    "transparent GIF": (saved(Image.new("RGBA", WIDE, (255, 0, 0, 0)), "GIF"), [WHITE, WHITE]),
    "transparent WebP": (saved(Image.new("RGBA", WIDE, (255, 0, 0, 0)), "WEBP", lossless=True), [WHITE, WHITE]),
    "animated GIF": (frames("GIF", duration=9), [RED, RED]),
    "animated WebP": (frames("WEBP", duration=9, lossless=True), [RED, RED]),
    "animated PNG": (frames("PNG", duration=9), [RED, RED]),
    "MPO": (frames("MPO"), [(254, 0, 0), (254, 0, 0)]),
    "BMP of 1 bit": (saved(Image.new("1", WIDE, 1), "BMP"), [WHITE, WHITE]),
    "1x1": (png((1, 1), 8, 2, row(*GREEN)), [GREEN]),
    "1x1 JPEG": (saved(Image.new("RGB", (1, 1), WHITE), "JPEG"), [WHITE]),
}


@pytest.mark.parametrize("name", KINDS)
def test_kind(tmp_path: Path, name: str) -> None:
    data, pixels = KINDS[name]
    info = verify_image(data, MANY)
    image = decoded(tmp_path, data)
    assert info.format in decodable()
    assert (image.mode, image.size) == ("RGB", (info.width, info.height)) == ("RGB", (len(pixels), 1))
    assert list(image.get_flattened_data() if hasattr(image, "get_flattened_data") else image.getdata()) == pixels


TURNS = [
    None,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.ROTATE_180,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_90,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_270,
]
"""What makes of an upright picture the pixels that are stored with EXIF orientation 1, 2, ... 8."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("JPEG", {"quality": 95, "subsampling": 0})]
)
def test_exif_orientation(tmp_path: Path, kind: str, options: dict[str, Any], orientation: int) -> None:
    upright, turn = scene(48, 32), TURNS[orientation - 1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(upright.transpose(turn) if turn is not None else upright, kind, exif=exif, **options)
    image = decoded(tmp_path, data)
    assert verify_image(data, MANY) == ImageInfo(kind, 48, 32)
    assert images.read_picture(tmp_path / "image").plain == (orientation == 1)
    assert image.size == upright.size
    off = ImageStat.Stat(ImageChops.difference(image, upright)).mean
    assert max(off) < (6 if kind == "JPEG" else 1e-9)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_exif_of_nonsense_is_passed_over(tmp_path: Path) -> None:
    data = picture((8, 6), "JPEG", exif=b"Exif\0\0MM\0*" + b"\xff" * 40)
    assert verify_image(data, MANY) == ImageInfo("JPEG", 8, 6)
    assert decoded(tmp_path, data).size == (8, 6)


@pytest.mark.parametrize(
    "data",
    [
        png((20_000, 20_000), 8, 2),
        png((20_000, 20_000), 1, 0),
        picture((20, 10), "BMP")[:18] + struct.pack("<ii", 20_000, 20_000) + picture((20, 10), "BMP")[26:],
        b"GIF89a" + struct.pack("<HH", 20_000, 20_000) + picture((4, 4), "GIF")[10:],
    ],
    ids=["PNG", "PNG of 1 bit", "BMP", "GIF"],
)
def test_20000_by_20000_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    def load(_: object) -> None:
        raise AssertionError("the header was enough")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(BadImage) as caught:
        verify_image(data, 89_478_485)
    assert caught.value.kind == "too-many-pixels"
    with pytest.raises(images.Unreadable, match="too-many-pixels"):
        decoded(tmp_path, data)


@pytest.mark.parametrize("kind", ["TIFF", "ICO", "PPM", "TGA", "EPS", "PDF"])
def test_formats_outside_the_list_are_refused(tmp_path: Path, kind: str) -> None:
    data = picture(kind=kind)
    with pytest.raises(BadImage) as caught:
        verify_image(data, MANY)
    assert caught.value.kind == "not-an-image"
    with pytest.raises(images.Unreadable):
        decoded(tmp_path, data)


def test_images_larger_than_pillow_allows_are_read_where_the_download_allowed_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    (tmp_path / "a.png").write_bytes(picture((8, 6)))
    with pytest.raises(images.Unreadable, match="too-many-pixels"):
        images.decode(tmp_path / "a.png")
    row = {"image_id": "a", "status": "ok", "path": "a.png"}
    settings = {"settings": {"download": {"max_pixels": 48}}}
    parquet.write("images", [row], tmp_path / "images.parquet", settings)
    (file,) = images.list_image_files(tmp_path / "images.parquet")
    assert images.decode(file.path).size == (8, 6)
