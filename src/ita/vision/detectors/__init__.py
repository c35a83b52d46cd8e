"""Detectors: images -> objects with labels, scores, boxes and, where the model has them, attributes and features."""

from __future__ import annotations

from typing import cast

from ita.config import Detect
from ita.vision.backends import load_backend
from ita.vision.types import Detector

BACKENDS = {
    "vinvl": "ita.vision.detectors.vinvl.detector:VinvlDetector",
    "bottomup": "ita.vision.detectors.bottomup.detector:BottomUpDetector",
    "grid": "ita.vision.detectors.grid:GridDetector",
    "florence2": "ita.vision.detectors.florence:Florence2Detector",
    "zero-shot": "ita.vision.detectors.zero_shot:ZeroShotDetector",
    "transformers": "ita.vision.detectors.transformers:TransformersDetector",
}
"""Backend -> class. ``precomputed`` has none: its objects are read from files."""


def build_detector(detect: Detect) -> Detector:
    """The detector of a backend, its model loaded.

    Raises:
        UserError: when the model cannot be loaded.
    """
    return cast(Detector, load_backend(BACKENDS, detect.backend, "detect.backend")(detect))
