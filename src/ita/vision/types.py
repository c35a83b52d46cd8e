"""What detectors, captioners and OCR engines take and give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


@dataclass(frozen=True)
class ImageFile:
    """An image file: the name of the image and where its bytes are."""

    image_id: str
    path: Path


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
    """Confidence, 0 to 1; None where the source gives none."""
    box: tuple[float, float, float, float] | None = None
    """Left, top, right and bottom edge in pixels of the upright image."""
    attributes: tuple[tuple[str, float | None], ...] = ()
    """Labels and confidences, by falling confidence."""


@dataclass(frozen=True)
class Regions:
    """What a detector found in one image."""

    objects: list[DetectedObject]
    """Boxes in pixels of the upright image."""
    features: Tensor | None = None
    """(n, F) float32 on the CPU, a row per object, or per cell where there are no objects; None of detectors that keep
    none."""
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
    """Finds objects."""

    facts: dict[str, Any]
    """What identifies the model, for the output's metadata."""

    def regions(self, pictures: Sequence[DecodedImage]) -> list[Regions]:
        """What is in each picture."""
        ...


@dataclass(frozen=True)
class ImageCaption:
    """One caption of an image."""

    text: str
    logprob: float | None = None
    """Score of the beam as its search ranks it (log-probability over length); None for a greedy search."""


class Captioner(Protocol):
    """Writes captions."""

    facts: dict[str, Any]
    """What identifies the model, for the output's metadata."""

    def caption(self, pictures: Sequence[DecodedImage]) -> list[list[ImageCaption]]:
        """Captions of each picture, best first."""
        ...


@runtime_checkable
class RegionCaptioner(Protocol):
    """Writes captions of what a detector found."""

    facts: dict[str, Any]

    def caption_regions(self, regions: Sequence[Regions]) -> list[list[ImageCaption]]:
        """Captions of each image, best first."""
        ...


@dataclass(frozen=True)
class OcrResult:
    """What was read from an image."""

    image_id: str
    text: str = ""
    confidence: float | None = None
    """Mean confidence, 0 to 1: of Tesseract's words, or of the pieces of lines that PP-OCR reads; None without text."""


class OcrEngine(Protocol):
    """Reads characters."""

    name: str
    version: str
    facts: dict[str, Any]
    """What else identifies it, for the output's metadata."""

    def read(self, sources: Sequence[ImageFile]) -> Iterator[OcrResult]:
        """One reading per image, in the order given; an image that cannot be read has no text."""
        ...
