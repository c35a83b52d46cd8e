"""Drawn images and small tables of them, for the tests of the vision stages."""

import json
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ita.cli import run_stage
from ita.io import parquet
from ita.io.image_formats import EXIF_ORIENTATION

UPRIGHT_TO_EXIF_6 = Image.Transpose.ROTATE_90
"""Turns an upright image into the pixels that a camera stores with orientation 6."""


def scene(width=120, height=80, seed=0):
    """An image of coloured boxes, different for each seed."""
    image = Image.new("RGB", (width, height), (30 + 40 * seed % 200, 90, 160))
    draw = ImageDraw.Draw(image)
    draw.rectangle((10 + 5 * seed, 10, 50, 40), fill=(250, 60 * seed % 255, 20))
    draw.ellipse((60, 30, 100 - seed, 70), fill=(20, 200, 40 * seed % 255))
    return image


def lettering(text, size=(640, 140), colour="black"):
    """An image of text."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((30, 35), text, font=ImageFont.load_default(size=40), fill=colour)
    return image


def save_turned(image, path):
    """Saves an image as a camera held sideways does: rotated pixels and an EXIF orientation."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    image.transpose(UPRIGHT_TO_EXIF_6).save(path, exif=exif)


def table(folder: Path, **files):
    """Writes images.parquet: image id -> file name relative to ``folder``, or None for an image that is missing."""
    rows = [
        {"image_id": image_id, "status": "ok" if path else "missing", "path": path} for image_id, path in files.items()
    ]
    parquet.write("images", rows, folder / "images.parquet")
    return folder / "images.parquet"


def run(stage, images, output, section, **settings):
    """Runs a stage and returns its rows; the test fails when the stage does."""
    name = stage.__name__.removeprefix("ita.stages.")
    content = json.dumps({name: {**section, **settings}, "name": "test"})
    code = run_stage(stage, ["--settings", content, "--images", str(images), "--output", str(output)])
    if code:
        raise RuntimeError(f"stage {name} ended with code {code}")
    return parquet.rows(TABLES[name], output)


TABLES = {"detect": "objects", "caption": "captions", "ocr": "ocr"}
