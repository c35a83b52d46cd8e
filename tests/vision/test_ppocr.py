"""PP-OCR by PaddleOCR.

Most tests run against a stand-in for the package that mimics no more than what PaddleOCR 3 documents of its results
(``predict`` gives pages with rec_texts, rec_scores and rec_polys). The package itself is tested where it is installed
and ITA_PADDLE_MODELS names a folder of two of its models, ``det`` and ``rec``.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ita.config import Ocr
from ita.errors import UserError
from ita.io import parquet
from ita.stages import ocr
from ita.vision.ocr import ppocr
from ita.vision.ocr.ppocr import PaddleEngine, TextBox, join_text_boxes
from tests.support.pictures import lettering, run, table


def corners(x, y, width=80, height=20):
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], dtype=np.int16)


PAGE = {
    "rec_texts": ["Town", "city", "to", "limits"],
    "rec_scores": [0.9, 0.8, 1.0, 0.7],
    "rec_polys": [corners(100, 2), corners(0, 40), corners(0, 0), corners(100, 40)],
    "rec_boxes": np.zeros((4, 4)),
}
EMPTY = {"rec_texts": [], "rec_scores": [], "rec_polys": [], "rec_boxes": np.zeros((0,))}


@pytest.fixture
def package(monkeypatch):
    """The stand-in; it keeps what it was called with."""
    calls = SimpleNamespace(options=None, pixels=[], fails=None)

    class PaddleOCR:
        def __init__(self, **options):
            if calls.fails:
                raise calls.fails
            calls.options = options

        def predict(self, pixels):
            calls.pixels.append(pixels)
            return [PAGE if pixels.min() < 128 else EMPTY]

    monkeypatch.setitem(sys.modules, "paddleocr", SimpleNamespace(PaddleOCR=PaddleOCR))
    monkeypatch.setattr(ppocr, "version", lambda name: "3.7.0")
    return calls


@pytest.fixture
def paddle(monkeypatch):
    """A function that says whether PaddlePaddle is installed."""
    return lambda installed: monkeypatch.setattr(ppocr, "find_spec", lambda name: name if installed else None)


def saved(folder, name, weights):
    folder.mkdir()
    (folder / "inference.yml").write_text(f"Global:\n  model_name: {name}\n")
    (folder / weights).write_bytes(b"weights")
    return str(folder)


def test_results_become_rows(package, tmp_path):
    lettering("Hello World").save(tmp_path / "a.png")
    lettering("").save(tmp_path / "blank.png")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    images = table(tmp_path, a="a.png", broken="broken.png", blank="blank.png", gone=None)
    rows = {row["image_id"]: row for row in run(ocr, images, tmp_path / "o", {"engine": "paddleocr"})}
    assert rows["a"]["text"] == "to Town\ncity limits" and rows["a"]["confidence"] == pytest.approx(0.85)
    assert rows["a"]["engine"] == "paddleocr" and rows["a"]["version"] == "3.7.0"
    for name in ("blank", "broken"):
        assert rows[name]["text"] == "" and rows[name]["confidence"] is None
    assert len(rows) == 3 and len(package.pixels) == 3
    metadata = parquet.metadata(tmp_path / "o")
    assert metadata["counts"] == {"images": 3, "with_text": 1, "tokens": 4}
    assert metadata["engine"]["recognition"] == {"model": "PP-OCRv6_medium_rec"}


def test_pixels_are_upright_bgr_bytes(package, tmp_path):
    lettering("red", colour=(200, 0, 0)).save(tmp_path / "a.png")
    run(ocr, table(tmp_path, a="a.png"), tmp_path / "o", {"engine": "paddleocr"})
    _, pixels = package.pixels  # the first is tried when the models are loaded
    assert pixels.shape == (140, 640, 3) and pixels.dtype == np.uint8 and pixels.flags["C_CONTIGUOUS"]
    assert pixels[..., 2].min() >= 200 and pixels[..., 0].min() < 50


@pytest.mark.parametrize("installed", [True, False])
def test_models_by_name(package, paddle, installed):
    paddle(installed)
    PaddleEngine(Ocr(engine="paddleocr", processes=3))
    options = package.options
    assert (options["text_detection_model_name"], options["text_detection_model_dir"]) == ("PP-OCRv6_medium_det", None)
    assert not options["use_doc_orientation_classify"] and not options["use_textline_orientation"]
    if installed:
        assert (options["engine"], options["cpu_threads"], options["enable_mkldnn"]) == ("paddle", 3, False)
    else:
        assert (options["engine"], options["engine_config"]) == ("onnxruntime", {"intra_op_num_threads": 3})


@pytest.mark.parametrize(("weights", "engine"), [("inference.onnx", "onnxruntime"), ("inference.pdiparams", "paddle")])
def test_models_in_folders(package, paddle, tmp_path, weights, engine):
    paddle(True)
    models = {
        "detection_model": saved(tmp_path / "d", "D", weights),
        "recognition_model": saved(tmp_path / "r", "R", weights),
    }
    paddle_engine = PaddleEngine(Ocr(engine="paddleocr", **models))
    options = package.options
    assert options["engine"] == paddle_engine.metadata["runtime"] == engine
    assert (options["text_detection_model_name"], options["text_recognition_model_name"]) == ("D", "R")
    assert options["text_recognition_model_dir"] == str(tmp_path / "r")
    assert paddle_engine.metadata["detection"]["files"].keys() == {"inference.yml", weights}


def test_what_is_missing_is_named(package, tmp_path, monkeypatch):
    def refused(message, **models):
        with pytest.raises(UserError, match=message):
            PaddleEngine(Ocr(engine="paddleocr", **models))

    refused(r"ocr\.detection_model: no such folder: './nowhere'", detection_model="./nowhere")
    refused(r"ocr\.recognition_model: the folder .* holds no inference\.yml", recognition_model=str(tmp_path))
    (tmp_path / "inference.yml").write_text("- a list")
    refused(r"holds no inference\.yml that names a model", recognition_model=str(tmp_path))
    package.fails = Exception("No available model hosting platforms detected.")
    refused(
        r"(?s)ocr\.detection_model 'PP-OCRv6_medium_det'.*No available model hosting.*set both to folders of models"
    )
    monkeypatch.setitem(sys.modules, "paddleocr", None)
    refused(r"paddleocr is not installed .*pip install -e '.\[paddle\]'.*set ocr\.engine to rapidocr")


def test_rapidocr_passes_over_what_it_cannot_take(tmp_path):
    pytest.importorskip("rapidocr")
    lettering("", (3000, 1)).save(tmp_path / "thin.png")
    lettering("STOP").save(tmp_path / "stop.png")
    images = table(tmp_path, thin="thin.png", stop="stop.png")
    rows = run(ocr, images, tmp_path / "o", {"engine": "rapidocr"})
    assert [row["text"] for row in rows] == ["", "STOP"]


def test_the_order_of_text_boxes_does_not_matter():
    columns = zip(PAGE["rec_polys"], PAGE["rec_texts"], PAGE["rec_scores"], strict=True)
    text_boxes = [TextBox(*values) for values in columns]
    result = join_text_boxes("a", text_boxes)
    assert result.text == "to Town\ncity limits" and result.confidence == pytest.approx(0.85)
    assert join_text_boxes("a", text_boxes[::-1]) == result
    assert join_text_boxes("a", [*text_boxes, TextBox(corners(0, 80), " ", 0.0)]) == result


def test_paddleocr_reads_lettering(tmp_path):
    folder = os.environ.get("ITA_PADDLE_MODELS")
    if not (folder and find_spec("paddleocr")):
        pytest.skip("paddleocr is not installed, or ITA_PADDLE_MODELS names no folder of its models")
    lettering("Hello World").save(tmp_path / "a.png")
    lettering("").save(tmp_path / "blank.png")
    models = {"detection_model": str(Path(folder) / "det"), "recognition_model": str(Path(folder) / "rec")}
    images = table(tmp_path, a="a.png", blank="blank.png")
    rows = run(ocr, images, tmp_path / "o", {"engine": "paddleocr", **models})
    assert [row["text"] for row in rows] == ["Hello World", ""] and rows[0]["confidence"] > 0.8
