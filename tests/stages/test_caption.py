"""The stage caption with a tiny BLIP of random weights, saved and loaded through the Auto classes."""

import pytest

from ita.config import Caption
from ita.errors import UserError
from ita.io import parquet
from ita.stages import caption
from ita.vision.captioners.transformers import TransformersCaptioner
from tests.support.pictures import run, scene, table

TINY = {"backend": "transformers", "beams": 5, "captions": 5, "max_tokens": 6, "device": "cpu", "precision": "fp32"}


@pytest.fixture
def pictures(tmp_path):
    for seed, name in enumerate("abc"):
        scene(90 + 20 * seed, 80, seed).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return table(tmp_path, a="a.png", broken="broken.png", b="b.png", gone=None, c="c.png")


def test_all_beams_are_kept_best_first(pictures, blip, tmp_path):
    rows = run(caption, pictures, tmp_path / "out.parquet", TINY, model=blip)
    assert [(row["image_id"], row["rank"]) for row in rows] == [(name, rank) for name in "abc" for rank in range(5)]
    for name in "abc":
        own = [row for row in rows if row["image_id"] == name]
        assert [row["logprob"] for row in own] == sorted((row["logprob"] for row in own), reverse=True)
        assert len({row["caption"] for row in own}) == 5 and all(row["logprob"] < 0 for row in own)
    assert all(len(row["caption"].split()) <= 6 and "[" not in row["caption"] for row in rows)
    about = parquet.metadata(parquet.read("captions", tmp_path / "out.parquet"))
    assert about["engine"]["class"] == "BlipForConditionalGeneration" and about["counts"]["images"] == 3


def test_a_result_does_not_depend_on_its_batch(pictures, blip, tmp_path):
    alone = run(caption, pictures, tmp_path / "one.parquet", TINY, model=blip, batch_size=1)
    together = run(caption, pictures, tmp_path / "three.parquet", TINY, model=blip, batch_size=4)
    assert [row["caption"] for row in alone] == [row["caption"] for row in together]
    assert [row["logprob"] for row in alone] == pytest.approx([row["logprob"] for row in together], abs=1e-4)


def test_the_prompt_is_not_part_of_the_caption(pictures, blip, tmp_path):
    rows = run(caption, pictures, tmp_path / "o", TINY, model=blip, prompt="A  photo of", beams=2, captions=1)
    assert len(rows) == 3 and not any(row["caption"].lower().startswith("a photo of") for row in rows)
    assert all(row["caption"] for row in rows)
    plain = run(caption, pictures, tmp_path / "p", TINY, model=blip, beams=2, captions=1)
    assert [row["caption"] for row in plain] != [row["caption"] for row in rows]  # the model did see the prompt


def test_greedy_search_has_no_score_of_its_beam(pictures, blip, tmp_path):
    rows = run(caption, pictures, tmp_path / "o", TINY, model=blip, beams=1, captions=1, precision="bf16")
    assert len(rows) == 3 and all(row["logprob"] is None for row in rows)


def test_wrong_settings_and_models(blip, tmp_path):
    with pytest.raises(UserError, match=r"caption\.captions.*caption\.beams"):
        TransformersCaptioner(Caption(model=blip, beams=3, captions=4))
    with pytest.raises(UserError, match=r"caption\.model.*no such folder"):
        TransformersCaptioner(Caption(model="./nowhere"))
    from transformers import BertConfig, BertModel

    config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=10)
    BertModel(config).save_pretrained(tmp_path / "bert")
    with pytest.raises(UserError, match=r"caption\.model"):
        TransformersCaptioner(Caption(model=str(tmp_path / "bert")))


def test_files_of_several_captioners(pictures, tmp_path):
    (tmp_path / "one.txt").write_text("a.jpg :first of a\ngone.jpg :seen elsewhere\nstranger.jpg :nobody\nb.JPG :\n")
    (tmp_path / "two.json").write_text('{"a.jpg": ["second  of a", "third of a"], "c": "of c"}')
    files = [str(tmp_path / "one.txt"), str(tmp_path / "two.json")]
    rows = run(caption, pictures, tmp_path / "o", {"backend": "precomputed"}, files=files)
    assert [(row["image_id"], row["rank"], row["caption"]) for row in rows] == [
        ("a", 0, "first of a"),
        ("a", 1, "second of a"),
        ("a", 2, "third of a"),
        ("gone", 0, "seen elsewhere"),
        ("c", 0, "of c"),
    ]
    assert {"images", *files} == set(parquet.metadata(parquet.read("captions", tmp_path / "o"))["inputs"])
    with pytest.raises(RuntimeError):
        run(caption, pictures, tmp_path / "o", {"backend": "precomputed"})
