"""Captioners: images -> captions, the beams of one search, best first."""

from __future__ import annotations

from ita.config import Caption
from ita.vision.types import Captioner, RegionCaptioner


def build_captioner(settings: Caption) -> Captioner | RegionCaptioner:
    """The captioner of the back end.

    Raises:
        UserError: when its model can not be had.
    """
    if settings.backend == "oscar":
        from ita.vision.captioners.oscar.captioner import OscarCaptioner

        return OscarCaptioner(settings)
    if settings.backend == "updown":
        from ita.vision.captioners.updown.captioner import UpDownCaptioner

        return UpDownCaptioner(settings)
    from ita.vision.captioners.transformers import TransformersCaptioner

    return TransformersCaptioner(settings)
