"""The one list of image formats and suffixes."""

import pytest

from ita.io.image_formats import FORMATS, IMAGE_SUFFIXES, is_image_name, strip_image_suffix


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        *[("a.jpg", "a"), ("a.b.JPEG", "a.b"), ("17_06.webp", "17_06"), ("a.txt", None), ("a.b", None), ("jpg", None)],
        *[(f"F1.{suffix}", "F1") for suffix in ("jpg_large", "JPG:large", "jpg-orig", "jpg%3Alarge", "png_small")],
        *[(f"F1.{suffix}", "F1") for suffix in ("jfif", "jpe", "jpeg_orig", "jpg?name=orig", "jpg_900x900", "tif")],
        *[("F1?format=jpg&name=large", "F1"), ("F1?name=small&format=png", "F1"), ("F1?format=exe", None)],
        *[("a.jpg_large.jpg", "a.jpg_large"), ("a.jpg_big", None), (".jpg", None)],
    ],
)
def test_names_of_images(name, stem):
    assert is_image_name(name) == (stem is not None)
    assert strip_image_suffix(name) == (stem or name)


def test_every_format_has_a_suffix():
    assert {f".{extension}" for extension in FORMATS.values()} <= set(IMAGE_SUFFIXES)
    assert all(suffix == suffix.lower() for suffix in IMAGE_SUFFIXES)


def test_every_format_is_decoded_by_pillow():
    from PIL import Image

    Image.init()
    assert set(FORMATS) - {"HEIF"} <= set(Image.OPEN), "HEIF is that of pillow-heif"
