"""Image-text models of transformers' Auto classes."""

from __future__ import annotations

from collections.abc import Sequence

from ita.config import Caption
from ita.vision.captioners.common import SETTING
from ita.vision.image_text import ImageTextModel, capped
from ita.vision.types import DecodedImage, ImageCaption

QUESTION = (
    "Describe this picture in two or three sentences. Name the people, organisations, places and things that it shows, "
    "as far as they can be recognised, and say what text in it reads."
)
"""What a chat model is asked where nothing is set."""


class TransformersCaptioner:
    """Any model of ``AutoModelForImageTextToText``: BLIP, BLIP-2, GIT, Florence-2, Qwen-VL, ...

    A model with a chat template answers a question about the picture: greedily, at length, one text. Others generate
    captions by beam search. Settings win over both.
    """

    def __init__(self, settings: Caption) -> None:
        """Loads the model.

        Raises:
            UserError: when it cannot be loaded, is no captioner, or the settings do not go together.
        """
        self.settings = settings
        self.model = ImageTextModel(settings, SETTING)
        self.search = settings.search(self.model.chat)
        self.prompt = settings.prompt or (QUESTION if self.model.chat else None)
        self.metadata = {**self.model.metadata, "chat": self.model.chat, **self.search._asdict(), "prompt": self.prompt}

    def caption(self, images: Sequence[DecodedImage]) -> list[list[ImageCaption]]:
        """Captions of each image, best first; in fp32 they do not depend on what else is in the batch."""
        pictures = [image.image for image in images]
        if self.model.chat:
            pictures = capped(pictures, self.settings.max_pixels)
        return [
            [ImageCaption(" ".join(item.text.split()), item.logprob) for item in captions]
            for captions in self.model.write(pictures, self.prompt, self.search)
        ]
