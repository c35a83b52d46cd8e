"""inspect: print what a detector, a captioner and an OCR engine find in images.

Writes one JSON object per image file: objects with attributes, captions, OCR text, and the visual context as a tagger
reads it: ``context`` has the texts between separators, which ``ita predict`` takes as they are, and ``alignments`` the
kind of each part. Without settings the models are the published ones of VinVL, which are fetched from the hub, and
Tesseract: the quickest check that they work on a machine. ``--draw`` also writes each image with its objects.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ita.cli import read_section, read_settings
from ita.config import Caption, Context, Detect, Ocr
from ita.config.sections import CONTEXT_TABLES
from ita.errors import UserError
from ita.io.files import atomic
from ita.log import configure_log, log
from ita.vision.images import Unreadable, decode
from ita.vision.types import DecodedImage, DetectedObject, ImageFile, RegionCaptioner

if TYPE_CHECKING:
    from ita.data.visual_context import VisualContext

KINDS = tuple(CONTEXT_TABLES)
"""Kinds of context that are made of an image, in the order of the paper's ITA-All."""
MAX_DRAWN = 20
"""Most objects drawn into an image."""


class Inspector:
    """A detector, a captioner and an OCR engine with their models."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Loads the models.

        Args:
            settings: sections detect, caption, ocr and context; a missing one has its defaults.

        Raises:
            UserError: for wrong settings, or a model that cannot be loaded.
        """
        from ita.vision.captioners import build_captioner
        from ita.vision.detectors import build_detector
        from ita.vision.ocr import build_ocr_engine

        detect, caption = read_section(settings, "detect", Detect), read_section(settings, "caption", Caption)
        for section, backend in (("detect", detect.backend), ("caption", caption.backend)):
            if backend == "precomputed":
                raise UserError(f"setting {section}.backend: precomputed has no model to run; name another backend")
        self.detector = build_detector(detect)
        self.captioner = build_captioner(caption)
        self.ocr_engine = build_ocr_engine(read_section(settings, "ocr", Ocr))
        context = read_section(settings, "context", Context)
        self.context = replace(context, kinds=[kind for kind in context.kinds if kind in KINDS] or list(KINDS))

    def inspect(self, file: Path, image: DecodedImage) -> tuple[dict[str, Any], list[DetectedObject]]:
        """What is printed about an image, and its objects.

        Args:
            file: the image file, for the OCR engine.
            image: the same, decoded.
        """
        from ita.vision.region_tables import object_rows

        regions = self.detector.regions([image])[0].ranked()
        if isinstance(self.captioner, RegionCaptioner):
            captions = self.captioner.caption_regions([regions])[0]
        else:
            captions = self.captioner.caption([image])[0]
        ocr_text = next(iter(self.ocr_engine.recognize([ImageFile(image.image_id, file)]))).text
        rows: dict[str, list[dict[str, Any]]] = {
            "la": list(object_rows(image.image_id, regions.objects)),
            "ga": [
                {"rank": rank, "caption": caption.text, "logprob": caption.logprob}
                for rank, caption in enumerate(captions)
            ],
            "oca": [{"text": ocr_text}],
        }
        context = self.visual_context(rows)
        description = {
            "image": str(file),
            "objects": [without(row, "image_id", "rank") for row in rows["la"]],
            "captions": [without(row, "rank") for row in rows["ga"]],
            "ocr_text": ocr_text.strip(),
            "context": context.segments(),
            "alignments": [{"kind": kind, "text": text} for kind, text in context.runs()],
        }
        return description, regions.objects

    def visual_context(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> VisualContext:
        """The context of an image from its rows in the table of each kind, as the stage context makes it."""
        from ita.data.visual_context import compose, image_context

        context, _ = compose(self.context, {kind: image_context(kind, self.context, rows[kind]) for kind in KINDS})
        return context


def inspect(files: Sequence[Path], settings: Mapping[str, Any], draw: Path | None) -> None:
    """Prints a JSON object per image file.

    Args:
        files: image files; one that cannot be decoded is answered with an error.
        settings: as for :class:`Inspector`.
        draw: folder to write images with their objects to.

    Raises:
        UserError: for wrong settings, or a model that cannot be loaded.
    """
    inspector = Inspector(settings)
    for file in files:
        try:
            image = DecodedImage(file.stem, decode(file))
        except Unreadable as error:
            print(json.dumps({"image": str(file), "error": str(error)}), flush=True)
            continue
        description, objects = inspector.inspect(file, image)
        print(json.dumps(description, ensure_ascii=False), flush=True)
        if draw:
            draw_objects(image, objects, inspector.context.attribute_threshold, draw / f"{file.stem}.png")


def without(row: Mapping[str, Any], *columns: str) -> dict[str, Any]:
    """A row without some columns."""
    return {column: value for column, value in row.items() if column not in columns}


def draw_objects(image: DecodedImage, objects: Sequence[DetectedObject], threshold: float, path: Path) -> None:
    """Writes an image with its first objects: boxes, attributes above a confidence, labels."""
    from PIL import ImageDraw

    canvas = image.image.copy()
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
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="also write the images with their objects")
    options = parser.parse_args(argv)
    configure_log(None)
    try:
        inspect(options.image_files, read_settings(options.settings), options.draw)
    except UserError as error:
        log.error("inspect: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
