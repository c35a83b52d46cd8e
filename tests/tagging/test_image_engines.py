"""The detector, captioner and OCR engine of a model."""

import json
import logging
from dataclasses import replace

import pytest
from PIL import Image

from ita import Tagger
from ita.commands import inspect
from ita.config import Context
from ita.errors import UserError
from ita.io.files import read_json
from ita.tagging.image_engines import ImageEngines, ReadImage, read_images
from ita.tagging.image_settings import ImageSettings, context_sections, differences, image_settings
from ita.tagging.image_sources import FetchedImage
from ita.vision.images import decode
from ita.vision.types import ImageFile
from tests.tagging.conftest import SECTIONS


@pytest.fixture
def settings(pictured):
    """Those of the model that reads all kinds."""
    run = pictured.run("image-text")
    return image_settings(read_json(run / "settings.json", "settings"), {}, run)


def test_what_inspect_prints_is_what_predict_reads(tesseract, pictured, capsys):
    """The printed context in place of the image gives the same entities with the same probabilities."""
    run, files = pictured.run("image-text"), [pictured.folder / f"test-{number}.png" for number in range(4)]
    assert inspect.main(["--model", str(run), *map(str, files)]) == 0
    printed = [json.loads(line)["context"] for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, printed)) == 4, "objects, two captions, characters: separators between them"
    tagger = Tagger.from_pretrained(run)
    text = "b xc d"
    images = tagger.predict([{"text": text, "image": str(file)} for file in files])
    contexts = tagger.predict([{"text": text, "context": context} for context in printed])
    assert [post.entities for post in images] == [post.entities for post in contexts]
    assert {post.view for post in (*images, *contexts)} == {"it"}
    (bare,) = tagger.predict([text])
    assert any(post.entities != bare.entities for post in images)


def test_settings_are_those_of_the_stages(pictured, settings):
    assert settings.detect == settings.caption_detect and settings.detect.model == SECTIONS["detect"]["model"]
    assert settings.detect.min_objects == 1 and settings.caption.model == SECTIONS["caption"]["model"]
    assert settings.ocr.processes == 1 and settings.context.captions == 2 and settings.context.separate_kinds
    assert settings.kinds == ["la", "ga", "oca"] and settings.regions is None
    for system, boxes in (("regions", False), ("boxes", True)):
        run = pictured.run(system)
        regions = image_settings(read_json(run / "settings.json", "settings"), {}, run)
        assert (regions.regions, regions.kinds, regions.region_boxes) == (settings.detect, [], boxes)


def test_one_detector_serves_all_that_need_it(tesseract, settings):
    assert len(ImageEngines(settings).detectors) == 1


def test_images_of_odd_sizes_and_broken_ones(tesseract, settings, tmp_path):
    sizes = [(1, 1), (1, 900), (900, 2), (64, 48)]
    files = []
    for number, size in enumerate(sizes):
        Image.new("RGB", size, "red").save(tmp_path / f"{number}.png")
        files.append(ImageFile(str(number), tmp_path / f"{number}.png"))
    (tmp_path / "broken.png").write_bytes(b"broken")
    read = ImageEngines(settings).read([*files, ImageFile("broken", tmp_path / "broken.png")])
    assert [read[str(number)].status for number in range(4)] == ["ok"] * 4
    assert read["broken"].status == "refused" and read["broken"].error.startswith("unreadable")
    assert not read["broken"].context.words


def test_texts_that_no_image_gives_are_named(caplog):
    with caplog.at_level(logging.WARNING, "ita"):
        ImageEngines(ImageSettings(Context(kinds=["knowledge"])))
    assert "the model also reads knowledge" in caplog.text


def test_a_captioner_of_regions_needs_their_detector(settings):
    from dataclasses import replace

    with pytest.raises(UserError, match="name their detector"):
        ImageEngines(replace(settings, caption_detect=None))


def test_an_image_at_which_a_model_fails_costs_only_itself(tesseract, pictured, monkeypatch, caplog):
    """The detector raises on one of three images: that post is tagged by its text, the others as without it."""
    tagger = Tagger.from_pretrained(pictured.run("image-text"))
    posts = [{"text": "b xc d", "image": str(pictured.folder / f"test-{number}.png")} for number in range(3)]
    expected = [post.to_dict() for post in tagger.predict(posts)]
    detector = tagger.image_engines().detectors[0][1]
    regions, wanted = detector.regions, decode(pictured.folder / "test-1.png").tobytes()

    def fail(images):
        if any(item.image.tobytes() == wanted for item in images):
            raise IndexError("index 7 is out of bounds\nfor axis 0")
        return regions(images)

    monkeypatch.setattr(detector, "regions", fail)
    first, failed, last = (post.to_dict() for post in tagger.predict(posts))
    assert (first, last) == (expected[0], expected[2])
    assert failed["image_status"] == "failed" and failed["view"] == "t"
    assert failed["image_error"] == "unreadable: IndexError: index 7 is out of bounds for axis 0"
    assert failed["entities"] == tagger.predict("b xc d")[0].to_dict()["entities"]
    assert "IndexError" in caplog.text

    def misconfigured(images):
        raise UserError("a program is missing")

    monkeypatch.setattr(detector, "regions", misconfigured)
    with pytest.raises(UserError, match="a program is missing"):
        tagger.predict(posts)


def test_an_answer_says_what_its_image_said_when_asked(tesseract, pictured, capsys):
    run, file = pictured.run("image-text"), pictured.folder / "test-0.png"
    assert inspect.main(["--model", str(run), str(file)]) == 0
    printed = json.loads(capsys.readouterr().out)
    tagger = Tagger.from_pretrained(run)
    posts = [{"text": "b xc", "image": str(file)}, {"text": "b xc"}, {"text": "b xc", "context": "man"}]
    explained, bare, given = (post.to_dict() for post in tagger.predict(posts, explain=True))
    assert {"image": str(file), **explained.pop("image_text")} == printed and printed["objects"]
    assert "image_text" not in bare and "image_text" not in given
    assert [explained, bare, given] == [post.to_dict() for post in tagger.predict(posts)]


def test_what_is_wrong_beside_the_pixels_is_said_of_an_image_that_is_read(tmp_path):
    class Engines:
        def read(self, files):
            return {file.image_id: ReadImage() for file in files}

    found = [FetchedImage("ok", "no-end-marker: x", tmp_path / "a"), FetchedImage("ok", None, tmp_path / "b")]
    found.append(FetchedImage("missing", "not-found: y", None))
    outcomes = [(image.status, image.error) for image in read_images(Engines(), found)]
    assert outcomes == [("ok", "no-end-marker: x"), ("ok", None), ("missing", "not-found: y")]


def test_what_a_language_model_wrote_is_not_made_up(pictured):
    tagger = Tagger.from_pretrained(pictured.run("image-text"))
    kinds = [*tagger.images.context.kinds, "gpt"]
    context = replace(tagger.images.context, kinds=kinds)
    tagger.images = replace(tagger.images, context=context, knowledge=("gpt",))
    bare, given = tagger.predict([{"text": "b xc d"}, {"text": "b xc d", "context": "c"}])
    assert "gpt" in bare.error and "language model" in bare.error and "tag.model" in bare.error
    assert given.error is None and given.view == "it"
    (text_alone,) = tagger.predict([{"text": "b xc d"}], view="t")
    assert text_alone.error is None


def test_a_run_folder_says_what_a_language_model_wrote(pictured):
    run = pictured.run("image-text")
    record = read_json(run / "settings.json", "settings")
    record["images"]["knowledge"] = {"gpt": {"model": "made"}}
    assert image_settings(record, {}, run).written == [], "none of its kinds"
    record["images"]["context"]["kinds"].append("gpt")
    assert image_settings(record, {}, run).written == ["gpt"]
    assert image_settings(record, {"context": {"kinds": ["la"]}}, run).written == []


def test_another_language_model_is_a_difference():
    def sections(**values):
        kinds = {"context": {"kinds": ["gpt", "texts"]}}
        return {**kinds, "knowledge": {"gpt": {"model": "one", **values}}}

    trained = sections()
    compared = context_sections(trained)
    assert compared == ["context", "knowledge.gpt"]
    assert (
        differences(trained, sections(address="http://10.0.0.1/v1", concurrency=99, prompt_price=1.0), compared) == []
    )
    told = differences(trained, sections(model="two", max_tokens=9), compared)
    assert told == [
        "knowledge.gpt.model is 'two' here, 'one' in training",
        "knowledge.gpt.max_tokens is 9 here, 160 in training",
    ]
    assert differences(trained, {"context": trained["context"]}, compared) == ["knowledge.gpt is missing here"]
