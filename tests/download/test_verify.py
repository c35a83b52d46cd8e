"""Image verification: format and size of the upright image, or the kind of what is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
from PIL import Image

from ita.download.verify import ImageInfo, set_pixel_limit, verify_image
from ita.io.image_decoder import BadImage
from tests.support.web import noise, picture, png, sideways

MANY = 10**8


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_images_of_no_size_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(BadImage):
        verify_image(png(size, 8, 2), MANY)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_formats(kind: str) -> None:
    assert verify_image(picture((5, 7), kind), 35) == ImageInfo(kind, 5, 7)
    with pytest.raises(BadImage, match="at most 34") as caught:
        verify_image(picture((5, 7), kind), 34)
    assert caught.value.kind == "too-many-pixels"


def test_every_prefix_of_an_image_is_refused_or_whole() -> None:
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP"):
        data = noise(kind)
        for length in range(0, len(data) * 3 // 4, 97):
            with pytest.raises(BadImage):
                verify_image(data[:length], 10**6)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "not-an-image"),
        (b"<html>", "not-an-image"),
        (png((4, 4), 8, 2, bytes(52), (b"IDAT", b"nonsense")), "corrupt"),
        (b"GIF89a" + bytes(7) + b";", "corrupt"),
        (noise()[:1000], "truncated"),
        (picture(kind="TIFF"), "not-an-image"),
    ],
    ids=["nothing", "HTML", "pixels", "header", "half", "TIFF"],
)
def test_kind_of_bad_images(data: bytes, kind: str) -> None:
    with pytest.raises(BadImage) as caught:
        verify_image(data, MANY)
    assert caught.value.kind == kind


def test_size_is_that_of_the_upright_image() -> None:
    assert verify_image(sideways(), MANY) == ImageInfo("JPEG", 6, 8)


@pytest.fixture
def pixel_limit() -> Iterator[None]:
    """Restores Pillow's limit."""
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        yield
    Image.MAX_IMAGE_PIXELS = limit


def test_pillow_enforces_the_limit_too(pixel_limit: None) -> None:
    data = picture((100, 100))
    set_pixel_limit(9_999)
    with pytest.raises(BadImage, match="more than") as caught:
        verify_image(data, 9_999)
    assert caught.value.kind == "too-many-pixels"
    set_pixel_limit(10_000)
    assert verify_image(data, 10_000) == ImageInfo("PNG", 100, 100)
