"""inspect: say what the project's eyes see in pictures.

Runs a detector, a captioner and a engine of characters on some image files and writes one JSON object a line: objects
with attributes, captions, characters, and the words of the visual context that a tagger would read. Without settings
these are the published models of VinVL, which are fetched from the hub, and Tesseract: the quickest check that they
work on a machine. ``--draw`` also writes each picture with its objects into a folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.cli import read_section, read_settings
from ita.config import Caption, Context, Detect, Ocr
from ita.errors import UserError
from ita.io.files import atomic
from ita.log import configure_log, log
from ita.vision.images import Unreadable, decode
from ita.vision.types import DecodedImage, ImageFile

SHOWN = 20
"""Most objects drawn into a picture."""


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="ita inspect", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, nargs="+", help="image files")
    parser.add_argument("--settings", default="{}", help="sections detect, caption, ocr and context as JSON, or @FILE")
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="also write the pictures with their objects")
    options = parser.parse_args(argv)
    configure_log(None)
    try:
        look(options.pictures, read_settings(options.settings), options.draw)
    except UserError as error:
        log.error("inspect: %s", error)
        return 1
    return 0


def look(files: Sequence[Path], settings: dict[str, Any], draw: Path | None) -> None:
    """Writes what is seen in each file to standard output.

    Raises:
        UserError: for wrong settings, or a model that can not be had.
    """
    from ita.data import visual_context
    from ita.stages.detect import row
    from ita.vision import captioners, detectors
    from ita.vision.ocr import build_ocr_engine as reader_of
    from ita.vision.types import RegionCaptioner

    detector = detectors.build_detector(read_section(settings, "detect", Detect))
    captioner = captioners.build_captioner(read_section(settings, "caption", Caption))
    engine = reader_of(read_section(settings, "ocr", Ocr))
    rule = read_section(settings, "context", Context)
    for file in files:
        try:
            picture = DecodedImage(file.stem, decode(file))
        except Unreadable as error:
            print(json.dumps({"image": str(file), "error": str(error)}), flush=True)
            continue
        regions = detector.regions([picture])[0]
        if isinstance(captioner, RegionCaptioner):
            captions = captioner.caption_regions([regions])[0]
        else:
            captions = captioner.caption([picture])[0]
        text = next(engine.recognize([ImageFile(file.stem, file)])).text
        rows = [row(file.stem, rank, one) for rank, one in enumerate(regions.objects)]
        context = visual_context.concatenate(
            [
                visual_context.local_alignment(rows, rule.attribute_threshold, rule.attributes, rule.tags),
                visual_context.global_alignment([one.text for one in captions], rule.captions),
                visual_context.character_alignment(text),
            ]
        )
        seen = {
            "image": str(file),
            "objects": [
                {name: value for name, value in one.items() if name not in ("image_id", "rank")} for one in rows
            ],
            "captions": [{"caption": one.text, "logprob": one.logprob} for one in captions],
            "text": text.strip(),
            "context": context.segments(),
        }
        print(json.dumps(seen, ensure_ascii=False), flush=True)
        if draw:
            drawn(picture, regions.objects, draw / f"{file.stem}.png")


def drawn(picture: DecodedImage, objects: Sequence[Any], path: Path) -> None:
    """Writes a picture with the boxes and names of its surest objects."""
    from PIL import ImageDraw

    image = picture.image.copy()
    pen = ImageDraw.Draw(image)
    for one in objects[:SHOWN]:
        if one.box is not None:
            name = " ".join([*(label for label, score in one.attributes if (score or 0) > 0.1), one.label])
            pen.rectangle(one.box, outline="red", width=2)
            pen.text((one.box[0] + 3, one.box[1] + 1), name, fill="red", stroke_width=2, stroke_fill="white")
    with atomic(path) as part:
        image.save(part, "PNG")


if __name__ == "__main__":
    sys.exit(main())
