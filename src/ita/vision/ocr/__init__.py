"""OCR engines: images -> the characters in them."""

from __future__ import annotations

from ita.config import Ocr
from ita.vision.ocr.tesseract import TesseractEngine
from ita.vision.types import OcrEngine


def build_ocr_engine(settings: Ocr) -> OcrEngine:
    """The engine of the engine.

    Raises:
        UserError: when it is not installed, or its models can not be had.
    """
    if settings.engine == "tesseract":
        return TesseractEngine(settings)
    from ita.vision.ocr.ppocr import PaddleEngine, RapidEngine

    return PaddleEngine(settings) if settings.engine == "paddleocr" else RapidEngine(settings)
