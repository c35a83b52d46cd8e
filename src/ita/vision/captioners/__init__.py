"""Captioners: images, or the regions of a detector -> captions, the beams of one search, best first."""

from __future__ import annotations

from typing import cast

from ita.config import Caption
from ita.vision.backends import load_backend
from ita.vision.types import Captioner, RegionCaptioner

BACKENDS = {
    "oscar": "ita.vision.captioners.oscar.captioner:OscarCaptioner",
    "updown": "ita.vision.captioners.updown.captioner:UpDownCaptioner",
    "transformers": "ita.vision.captioners.transformers:TransformersCaptioner",
}
"""Backend -> class. ``precomputed`` has none: its captions are read from files."""


def build_captioner(caption: Caption) -> Captioner | RegionCaptioner:
    """The captioner of a backend, its model loaded.

    Raises:
        UserError: when the model cannot be loaded.
    """
    captioner = load_backend(BACKENDS, caption.backend, "caption.backend")(caption)
    return cast(Captioner | RegionCaptioner, captioner)
