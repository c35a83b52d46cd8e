"""The stage caption with tiny models of random weights: a BLIP by the Auto classes, and a captioner of Oscar."""

import json

import pytest

from ita.cli import run_stage
from ita.config import Caption
from ita.errors import UserError
from ita.io import parquet
from ita.stages import caption
from ita.vision.captioners.transformers import TransformersCaptioner
from ita.vision.region_tables import feature_rows, object_rows
from ita.vision.types import DecodedImage
from tests.support.captioners import regions_of, save_oscar
from tests.support.chat_models import make_llava
from tests.support.pictures import run, scene, table

TINY = {"backend": "transformers", "beams": 5, "captions": 5, "max_tokens": 6, "device": "cpu", "precision": "fp32"}


@pytest.fixture
def images(tmp_path):
    for seed, name in enumerate("abc"):
        scene(90 + 20 * seed, 80, seed).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return table(tmp_path, a="a.png", broken="broken.png", b="b.png", gone=None, c="c.png")


def test_all_beams_are_kept_best_first(images, blip, tmp_path):
    rows = run(caption, images, tmp_path / "out.parquet", TINY, model=blip)
    assert [(row["image_id"], row["rank"]) for row in rows] == [(name, rank) for name in "abc" for rank in range(5)]
    for name in "abc":
        captions = [row for row in rows if row["image_id"] == name]
        assert [row["logprob"] for row in captions] == sorted((row["logprob"] for row in captions), reverse=True)
        assert len({row["caption"] for row in captions}) == 5 and all(row["logprob"] < 0 for row in captions)
    assert all(len(row["caption"].split()) <= 6 and "[" not in row["caption"] for row in rows)
    metadata = parquet.metadata(tmp_path / "out.parquet")
    assert metadata["engine"]["class"] == "BlipForConditionalGeneration"
    assert metadata["counts"] == {"images": 3, "captions": 15}


def test_a_result_does_not_depend_on_its_batch(images, blip, tmp_path):
    alone = run(caption, images, tmp_path / "one.parquet", TINY, model=blip, batch_size=1)
    together = run(caption, images, tmp_path / "three.parquet", TINY, model=blip, batch_size=4)
    assert [row["caption"] for row in alone] == [row["caption"] for row in together]
    assert [row["logprob"] for row in alone] == pytest.approx([row["logprob"] for row in together], abs=1e-4)


def test_the_prompt_is_not_part_of_the_caption(images, blip, tmp_path):
    rows = run(caption, images, tmp_path / "o", TINY, model=blip, prompt="A  photo of", beams=2, captions=1)
    assert len(rows) == 3 and not any(row["caption"].lower().startswith("a photo of") for row in rows)
    assert all(row["caption"] for row in rows)
    plain = run(caption, images, tmp_path / "p", TINY, model=blip, beams=2, captions=1)
    assert [row["caption"] for row in plain] != [row["caption"] for row in rows]  # the prompt had an effect


def test_greedy_search_has_no_score_of_its_beam(images, blip, tmp_path):
    rows = run(caption, images, tmp_path / "o", TINY, model=blip, beams=1, captions=1, precision="bf16")
    assert len(rows) == 3 and all(row["logprob"] is None for row in rows)


def test_a_chat_model_answers_at_length_and_once(images, tmp_path):
    llava = make_llava(tmp_path / "llava")
    chat = {"backend": "transformers", "model": llava, "device": "cpu", "precision": "fp32", "max_tokens": 12}
    alone = run(caption, images, tmp_path / "one.parquet", chat, batch_size=1)
    together = run(caption, images, tmp_path / "three.parquet", chat, batch_size=4)
    assert together == alone and [(row["rank"], row["logprob"]) for row in alone] == [(0, None)] * 3
    assert len({row["caption"] for row in alone}) > 1
    engine = parquet.metadata(tmp_path / "one.parquet")["engine"]
    assert engine["chat"] and (engine["beams"], engine["captions"], engine["max_tokens"]) == (1, 1, 12)
    asked = run(caption, images, tmp_path / "o", chat, prompt="Who is it?")
    assert [row["caption"] for row in asked] != [row["caption"] for row in alone], "the prompt had an effect"
    beams = run(caption, images, tmp_path / "o", chat, beams=3, captions=2)
    assert len(beams) == 6 and all(row["logprob"] < 0 for row in beams)
    small = [TransformersCaptioner(Caption(**chat, max_pixels=pixels)) for pixels in (784, 10_000)]
    picture = DecodedImage("p", scene(200, 50, 4))
    shrunk = DecodedImage("p", picture.image.resize((56, 14)))
    assert small[0].caption([picture]) == small[0].caption([shrunk]) == small[1].caption([shrunk])
    assert TransformersCaptioner(Caption(backend="transformers", model=llava)).search.max_tokens == 128


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


def test_files_of_several_captioners(images, tmp_path):
    (tmp_path / "one.txt").write_text("a.jpg :first of a\ngone.jpg :from elsewhere\nunknown.jpg :nobody\nb.JPG :\n")
    (tmp_path / "two.json").write_text('{"a.jpg": ["second  of a", "third of a"], "c": "of c"}')
    files = [str(tmp_path / "one.txt"), str(tmp_path / "two.json")]
    rows = run(caption, images, tmp_path / "o", {"backend": "precomputed"}, files=files)
    assert [(row["image_id"], row["rank"], row["caption"]) for row in rows] == [
        ("a", 0, "first of a"),
        ("a", 1, "second of a"),
        ("a", 2, "third of a"),
        ("gone", 0, "from elsewhere"),
        ("c", 0, "of c"),
    ]
    assert {"images", *files} == set(parquet.metadata(parquet.read("captions", tmp_path / "o"))["inputs"])
    with pytest.raises(RuntimeError):
        run(caption, images, tmp_path / "o", {"backend": "precomputed"})


@pytest.fixture
def write_regions(tmp_path):
    """A function that writes objects and features of images; options of the stage."""

    def write(*image_ids):
        objects, features = tmp_path / "objects.parquet", tmp_path / "features.parquet"
        images = {image_id: regions_of(number + 1, 4) for number, image_id in enumerate(image_ids)}
        rows = [row for image_id, regions in images.items() for row in object_rows(image_id, regions.objects)]
        parquet.write("objects", rows, objects, {"engine": {"name": "a detector"}})
        rows = [row for image_id, regions in images.items() for row in feature_rows(image_id, regions)]
        parquet.write("features", rows, features)
        return ["--objects", str(objects), "--features", str(features)]

    return write


@pytest.fixture
def oscar(tmp_path):
    """Settings of a captioner of regions."""
    (tmp_path / "oscar").mkdir()
    save_oscar(tmp_path / "oscar")
    return {**TINY, "backend": "oscar", "model": str(tmp_path / "oscar"), "captions": 2}


def run_on_regions(images, output, settings, *options):
    arguments = ["--settings", json.dumps({"caption": settings}), "--images", str(images), "--output", str(output)]
    return run_stage(caption, [*arguments, *options])


def test_regions_are_captioned_where_a_detector_looked(images, oscar, write_regions, tmp_path):
    assert run_on_regions(images, tmp_path / "o", oscar, *write_regions("a", "c")) == 0
    rows = parquet.rows("captions", tmp_path / "o")
    assert [(row["image_id"], row["rank"]) for row in rows] == [("a", 0), ("a", 1), ("c", 0), ("c", 1)]
    metadata = parquet.metadata(tmp_path / "o")
    assert metadata["engine"]["detector"] == {"name": "a detector"} and metadata["counts"]["images"] == 2


def test_a_captioner_of_regions_needs_those_of_its_images(images, oscar, write_regions, tmp_path, capsys):
    assert run_on_regions(images, tmp_path / "o", oscar) == 1
    assert "captioner 'oscar' describes regions: give --objects and --features" in capsys.readouterr().err
    assert run_on_regions(images, tmp_path / "o", oscar, *write_regions("a", "z")) == 1
    assert "'z' is not among the images of this shard" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
