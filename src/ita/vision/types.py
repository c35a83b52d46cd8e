"""Inputs and outputs of detectors, captioners and OCR engines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ita.io.image_shards import Member

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


@dataclass(frozen=True)
class ImageFile:
    """Where an image lies."""

    image_id: str
    path: Path | Member
    """A file of its own, or a part of a shard."""


@dataclass(frozen=True)
class DecodedImage:
    """A decoded image: RGB, upright."""

    image_id: str
    image: Image


@dataclass(frozen=True)
class DetectedObject:
    """One object of an image."""

    label: str
    """Class, lower case."""
    score: float | None = None
    """Confidence, 0 to 1; None where the source has none."""
    box: tuple[float, float, float, float] | None = None
    """Left, top, right and bottom edge in pixels of the upright image."""
    attributes: tuple[tuple[str, float | None], ...] = ()
    """Labels and confidences, by falling confidence."""


@dataclass(frozen=True)
class Regions:
    """Objects and region features of one image."""

    objects: list[DetectedObject]
    """Boxes in pixels of the upright image."""
    features: Tensor | None = None
    """(V, F) float32 on the CPU, a row per object, or per grid cell where there are no objects; None of detectors
    without features."""
    size: tuple[int, int] | None = None
    """Width and height of the upright image in pixels."""

    def ranked(self) -> Regions:
        """The same by falling confidence, which VinVL's filter 0 does not give."""
        order = sorted(range(len(self.objects)), key=lambda index: -(self.objects[index].score or 0))
        if order == list(range(len(order))):
            return self
        features = None if self.features is None else self.features[order]
        return Regions([self.objects[index] for index in order], features, self.size)


class Detector(Protocol):
    """Detects objects."""

    metadata: dict[str, Any]
    """What identifies the model, for the metadata of the output."""

    def regions(self, images: Sequence[DecodedImage]) -> list[Regions]:
        """Objects and region features of each image."""
        ...


@dataclass(frozen=True)
class ImageCaption:
    """One caption of an image."""

    text: str
    logprob: float | None = None
    """Score of the beam in its search (log-probability over length); None for a greedy search."""


class Captioner(Protocol):
    """Generates captions from pixels."""

    metadata: dict[str, Any]
    """What identifies the model, for the metadata of the output."""

    def caption(self, images: Sequence[DecodedImage]) -> list[list[ImageCaption]]:
        """Captions of each image, best first."""
        ...


@runtime_checkable
class RegionCaptioner(Protocol):
    """Generates captions from the regions of a detector."""

    metadata: dict[str, Any]
    """What identifies the model, for the metadata of the output."""

    def caption_regions(self, regions: Sequence[Regions]) -> list[list[ImageCaption]]:
        """Captions of each image, best first."""
        ...


@dataclass(frozen=True)
class OcrResult:
    """OCR text of an image."""

    image_id: str
    text: str = ""
    confidence: float | None = None
    """Mean confidence, 0 to 1, of Tesseract's words or of PP-OCR's text boxes; None without text."""


class OcrEngine(Protocol):
    """Recognises the text in images."""

    name: str
    version: str
    metadata: dict[str, Any]
    """What else identifies the engine, for the metadata of the output."""

    def recognize(self, image_files: Sequence[ImageFile]) -> Iterator[OcrResult]:
        """One result per image, in the same order; an image that cannot be decoded has no text."""
        ...
