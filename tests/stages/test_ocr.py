"""The stage ocr: texts are those of plain Tesseract, image by image, only sooner."""

import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ita.config import Ocr
from ita.errors import UserError
from ita.io import parquet
from ita.io.image_decoder import Picture
from ita.model.device import cpu_cores
from ita.stages import ocr
from ita.vision.ocr import tesseract as tesseract_engine
from ita.vision.ocr.ppocr import RapidEngine
from ita.vision.ocr.tesseract import TesseractEngine, mean_confidences
from ita.vision.types import ImageFile
from tests.support.pictures import lettering, run, save_turned, table

WORDS = ["Hello World", "Open 24 hours", "STOP", "Kansas baseball", "Paris in May"]


@pytest.fixture
def drawn(tmp_path):
    """Images of text in all formats, one without text, and their table."""
    files = {}
    for number, (text, kind) in enumerate(zip(WORDS, ("png", "jpg", "gif", "webp", "bmp"), strict=True)):
        files[f"i{number}"] = f"i{number}.{kind}"
        lettering(text).save(tmp_path / files[f"i{number}"])
    lettering("").save(tmp_path / "blank.png")
    return table(tmp_path, blank="blank.png", gone=None, **files)


def test_tesseract_reads_lettering(tesseract, drawn, tmp_path):
    rows = run(ocr, drawn, tmp_path / "o.parquet", {"images_per_process": 4})
    texts = {row["image_id"]: row["text"].strip() for row in rows}
    assert texts == {"blank": "", **{f"i{number}": text for number, text in enumerate(WORDS)}}
    for row in rows:
        assert row["engine"] == "tesseract" and row["version"] == str(tesseract.get_tesseract_version())
        if row["text"].strip():
            data = tesseract.image_to_data(str(next(tmp_path.glob(f"{row['image_id']}.*"))), output_type="dict")
            words = [float(c) for c, word in zip(data["conf"], data["text"], strict=True) if word.strip()]
            assert row["confidence"] == pytest.approx(sum(words) / len(words) / 100, abs=0.01)
        else:
            assert row["confidence"] is None
    assert parquet.metadata(parquet.read("ocr", tmp_path / "o.parquet"))["counts"] == {
        "images": 6,
        "with_text": 5,
        "tokens": 11,
    }


@pytest.mark.parametrize(("size", "processes"), [(1, 1), (3, 2), (16, 0)])
def test_lists_give_the_text_of_single_paths(tesseract, drawn, tmp_path, size, processes):
    rows = run(ocr, drawn, tmp_path / "o", {"images_per_process": size, "processes": processes})
    for row in rows:
        path = next(tmp_path.glob(f"{row['image_id']}.*"))
        assert row["text"] == tesseract.image_to_string(str(path))


@pytest.mark.parametrize("step", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_texts_of_real_images_are_those_of_plain_tesseract(tesseract, data, step):
    """Text by text equal to ``pytesseract.image_to_string(path)`` on photographs and images of tweets."""
    patterns = ("tweets30/*/images/*", "vinvl6/images/*", "coco83/images/*.jpg")
    files = sorted(path for pattern in patterns for path in data.glob(pattern))[::step]
    results = list(TesseractEngine(Ocr()).recognize([ImageFile(path.name, path) for path in files]))
    with tesseract_engine.one_thread(), ThreadPoolExecutor(cpu_cores()) as pool:
        expected = list(pool.map(tesseract.image_to_string, map(str, files)))
    assert files and [result.text for result in results] == expected


def test_a_broken_image_costs_only_itself(tesseract, tmp_path, caplog, monkeypatch):
    lettering("Hello World").save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    # Tesseract takes text for a list of images: this one would be read twice, and any file of the machine could be.
    (tmp_path / "list.jpg").write_text(f"{tmp_path}/a.png\n{tmp_path}/a.png\n")
    lettering("STOP").save(tmp_path / "b.png")
    images = table(tmp_path, half="half.png", a="a.png", list="list.jpg", b="b.png", out="../a.png")
    with caplog.at_level(logging.INFO):
        rows = run(ocr, images, tmp_path / "o", {"processes": 1})
    texts = {row["image_id"]: (row["text"].strip(), row["confidence"] is None) for row in rows}
    assert texts == {"half": ("", True), "a": ("Hello World", False), "list": ("", True), "b": ("STOP", False)}

    # Even what Pillow reads and Tesseract does not is read, from a copy, and its neighbours with it.
    def blind(path: Path) -> Picture:
        return Picture(lettering("not looked at"), "PNG", True, None)

    frames = [lettering("Open 24 hours"), lettering("never seen")]
    frames[0].save(tmp_path / "c.webp", save_all=True, append_images=frames[1:])
    for reader in (tesseract_engine.read_picture, blind):
        monkeypatch.setattr(tesseract_engine, "read_picture", reader)
        rows = run(ocr, table(tmp_path, a="a.png", c="c.webp", b="b.png"), tmp_path / "o", {"processes": 1})
        assert [row["text"].strip() for row in rows] == ["Hello World", "Open 24 hours", "STOP"]
    # Even if nothing checks it, a broken image still takes only its own text with it.
    rows = run(ocr, table(tmp_path, a="a.png", half="half.png", b="b.png"), tmp_path / "o", {"processes": 1})
    assert [row["text"].strip() for row in rows] == ["Hello World", "", "STOP"]


def test_a_slow_image_is_given_up(tesseract, drawn, tmp_path, caplog):
    rows = run(ocr, drawn, tmp_path / "o", {"timeout": 0.001, "images_per_process": 3})
    assert len(rows) == 6 and all(row["text"] == "" and row["confidence"] is None for row in rows)


def test_a_rotated_image_is_read_upright(tesseract, tmp_path):
    save_turned(lettering("Hello World"), tmp_path / "turned.jpg")
    rows = run(ocr, table(tmp_path, turned="turned.jpg"), tmp_path / "o", {})
    assert rows[0]["text"].strip() == "Hello World"


def test_the_environment_is_put_back(tesseract, drawn, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_THREAD_LIMIT", "3")
    with tesseract_engine.one_thread():
        assert os.environ["OMP_THREAD_LIMIT"] == "1"
    assert os.environ["OMP_THREAD_LIMIT"] == "3"


def test_what_is_missing_is_named(tesseract, monkeypatch):
    with pytest.raises(UserError, match=r"ocr\.language.*'tlh'.*apt-get install tesseract-ocr-tlh"):
        TesseractEngine(Ocr(language="eng+tlh"))
    monkeypatch.setattr("pytesseract.pytesseract.tesseract_cmd", "no-such-program")
    with pytest.raises(UserError, match="apt-get install tesseract-ocr"):
        TesseractEngine(Ocr())
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(UserError, match=r"pip install -c constraints.txt -e '.\[rapidocr\]'"):
        RapidEngine(Ocr(engine="rapidocr"))


def test_confidences_are_means_over_the_words_of_a_page():
    head = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext"
    word = "5\t{}\t1\t1\t1\t1\t0\t0\t9\t9\t{}\t{}"
    lines = [head, "1\t1\t0\t0\t0\t0\t0\t0\t9\t9\t-1\t", word.format(1, 90, "a"), word.format(1, 70.0, '"b')]
    lines += [word.format(2, 95, " "), word.format(3, 50, "c")]
    assert mean_confidences("\n".join(lines) + "\n") == pytest.approx({1: 0.8, 3: 0.5})


def test_rapidocr_reads_lettering(tmp_path):
    pytest.importorskip("rapidocr")
    lettering("Hello World").save(tmp_path / "a.png")
    two = lettering("second line", (640, 260))
    two.paste(lettering("First line", (640, 130)), (0, 0))
    two.paste(lettering("second line", (640, 130)), (0, 130))
    two.save(tmp_path / "two.png")
    lettering("").save(tmp_path / "blank.png")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    images = table(tmp_path, a="a.png", broken="broken.png", blank="blank.png", two="two.png")
    rows = {row["image_id"]: row for row in run(ocr, images, tmp_path / "o", {"engine": "rapidocr"})}
    assert rows["a"]["text"] == "Hello World" and 0.8 < rows["a"]["confidence"] <= 1
    assert rows["two"]["text"].lower() == "first line\nsecond line"
    assert rows["blank"]["text"] == rows["broken"]["text"] == "" and rows["blank"]["confidence"] is None
    assert rows["a"]["engine"] == "rapidocr" and rows["a"]["version"][0].isdigit()
