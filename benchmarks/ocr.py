"""Images per second of the OCR stage against pytesseract called image by image, with the texts compared.

``python benchmarks/ocr.py [FOLDER ...]`` reads the images of the folders; without one it draws a set of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path

import pytesseract
from PIL import Image, ImageDraw, ImageFont

from ita.config import Ocr
from ita.io.image_formats import is_image_name
from ita.model.device import cpu_cores
from ita.vision.ocr.tesseract import TesseractEngine
from ita.vision.types import ImageFile

WORDS = [
    "open",
    "road",
    "to",
    "Kansas",
    "City",
    "baseball",
    "tonight",
    "free",
    "coffee",
    "market",
    "no",
    "parking",
    "2016",
]


def draw(folder: Path, count: int) -> None:
    """Draws images of 640 x 480 pixels: four in five with one to six lines of text, on paper or on noise."""
    chance = random.Random(0)
    for number in range(count):
        image = Image.new("RGB", (640, 480), tuple(chance.choices(range(180, 256), k=3)))
        if number % 2:
            image.paste(Image.effect_noise(image.size, 60), (0, 0))
        pen = ImageDraw.Draw(image)
        for line in range(chance.randint(1, 6) if number % 5 else 0):
            text = " ".join(chance.choices(WORDS, k=4))
            pen.text((30, 30 + 70 * line), text, font=ImageFont.load_default(size=chance.randint(18, 36)), fill="black")
        image.save(folder / f"{number:03}.jpg", quality=90)


def measure(files: list[Path], settings: Ocr) -> dict[str, float | int]:
    """Reads all files in both ways, ours first and last and their mean taken, so that a warm disk favours neither."""
    image_files = [ImageFile(file.name, file) for file in files]

    def ours() -> tuple[list[str], float]:
        begin = time.perf_counter()
        texts = [result.text for result in TesseractEngine(settings).recognize(image_files)]
        return texts, time.perf_counter() - begin

    texts, before = ours()
    begin = time.perf_counter()
    plain = [pytesseract.image_to_string(str(file)) for file in files]
    plain_seconds = time.perf_counter() - begin
    again, after = ours()
    seconds = (before + after) / 2
    return {
        "images": len(files),
        "cores": cpu_cores(),
        "identical_texts": sum(len(set(versions)) == 1 for versions in zip(texts, plain, again, strict=True)),
        "plain_images_per_second": round(len(files) / plain_seconds, 2),
        "ours_images_per_second": round(len(files) / seconds, 2),
        "ratio": round(plain_seconds / seconds, 2),
    }


def main() -> None:
    """Runs the comparison and prints it as JSON; fails when a text differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="*", help="folders of images, searched with all below them")
    parser.add_argument("--count", type=int, default=60, help="images to draw when no folder is given")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if not arguments.folder:
            draw(Path(name), arguments.count)
        folders = arguments.folder or [Path(name)]
        files = sorted(path for folder in folders for path in folder.rglob("*") if is_image_name(path.name))
        if not files:
            parser.error("no images found")
        result = measure(files, Ocr())
    print(json.dumps(result, indent=2))
    if result["identical_texts"] != len(files):
        raise SystemExit("texts differ from those of plain Tesseract")


if __name__ == "__main__":
    main()
