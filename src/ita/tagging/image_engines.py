"""The detector, captioner and OCR engine of a model, and what they make of images: texts, contexts, region features.

``ita inspect`` prints what this module finds, ``ita predict`` reads it: both are one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ita.config import Detect
from ita.data.visual_context import EMPTY, VisualContext, compose, image_context
from ita.download.store import single_line
from ita.errors import UserError
from ita.log import log
from ita.tagging.image_settings import KINDS, ImageSettings
from ita.tagging.image_sources import FetchedImage
from ita.vision.images import Unreadable, decode, read_bytes
from ita.vision.types import DecodedImage, DetectedObject, Detector, ImageFile, RegionCaptioner, Regions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IMAGES = 8
"""Decoded images in memory at a time."""

Rows = dict[str, list[dict[str, Any]]]
"""Kind of a context -> rows of one image in the table that the kind is made of."""


@dataclass
class ReadImage:
    """What was found in one image."""

    rows: Rows = field(default_factory=dict)
    context: VisualContext = EMPTY
    objects: list[DetectedObject] = field(default_factory=list)
    features: NDArray[np.float16] | None = None
    """(V, D) of its regions, for a tagger that reads them."""
    status: str = "ok"
    """As in images.parquet."""
    error: str | None = None
    """Why there is nothing."""


class ImageEngines:
    """The models that read images, loaded.

    Args:
        settings: what to run; a detector that is named twice with the same settings is loaded and run once.

    Raises:
        UserError: for wrong settings, or a model that cannot be loaded.
    """

    def __init__(self, settings: ImageSettings) -> None:
        from ita.vision.captioners import build_captioner
        from ita.vision.ocr import build_ocr_engine

        self.settings = settings
        kinds = settings.kinds
        if written := [kind for kind in settings.context.kinds if kind not in KINDS]:
            log.warning("the model also reads %s, which no image gives: it goes without", ", ".join(written))
        self.detectors: list[tuple[Detect, Detector]] = []
        self.objects_by = settings.detect if "la" in kinds else None
        self.captioner = self.ocr_engine = self.captions_by = None
        self._add_detector(self.objects_by)
        self._add_detector(settings.regions)
        if "ga" in kinds and settings.caption is not None:
            check_backend("caption", settings.caption.backend)
            self.captioner = build_captioner(settings.caption)
            if isinstance(self.captioner, RegionCaptioner):
                self.captions_by = settings.caption_detect
                if self.captions_by is None:
                    raise UserError(
                        "the captioner describes regions: name their detector by the section caption_detect"
                    )
                self._add_detector(self.captions_by)
        if "oca" in kinds and settings.ocr is not None:
            self.ocr_engine = build_ocr_engine(settings.ocr)

    def _add_detector(self, detect: Detect | None) -> None:
        from ita.vision.detectors import build_detector

        if detect is not None and all(detect != loaded for loaded, _ in self.detectors):
            check_backend("detect", detect.backend)
            self.detectors.append((detect, build_detector(detect)))

    def read(self, files: Sequence[ImageFile]) -> dict[str, ReadImage]:
        """What is found in images, by image id."""
        results = {file.image_id: ReadImage() for file in files}
        images: list[DecodedImage] = []
        for file in files:
            try:
                images.append(DecodedImage(file.image_id, decode(file.path)))
            except Unreadable as error:
                results[file.image_id] = ReadImage(status="refused", error=f"unreadable: {error}")
        if not images:
            return results
        regions = [
            (detect, [item.ranked() for item in detector.regions(images)]) for detect, detector in self.detectors
        ]
        self._add_objects(results, images, regions)
        self._add_captions(results, images, regions)
        decoded = [file for file in files if results[file.image_id].error is None]
        if self.ocr_engine is not None:
            for result in self.ocr_engine.recognize(decoded):
                results[result.image_id].rows["oca"] = [{"text": result.text}]
        for image in images:
            results[image.image_id].context = self._context(results[image.image_id].rows)
        return results

    def _add_objects(
        self,
        results: Mapping[str, ReadImage],
        images: Sequence[DecodedImage],
        regions: Sequence[tuple[Detect, list[Regions]]],
    ) -> None:
        from ita.vision.region_tables import object_rows

        for detect, batch_regions in regions:
            for image, image_regions in zip(images, batch_regions, strict=True):
                result = results[image.image_id]
                if detect == self.objects_by:
                    result.objects = image_regions.objects
                    result.rows["la"] = list(object_rows(image.image_id, image_regions.objects))
                if detect == self.settings.regions:
                    result.features = tagger_features(image_regions, self.settings.region_boxes)

    def _add_captions(
        self,
        results: Mapping[str, ReadImage],
        images: Sequence[DecodedImage],
        regions: Sequence[tuple[Detect, list[Regions]]],
    ) -> None:
        if self.captioner is None:
            return
        if isinstance(self.captioner, RegionCaptioner):
            captions = self.captioner.caption_regions(
                next(of_detector for detect, of_detector in regions if detect == self.captions_by)
            )
        else:
            captions = self.captioner.caption(images)
        for image, image_captions in zip(images, captions, strict=True):
            results[image.image_id].rows["ga"] = [
                {"rank": rank, "caption": caption.text, "logprob": caption.logprob}
                for rank, caption in enumerate(image_captions)
            ]

    def _context(self, rows: Rows) -> VisualContext:
        """The context of an image from its rows in the table of each kind, as the stage context makes it."""
        context = self.settings.context
        by_kind = {
            kind: image_context(kind, context, rows[kind]) if rows.get(kind) else EMPTY for kind in context.kinds
        }
        return compose(context, by_kind)[0]


def check_backend(section: str, backend: str) -> None:
    """Raises UserError for files in place of a model."""
    if backend == "precomputed":
        raise UserError(f"setting {section}.backend: precomputed has no model to run; name another backend")


def tagger_features(regions: Regions, boxes: bool) -> NDArray[np.float16] | None:
    """(V, D) features of regions in the precision of training, with their positions where the tagger reads them."""
    import numpy as np

    from ita.io.features import position_features

    if regions.features is None or not len(regions.features):
        return None
    features = regions.features.numpy()
    if boxes and regions.size is not None:
        edges = np.array([item.box for item in regions.objects], np.float32).reshape(-1, 4)
        features = np.concatenate([features, position_features(edges, regions.size)], 1)
    return features.astype(np.float16)


def context_kinds(kinds: Sequence[str]) -> list[str]:
    """Those kinds of a context that are made of an image, all of them where it names none."""
    return [kind for kind in kinds if kind in KINDS] or list(KINDS)


def image_text(image: ReadImage) -> dict[str, Any]:
    """What was found in an image, as JSON: objects with attributes, captions, OCR text, and the context of these."""
    return {
        "objects": [without(row, "image_id", "rank") for row in image.rows.get("la", [])],
        "captions": [without(row, "rank") for row in image.rows.get("ga", [])],
        "ocr_text": "".join(row["text"] for row in image.rows.get("oca", [])).strip(),
        "context": image.context.segments(),
        "alignments": [{"kind": kind, "text": text} for kind, text in image.context.runs()],
    }


def without(row: Mapping[str, Any], *columns: str) -> dict[str, Any]:
    """A row without some columns."""
    return {column: value for column, value in row.items() if column not in columns}


def read_images(engines: ImageEngines, fetched: Sequence[FetchedImage]) -> list[ReadImage]:
    """What is found in images, each file read once, a few at a time; what is wrong beside the pixels stays with it."""
    paths = list(dict.fromkeys(image.path for image in fetched if image.path is not None))
    by_path: dict[Path, ReadImage] = {}
    for start in range(0, len(paths), IMAGES):
        group = paths[start : start + IMAGES]
        results = read_or_fail(engines, [ImageFile(str(path), path) for path in group])
        by_path |= {path: results[str(path)] for path in group}
    return [
        ReadImage(status=image.status, error=image.error)
        if image.path is None
        else replace(by_path[image.path], error=by_path[image.path].error or image.error)
        for image in fetched
    ]


def read_or_fail(engines: ImageEngines, files: Sequence[ImageFile]) -> dict[str, ReadImage]:
    """What is found in images, by image id; one at which a model fails has the status failed, the others are read.

    Raises:
        UserError: for what ails every image.
    """
    try:
        return engines.read(files)
    except UserError:
        raise
    except Exception as error:  # a model may raise anything on an image that nobody foresaw
        if len(files) > 1:
            return {file.image_id: read_or_fail(engines, [file])[file.image_id] for file in files}
        log.warning("an image of %d bytes was not read", len(read_bytes(files[0].path)), exc_info=error)
        message = single_line(f"unreadable: {type(error).__name__}: {error}")
        return {files[0].image_id: ReadImage(status="failed", error=message)}
