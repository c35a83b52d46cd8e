"""The OCR engine image-text with tiny models of random weights: a chat model, Florence-2, an encoder with a decoder."""

import pytest

from ita.config import Ocr
from ita.errors import UserError
from ita.io import parquet
from ita.stages import ocr
from ita.vision.ocr import build_ocr_engine
from ita.vision.ocr.image_text import read_text
from tests.support.chat_models import make_llava
from tests.support.pictures import run, scene, table
from tests.support.vision_models import make_florence, make_reader

MAKERS = {"chat": make_llava, "florence": make_florence, "reader": make_reader}
PROMPTS = {"florence": "<OCR>"}
TINY = {"engine": "image-text", "device": "cpu", "precision": "fp32", "max_tokens": 12}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readers")
    return {name: make(folder / name) for name, make in MAKERS.items()}


@pytest.fixture
def images(tmp_path):
    for seed, name in enumerate("abcd"):
        scene(90 + 40 * seed, 80, seed).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return table(tmp_path, a="a.png", broken="broken.png", b="b.png", gone=None, c="c.png", d="d.png")


@pytest.mark.parametrize("name", MAKERS)
def test_a_batch_gives_what_single_images_do(models, images, tmp_path, name):
    settings = {**TINY, "model": models[name], "prompt": PROMPTS.get(name)}
    alone = run(ocr, images, tmp_path / "one.parquet", settings, batch_size=1)
    together = run(ocr, images, tmp_path / "all.parquet", settings, batch_size=4)
    assert together == alone and [row["image_id"] for row in alone] == ["a", "broken", "b", "c", "d"]
    texts = {row["image_id"]: row["text"] for row in alone}
    assert not texts.pop("broken") and len(set(texts.values())) > 1
    assert all(row["engine"] == "image-text" and row["confidence"] is None for row in alone)
    engine = parquet.metadata(tmp_path / "one.parquet")["engine"]
    assert engine["chat"] == (name == "chat") and ("NONE" in (engine["prompt"] or "")) == (name == "chat")


@pytest.mark.parametrize("name", ["chat", "reader"])
def test_the_prompt_begins_what_is_written_and_is_no_part_of_it(models, images, tmp_path, name):
    settings = {**TINY, "model": models[name]}
    plain = run(ocr, images, tmp_path / "plain", settings)
    asked = run(ocr, images, tmp_path / "asked", settings, prompt="Total:")
    assert [row["text"] for row in plain] != [row["text"] for row in asked]
    assert any(row["text"] for row in asked) and not any(row["text"].startswith("Total:") for row in asked)


def test_what_frames_a_text_is_left_out():
    assert read_text("STOP\n\n  all  ways ") == "STOP\nall ways"
    assert read_text("```text\nSTOP\nhere\n```") == "STOP\nhere"
    assert read_text("<s_menu><s_nm>Tea</s_nm><sep/><s_nm>Cake</s_nm></s_menu>") == "Tea Cake"
    assert [read_text(answer) for answer in ("NONE", "None.", "**none**", "")] == ["", "", "", ""]
    assert read_text("None of us") == "None of us"


def test_a_model_has_to_be_named():
    with pytest.raises(UserError, match=r"ocr\.model: no model is named"):
        build_ocr_engine(Ocr(engine="image-text"))
