"""OCR engines: images -> the text in them."""

from __future__ import annotations

from typing import cast

from ita.config import Ocr
from ita.vision.backends import load_backend
from ita.vision.types import OcrEngine

ENGINES = {
    "tesseract": "ita.vision.ocr.tesseract:TesseractEngine",
    "rapidocr": "ita.vision.ocr.ppocr:RapidEngine",
    "image-text": "ita.vision.ocr.image_text:ImageTextEngine",
    "paddleocr": "ita.vision.ocr.ppocr:PaddleEngine",
}
"""Engine -> class."""


def build_ocr_engine(ocr: Ocr) -> OcrEngine:
    """The OCR engine of the settings.

    Raises:
        UserError: when it is not installed, or its models cannot be loaded.
    """
    return cast(OcrEngine, load_backend(ENGINES, ocr.engine, "ocr.engine")(ocr))
