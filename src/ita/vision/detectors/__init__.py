"""Detectors: images -> objects with labels, confidences, boxes and, where the model has them, attributes."""

from __future__ import annotations

from ita.config import Detect
from ita.vision.types import Detector


def build_detector(settings: Detect) -> Detector:
    """The detector of the back end.

    Raises:
        UserError: when its model can not be had.
    """
    if settings.backend == "vinvl":
        from ita.vision.detectors.vinvl.detector import VinvlDetector

        return VinvlDetector(settings)
    if settings.backend == "bottomup":
        from ita.vision.detectors.bottomup.detector import BottomUpDetector

        return BottomUpDetector(settings)
    if settings.backend == "grid":
        from ita.vision.detectors.grid import GridDetector

        return GridDetector(settings)
    from ita.vision.detectors.transformers import TransformersDetector

    return TransformersDetector(settings)
