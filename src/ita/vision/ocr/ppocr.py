"""PP-OCR: readers that find pieces of lines and read each, through RapidOCR or through PaddleOCR itself.

RapidOCR's models come inside its package. PaddleOCR's are fetched from its hubs by name, or lie in folders. The setting
``language`` does not apply to either: it is the models that know languages.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from ita.config import Ocr
from ita.errors import UserError
from ita.io.files import sha256
from ita.vision.images import Unreadable, decode
from ita.vision.ocr.reading_order import Quad, lines
from ita.vision.ocr.tesseract import cores
from ita.vision.types import ImageFile, OcrResult

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger("ita")

DESCRIPTION = "inference.yml"
"""File of a PaddleOCR model's folder that names the model."""
ONNX = "inference.onnx"
"""File of its weights, where ONNX Runtime is to run it."""


class TextBox(NamedTuple):
    """A piece of a line."""

    box: Quad
    text: str
    score: float
    """The recogniser's confidence, 0 to 1."""


class PPOcrEngine(ABC):
    """A reader of pieces; what differs between engines is ``spot``."""

    name: str
    version: str
    facts: dict[str, Any]

    @abstractmethod
    def spot(self, pixels: np.ndarray) -> list[TextBox]:
        """The pieces of an image, in any order; pixels are (height, width, BGR) bytes."""

    def read(self, sources: Sequence[ImageFile]) -> Iterator[OcrResult]:
        """One reading per image, in the order given; the lines of a text are those of the image."""
        import numpy as np

        for source in sources:
            try:
                pixels = np.ascontiguousarray(np.asarray(decode(source.path))[:, :, ::-1])
            except Unreadable as error:
                log.warning("%s: no text, the image cannot be read (%s)", source.image_id, error)
                yield OcrResult(source.image_id)
                continue
            try:
                pieces = self.spot(pixels)
            except Exception as error:  # engines raise what they like: RapidOCR for an image of 4000 x 2 pixels
                log.warning("%s: no text, %s failed (%s: %s)", source.image_id, self.name, type(error).__name__, error)
                pieces = []
            yield reading(source.image_id, pieces)


def reading(image_id: str, pieces: Sequence[TextBox]) -> OcrResult:
    """Pieces in the order of reading: a space between those of a line, each line on its own."""
    pieces = [piece for piece in pieces if piece.text.strip()]  # PaddleOCR keeps those in which it reads nothing
    if not pieces:
        return OcrResult(image_id)
    ordered = lines([piece.box for piece in pieces])
    text = "\n".join(" ".join(pieces[index].text for index in line) for line in ordered)
    return OcrResult(image_id, text, fmean(pieces[index].score for line in ordered for index in line))


class RapidEngine(PPOcrEngine):
    """PP-OCR through RapidOCR."""

    name = "rapidocr"

    def __init__(self, settings: Ocr) -> None:
        """Loads the models.

        Raises:
            UserError: when the package is not installed.
        """
        try:
            import rapidocr

            self.version = version("rapidocr")
        except ImportError as error:
            raise UserError(
                f"rapidocr is not installed ({error}): pip install -c constraints.txt -e '.[rapidocr]'"
            ) from None
        self.facts = {}
        self.engine: Any = rapidocr.RapidOCR(
            params={
                "Global.log_level": "critical",
                "EngineConfig.onnxruntime.intra_op_num_threads": settings.processes or cores(),
            }
        )

    def spot(self, pixels: np.ndarray) -> list[TextBox]:
        """The pieces of an image."""
        found = self.engine(pixels)
        return [TextBox(*one) for one in zip(found.boxes, found.txts, found.scores, strict=True)] if found.txts else []


class PaddleEngine(PPOcrEngine):
    """PP-OCR through PaddleOCR 3, run by ONNX Runtime or by PaddlePaddle."""

    name = "paddleocr"

    def __init__(self, settings: Ocr) -> None:
        """Loads the models.

        Raises:
            UserError: when the package is not installed, or a model can not be had.
        """
        import numpy as np

        try:
            import paddleocr

            self.version = version("paddleocr")
        except ImportError as error:
            raise UserError(
                f"paddleocr is not installed ({error}): pip install -e '.[paddle]', in an environment of its own and "
                "without constraints.txt; or set ocr.engine to rapidocr, which has such models in its package"
            ) from None
        models = {
            "detection": model(settings.detection_model, "ocr.detection_model"),
            "recognition": model(settings.recognition_model, "ocr.recognition_model"),
        }
        threads = settings.processes or cores()
        options: dict[str, Any] = runtime([folder for _, folder in models.values()], threads)
        for part, (name, folder) in models.items():
            options |= {f"text_{part}_model_name": name, f"text_{part}_model_dir": folder and str(folder)}
        extras = ("use_doc_orientation_classify", "use_doc_unwarping", "use_textline_orientation")
        try:
            self.engine: Any = paddleocr.PaddleOCR(device="cpu", **dict.fromkeys(extras, False), **options)
            self.spot(np.full((64, 64, 3), 255, np.uint8))  # a recogniser in place of a detector loads, and then fails
        except Exception as error:  # PaddleOCR raises whatever its hubs, runtimes and parsers do
            reason = " ".join(f"{error} {error.__cause__ or ''}".split())
            raise UserError(
                f"PaddleOCR can not load ocr.detection_model '{settings.detection_model}' and ocr.recognition_model "
                f"'{settings.recognition_model}' with {options['engine']}: {reason[:400]}. A name is fetched from "
                "PaddleOCR's hubs; without network set both to folders of models, or set ocr.engine to rapidocr"
            ) from error
        self.facts = {"runtime": options["engine"], **{part: about(*found) for part, found in models.items()}}

    def spot(self, pixels: np.ndarray) -> list[TextBox]:
        """The pieces of an image."""
        return [
            TextBox(*one)
            for page in self.engine.predict(pixels)
            for one in zip(page["rec_polys"], page["rec_texts"], page["rec_scores"], strict=True)
        ]


def model(given: str, setting: str) -> tuple[str, Path | None]:
    """Name of a model, and its folder where it has one.

    Raises:
        UserError: for a folder that is not there or holds no model.
    """
    import yaml

    folder = Path(given).expanduser()
    if not folder.is_dir():
        if folder.is_absolute() or "/" in given:
            raise UserError(f"setting {setting}: no such folder: '{given}'")
        return given, None
    try:
        return str(yaml.safe_load((folder / DESCRIPTION).read_text(encoding="utf-8"))["Global"]["model_name"]), folder
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise UserError(
            f"setting {setting}: the folder '{given}' holds no {DESCRIPTION} that names a model "
            f"({' '.join(str(error).split())[:200]}); expected a model of PaddleOCR 3: {DESCRIPTION} with {ONNX}, or "
            "with inference.json and inference.pdiparams"
        ) from None


def runtime(folders: Sequence[Path | None], threads: int) -> dict[str, Any]:
    """Who runs the models: ONNX Runtime where a folder holds ONNX or PaddlePaddle is not installed."""
    if any(folder and (folder / ONNX).is_file() for folder in folders) or not find_spec("paddle"):
        return {"engine": "onnxruntime", "engine_config": {"intra_op_num_threads": threads}}
    # With oneDNN PaddlePaddle 3.3 fails on a CPU.
    return {"engine": "paddle", "cpu_threads": threads, "enable_mkldnn": False}


def about(name: str, folder: Path | None) -> dict[str, Any]:
    """What identifies a model: its name, and hashes of the files in a folder."""
    files = sorted(folder.glob("inference.*")) if folder else []
    return {"model": name, **({"files": {file.name: sha256(file) for file in files}} if files else {})}
