"""Pictures as language models get them: upright, RGB, no larger than asked for."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

from ita.io.image_shards import Member
from ita.vision.images import decode, shrink

if TYPE_CHECKING:
    from PIL.Image import Image

QUALITY = 90
"""Of JPEG files that are sent."""


def load_picture(path: Path | Member, max_pixels: int) -> Image:
    """A picture, made smaller if it has more pixels than allowed.

    Raises:
        Unreadable: for a file that is no picture.
    """
    return shrink(decode(path), max_pixels)


def data_url(picture: Image) -> str:
    """A picture as the text of a JPEG file."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
