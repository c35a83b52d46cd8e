"""Models that read a picture and write what stands in it: chat models that are asked, Florence-2, Donut and TrOCR."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from ita.config import Ocr
from ita.config.vision import Search
from ita.vision.image_text import ImageTextModel, capped
from ita.vision.images import decode_batches
from ita.vision.types import ImageFile, OcrResult

SETTING = "ocr.model"
QUESTION = (
    "Write down all text in this picture, line by line, exactly as it stands and nothing else. "
    "If there is no text in it, write NONE."
)
"""What a chat model is asked where nothing is set."""
NO_TEXT = re.compile(r"\W*none\W*", re.IGNORECASE)
FENCE = re.compile(r"```\w*\n(.*?)\n?```", re.DOTALL)
"""How chat models like to frame what they quote."""
FIELD = re.compile(r"</?s_[^<>]*>|<sep/>")
"""Fields that Donut writes around what it reads."""


class ImageTextEngine:
    """Reads characters with a model of ``AutoModelForImageTextToText``, greedily.

    Nothing tells how sure it is, so that there is no confidence.
    """

    name = "image-text"

    def __init__(self, settings: Ocr) -> None:
        """Loads the model.

        Raises:
            UserError: when it cannot be loaded.
        """
        self.settings = settings
        self.model = ImageTextModel(settings, SETTING)
        self.search = Search(beams=1, captions=1, max_tokens=settings.max_tokens)
        self.prompt = settings.prompt or (QUESTION if self.model.chat else None)
        self.version = version("transformers")
        self.metadata: dict[str, Any] = {**self.model.metadata, "chat": self.model.chat, "prompt": self.prompt}

    def recognize(self, image_files: Sequence[ImageFile]) -> Iterator[OcrResult]:
        """One result per image, in the same order; an image that cannot be decoded has no text."""
        for start in range(0, len(image_files), self.settings.batch_size):
            batch = image_files[start : start + self.settings.batch_size]
            texts: dict[str, str] = {}
            for images in decode_batches([batch]):
                pictures = [image.image for image in images]
                if self.model.chat:
                    pictures = capped(pictures, self.settings.max_pixels)
                written = self.model.write(pictures, self.prompt, self.search)
                texts |= {image.image_id: read_text(best.text) for image, [best] in zip(images, written, strict=True)}
            for file in batch:
                yield OcrResult(file.image_id, texts.get(file.image_id, ""))


def read_text(answer: str) -> str:
    """The text of a picture in what a model wrote about it; empty where it says that there is none."""
    fenced = FENCE.fullmatch(answer.strip())
    text = FIELD.sub(" ", fenced[1] if fenced else answer)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return "" if NO_TEXT.fullmatch(text) else "\n".join(filter(None, lines))
