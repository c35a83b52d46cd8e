"""PP-OCR, through RapidOCR or through PaddleOCR itself: engines that detect text boxes and recognise each.

RapidOCR's models come inside its package. PaddleOCR's are fetched from its hubs by name, or are in local folders. The
setting ``language`` does not apply to either: their models determine the languages.
"""

from __future__ import annotations

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
from ita.log import log
from ita.model.device import cpu_cores
from ita.vision.images import Unreadable, decode
from ita.vision.ocr.reading_order import Quad, sort_into_lines
from ita.vision.types import ImageFile, OcrResult

if TYPE_CHECKING:
    import numpy as np

MODEL_DESCRIPTION = "inference.yml"
"""File of a PaddleOCR model's folder that names the model."""
ONNX_WEIGHTS = "inference.onnx"
"""File of its weights for ONNX Runtime."""
PREPROCESSING = ("use_doc_orientation_classify", "use_doc_unwarping", "use_textline_orientation")
"""Steps of PaddleOCR for scanned documents, which are switched off."""


class TextBox(NamedTuple):
    """A text box: the words of a line, or of a part of it."""

    box: Quad
    text: str
    score: float
    """Confidence of the recognition model, 0 to 1."""


class PPOcrEngine(ABC):
    """What the two packages share; they differ in ``detect_and_recognize``."""

    name: str
    version: str
    metadata: dict[str, Any]

    @abstractmethod
    def detect_and_recognize(self, pixels: np.ndarray) -> list[TextBox]:
        """The text boxes of an image, in any order; pixels are (height, width, BGR) bytes."""

    def recognize(self, image_files: Sequence[ImageFile]) -> Iterator[OcrResult]:
        """One result per image, in the same order; an image that cannot be decoded has no text."""
        import numpy as np

        for image_file in image_files:
            image_id = image_file.image_id
            try:
                pixels = np.ascontiguousarray(np.asarray(decode(image_file.path))[:, :, ::-1])
            except Unreadable as error:
                log.warning("%s: no text, the image cannot be read (%s)", image_id, error)
                yield OcrResult(image_id)
                continue
            try:
                text_boxes = self.detect_and_recognize(pixels)
            except Exception as error:  # engines raise anything: RapidOCR for an image of 4000 x 2 pixels
                log.warning("%s: no text, %s failed (%s: %s)", image_id, self.name, type(error).__name__, error)
                text_boxes = []
            yield join_text_boxes(image_id, text_boxes)


def join_text_boxes(image_id: str, text_boxes: Sequence[TextBox]) -> OcrResult:
    """The text of boxes in reading order: spaces within a line, line breaks between lines."""
    text_boxes = [box for box in text_boxes if box.text.strip()]  # PaddleOCR keeps boxes without text
    if not text_boxes:
        return OcrResult(image_id)
    lines = [[text_boxes[index] for index in line] for line in sort_into_lines([box.box for box in text_boxes])]
    text = "\n".join(" ".join(box.text for box in line) for line in lines)
    return OcrResult(image_id, text, fmean(box.score for line in lines for box in line))


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
        self.metadata = {}
        self.engine: Any = rapidocr.RapidOCR(
            params={
                "Global.log_level": "critical",
                "EngineConfig.onnxruntime.intra_op_num_threads": settings.processes or cpu_cores(),
            }
        )

    def detect_and_recognize(self, pixels: np.ndarray) -> list[TextBox]:
        """The text boxes of an image."""
        output = self.engine(pixels)
        if not output.txts:
            return []
        return [TextBox(*values) for values in zip(output.boxes, output.txts, output.scores, strict=True)]


class PaddleEngine(PPOcrEngine):
    """PP-OCR through PaddleOCR 3, run by ONNX Runtime or by PaddlePaddle."""

    name = "paddleocr"

    def __init__(self, settings: Ocr) -> None:
        """Loads the models.

        Raises:
            UserError: when the package is not installed, or a model cannot be loaded.
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
            "detection": find_model(settings.detection_model, "ocr.detection_model"),
            "recognition": find_model(settings.recognition_model, "ocr.recognition_model"),
        }
        options = runtime_options([folder for _, folder in models.values()], settings.processes or cpu_cores())
        runtime = options["engine"]
        for role, (name, folder) in models.items():
            options |= {f"text_{role}_model_name": name, f"text_{role}_model_dir": folder and str(folder)}
        try:
            self.engine: Any = paddleocr.PaddleOCR(device="cpu", **dict.fromkeys(PREPROCESSING, False), **options)
            # A recognition model in place of a detection model loads, and fails only here.
            self.detect_and_recognize(np.full((64, 64, 3), 255, np.uint8))
        except Exception as error:  # PaddleOCR raises whatever its hubs, runtimes and parsers do
            reason = " ".join(f"{error} {error.__cause__ or ''}".split())
            raise UserError(
                f"PaddleOCR cannot load ocr.detection_model '{settings.detection_model}' and ocr.recognition_model "
                f"'{settings.recognition_model}' with {runtime}: {reason[:400]}. A name is fetched from "
                "PaddleOCR's hubs; without network set both to folders of models, or set ocr.engine to rapidocr"
            ) from error
        descriptions = {role: model_metadata(name, folder) for role, (name, folder) in models.items()}
        self.metadata = {"runtime": runtime, **descriptions}

    def detect_and_recognize(self, pixels: np.ndarray) -> list[TextBox]:
        """The text boxes of an image."""
        return [
            TextBox(*values)
            for page in self.engine.predict(pixels)
            for values in zip(page["rec_polys"], page["rec_texts"], page["rec_scores"], strict=True)
        ]


def find_model(value: str, setting: str) -> tuple[str, Path | None]:
    """Name of a model, and its folder if it is a local one.

    Args:
        value: name on PaddleOCR's hubs, or a folder.
        setting: the setting that has this value, for messages.

    Raises:
        UserError: for a folder that does not exist or holds no model.
    """
    import yaml

    folder = Path(value).expanduser()
    if not folder.is_dir():
        if folder.is_absolute() or "/" in value:
            raise UserError(f"setting {setting}: no such folder: '{value}'")
        return value, None
    try:
        description = yaml.safe_load((folder / MODEL_DESCRIPTION).read_text(encoding="utf-8"))
        return str(description["Global"]["model_name"]), folder
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise UserError(
            f"setting {setting}: the folder '{value}' holds no {MODEL_DESCRIPTION} that names a model "
            f"({' '.join(str(error).split())[:200]}); expected a model of PaddleOCR 3: {MODEL_DESCRIPTION} with "
            f"{ONNX_WEIGHTS}, or with inference.json and inference.pdiparams"
        ) from None


def runtime_options(folders: Sequence[Path | None], threads: int) -> dict[str, Any]:
    """PaddleOCR's options of the runtime: ONNX Runtime for ONNX weights or where PaddlePaddle is not installed."""
    if any(folder and (folder / ONNX_WEIGHTS).is_file() for folder in folders) or not find_spec("paddle"):
        return {"engine": "onnxruntime", "engine_config": {"intra_op_num_threads": threads}}
    # With oneDNN PaddlePaddle 3.3 fails on a CPU.
    return {"engine": "paddle", "cpu_threads": threads, "enable_mkldnn": False}


def model_metadata(name: str, folder: Path | None) -> dict[str, Any]:
    """What identifies a model: its name, and hashes of the files in a folder."""
    files = {file.name: sha256(file) for file in sorted(folder.glob("inference.*"))} if folder else {}
    return {"model": name, "files": files} if files else {"model": name}
