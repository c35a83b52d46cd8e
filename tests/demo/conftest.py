"""Examples that the demo's shipped models were not trained on, and their detections."""

from __future__ import annotations

import pytest

from ita.config import Detect
from ita.demo import SHIPPED_MODELS
from ita.demo.training.dataset import RenderedScene, render_scenes
from ita.vision.detectors.vinvl.detector import VinvlDetector
from ita.vision.types import Regions


@pytest.fixture(scope="session")
def examples() -> list[RenderedScene]:
    """Held-out examples."""
    return render_scenes("test", 60)


@pytest.fixture(scope="session")
def detections(examples: list[RenderedScene]) -> list[Regions]:
    """What the shipped detector finds in them."""
    detector = VinvlDetector(Detect(model=str(SHIPPED_MODELS / "detector"), device="cpu", min_objects=1))
    return detector.regions([example.image for example in examples])
