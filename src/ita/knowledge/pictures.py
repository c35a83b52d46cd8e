"""Pictures as language models get them: upright, RGB, no larger than asked for."""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from ita.vision.images import decode

if TYPE_CHECKING:
    from PIL.Image import Image

QUALITY = 90
"""Of JPEG files that are sent."""


def load_picture(path: Path, max_pixels: int) -> Image:
    """A picture, made smaller if it has more pixels than allowed.

    Raises:
        Unreadable: for a file that is no picture.
    """
    picture = decode(path)
    scale = math.sqrt(max_pixels / (picture.width * picture.height))
    if scale >= 1:
        return picture
    return picture.resize((max(1, int(picture.width * scale)), max(1, int(picture.height * scale))))


def data_url(picture: Image) -> str:
    """A picture as the text of a JPEG file."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
