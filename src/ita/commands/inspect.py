"""inspect: print what a detector, a captioner and an OCR engine find in images.

Writes one JSON object per image file: objects with attributes, captions, OCR text, and the visual context as a tagger
reads it: ``context`` has the texts between separators, which ``ita predict`` takes as they are, and ``alignments`` the
kind of each part. With ``--model`` it is what ``ita predict`` reads of the image for that model. Without, the models
are the published ones of VinVL, which are fetched from the hub, and Tesseract: the quickest check that they work on a
machine. ``--draw`` also writes each image with its objects.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ita.cli import read_section, read_settings
from ita.config import Caption, Context, Detect, Ocr
from ita.errors import UserError
from ita.io.disk_errors import explained
from ita.io.files import atomic, read_json
from ita.log import configure_log, log
from ita.tagging.hub_folders import MARK, fetch_folder
from ita.tagging.image_engines import ImageEngines, check_backend, context_kinds, image_text
from ita.tagging.image_settings import ImageSettings, check_complete, image_settings
from ita.vision.images import decode
from ita.vision.types import DetectedObject, ImageFile

MAX_DRAWN = 20
"""Most objects drawn into an image."""


def settings_of(settings: Mapping[str, Any], model: str | None) -> ImageSettings:
    """What to run.

    Args:
        settings: sections detect, caption, ocr and context; a missing one has its defaults, or is that of the model.
        model: run folder or hub id.

    Raises:
        UserError: for wrong settings, or a model that does not say what it reads.
    """
    if model is not None:
        folder = fetch_folder(model)
        record = read_json(folder / MARK, "the settings of a model (ita train writes them)")
        recorded = image_settings(record, settings, folder)
        check_complete(record, recorded)
        return recorded
    detect, caption = read_section(settings, "detect", Detect), read_section(settings, "caption", Caption)
    check_backend("detect", detect.backend)
    check_backend("caption", caption.backend)
    context = read_section(settings, "context", Context)
    return ImageSettings(
        replace(context, kinds=context_kinds(context.kinds)),
        detect=detect,
        caption=caption,
        caption_detect=detect,
        ocr=read_section(settings, "ocr", Ocr),
    )


def inspect(files: Sequence[Path], settings: ImageSettings, draw: Path | None) -> None:
    """Prints a JSON object per image file.

    Args:
        files: image files; one that cannot be decoded is answered with an error.
        settings: what to run.
        draw: folder to write images with their objects to.

    Raises:
        UserError: for wrong settings, or a model that cannot be loaded.
    """
    engines = ImageEngines(settings)
    for file in files:
        image = engines.read([ImageFile(file.stem, file)])[file.stem]
        if image.error is not None:
            print(json.dumps({"image": str(file), "error": image.error}), flush=True)
            continue
        print(json.dumps({"image": str(file), **image_text(image)}, ensure_ascii=False), flush=True)
        if draw:
            draw_objects(file, image.objects, settings.context.attribute_threshold, draw / f"{file.stem}.png")


def draw_objects(file: Path, objects: Sequence[DetectedObject], threshold: float, path: Path) -> None:
    """Writes an image with its first objects: boxes, attributes above a confidence, labels."""
    from PIL import ImageDraw

    canvas = decode(file)
    pen = ImageDraw.Draw(canvas)
    for item in objects[:MAX_DRAWN]:
        if item.box is not None:
            attributes = [label for label, score in item.attributes if score is None or score > threshold]
            left, top, _, _ = item.box
            pen.rectangle(item.box, outline="red", width=2)
            name = " ".join([*attributes, item.label])
            pen.text((left + 3, top + 1), name, fill="red", stroke_width=2, stroke_fill="white")
    with atomic(path) as part:
        canvas.save(part, "PNG")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="ita inspect", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image_files", type=Path, nargs="+", metavar="IMAGE", help="image files")
    parser.add_argument("--settings", default="{}", help="sections detect, caption, ocr and context as JSON, or @FILE")
    parser.add_argument("--model", help="run folder or hub id: read images as this model does")
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="also write the images with their objects")
    options = parser.parse_args(argv)
    configure_log(None)
    try:
        inspect(options.image_files, settings_of(read_settings(options.settings), options.model), options.draw)
    except BrokenPipeError:
        raise  # nobody reads on: the caller ends quietly
    except (UserError, OSError) as error:
        log.error("inspect: %s", explained(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
