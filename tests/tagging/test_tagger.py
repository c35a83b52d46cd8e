"""The tagger of Python users, and what stands behind ``ita predict``."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

import ita
from ita import Tagger
from ita.errors import UserError
from ita.io import parquet
from tests.support import web
from tests.support.runs import trained
from tests.support.web import FAST, Handler, body
from tests.tagging.conftest import SECTIONS, SYSTEMS

server, clean_slate = web.server, web.clean_slate


@pytest.fixture(scope="module")
def run(corpus, tiny_encoder, tmp_path_factory):
    """A tagger of the made-up corpus, whose types only a context tells; its longest input is 64 subwords."""
    system = {"context": "ga", "views": ["t", "it"]}
    return trained(corpus, tmp_path_factory.mktemp("runs") / "run", tiny_encoder, system, epochs=30)


@pytest.fixture(scope="module")
def tagger(run):
    return Tagger.from_pretrained(run)


def found(post):
    """What was found in a post: words and types."""
    return [(entity.surface, entity.type) for entity in post.entities]


@pytest.mark.parametrize("system", SYSTEMS)
def test_new_images_are_read_as_those_of_training_were(tesseract, pictured, system):
    """From tokens and image files alone: the entities and probabilities that evaluate has, in both views."""
    tagger = Tagger.from_pretrained(pictured.run(system))
    rows = parquet.rows("predictions", pictured.run(system) / "predictions.parquet")
    assert {row["view"] for row in rows} == {"t", "it"}
    for view, asked in (("t", "t"), ("it", "auto")):
        expected = [row for row in rows if row["view"] == view]
        answers = tagger.predict([pictured.posts[row["post_id"]] for row in expected], view=asked)
        for row, answer in zip(expected, answers, strict=True):
            spans = [(entity.words, entity.type) for entity in answer.entities]
            assert spans == [((span["start"], span["end"]), span["type"]) for span in row["spans"]]
            scores = [span["posterior"] for span in row["spans"]]
            assert [entity.score for entity in answer.entities] == pytest.approx(scores, abs=1e-4)
            status = "unread" if view == "t" or system == "text" else "missing" if row["post_id"][-1] == "4" else "ok"
            assert answer.image_status == status
            assert answer.view == ("it" if status == "ok" else "t")


def test_one_image_by_path_url_and_bytes(tesseract, pictured, server):
    file = pictured.folder / "test-0.png"
    Handler.replies = {"/a.png": body(file.read_bytes())}
    tagger = Tagger.from_pretrained(
        pictured.run("image-text"), settings={"download": FAST}, image_folder=pictured.folder
    )
    images = ["test-0.png", f"{server}/a.png", file.read_bytes(), {"bytes": file.read_bytes(), "path": None}]
    answers = tagger.predict([{"text": "b xc", "image": image} for image in images])
    assert len({json.dumps(answer.to_dict()["entities"]) for answer in answers}) == 1
    assert [(answer.view, answer.image_status) for answer in answers] == [("it", "ok")] * 4
    refused, broken = Tagger.from_pretrained(pictured.run("image-text")).predict(
        [{"text": "b xc", "image": image} for image in (f"{server}/a.png", b"no image")]
    )
    assert (refused.view, refused.image_status) == ("t", "refused") and "private-address" in refused.image_error
    assert broken.image_error.startswith("not-an-image") and broken.error is None and broken.entities is not None


def test_the_view_t_never_looks_at_an_image(pictured, monkeypatch):
    from ita.tagging import image_engines, image_sources

    def look(*_):
        raise AssertionError("an image was looked at")

    monkeypatch.setattr(image_sources.ImageSources, "fetch", look)
    monkeypatch.setattr(image_engines.ImageEngines, "__init__", look)
    tagger = Tagger.from_pretrained(pictured.run("image-text"))
    (answer,) = tagger.predict([{"text": "b xc", "image": "http://x.org/a.png", "context": "man"}], view="t")
    assert (answer.view, answer.image_status) == ("t", "unread")
    (given,) = tagger.predict([{"text": "b xc", "image": "http://x.org/a.png", "context": "man"}])
    assert (given.view, given.image_status) == ("it", "unread"), "its context stands for the image"


def test_inputs_of_every_kind(tagger):
    assert tagger.types == ["LOC", "PER"]
    text, tokens, mapping = tagger.predict(["b xc", ["b", "xc"], {"text": "b  xc", "context": "house tree", "id": 7}])
    assert found(text) == found(tokens) and [entity.start for entity in mapping.entities] == [3]
    assert found(mapping) == [("xc", "LOC")] and mapping.to_dict()["id"] == 7 and mapping.view == "it"
    assert found(tagger.predict("b xc")[0]) == found(text) and tagger.predict([]) == []
    frame = pd.DataFrame({"text": ["b xc", "b xc", None], "context": ["man", None, "man"], "n": [1, 2, 3]})
    first, second, third = tagger.predict(frame)
    assert found(first) == [("xc", "PER")] and second.view == "t" and second.to_dict()["n"] == 2
    assert third.error == "expected 'tokens' or 'text'" and third.entities == []
    number, surrogate, last = tagger.predict([7, "\ud83d", "b xc"])
    assert "found int" in number.error and "U+D83D" in surrogate.error and found(last) == found(text)
    with pytest.raises(UserError, match="expected a column 'text' or 'tokens', found words"):
        tagger.predict(pd.DataFrame({"words": []}))


def test_answers_do_not_depend_on_the_batch(tagger):
    posts = [{"text": "b xc " * (1 + number % 5), "context": "man" if number % 2 else None} for number in range(40)]
    whole = [post.to_dict() for post in tagger.predict(posts)]
    single = [tagger.predict([post], batch_size=1)[0].to_dict() for post in posts]
    assert [post["tokens"] for post in whole] == [post["tokens"] for post in single]
    for one, other in zip(whole, single, strict=True):
        assert [entity["words"] for entity in one["entities"]] == [entity["words"] for entity in other["entities"]]


def test_threads_share_a_tagger(tagger):
    posts = [[f"{letter * (1 + number % 4)} x{letter}" for number in range(30)] for letter in "abcde"]
    expected = [tagger.predict(batch) for batch in posts]
    with ThreadPoolExecutor(5) as pool:
        for _ in range(4):
            assert list(pool.map(tagger.predict, posts)) == expected


def test_no_entity_is_lost_at_the_seams_of_a_long_document(tagger):
    """Far longer than the encoder's 64 subwords, at every place of the seam."""
    for shift in range(0, 40, 7):
        words = ["b"] * shift + ["b", "xc", "a", "d", "e"] * 60
        (answer,) = tagger.predict([" ".join(words)])
        assert [entity.words[0] for entity in answer.entities] == [at for at, word in enumerate(words) if word == "xc"]
        assert all(answer.text[entity.start : entity.end] == "xc" for entity in answer.entities)


def test_a_book_is_a_document_too(tagger):
    """2,000 windows; a search through all of them for each word would take minutes."""
    words = ["b", "xc", "a"] * 10_000
    (answer,) = tagger.predict([words])
    assert [entity.words for entity in answer.entities] == [(at, at + 1) for at in range(1, len(words), 3)]


def test_a_context_that_does_not_fit_was_not_read(tagger):
    fits, fills, long = tagger.predict([{"text": "b " * count + "xc", "context": "man"} for count in (40, 60, 100)])
    assert [post.view for post in (fits, fills, long)] == ["it", "t", "t"]


def test_memory_of_words_is_bounded(tagger, monkeypatch):
    from ita.tagging import tagger as module

    monkeypatch.setattr(module, "CACHED_WORDS", 50)
    for start in range(0, 400, 20):
        tagger.predict([" ".join(f"a{number}" for number in range(start, start + 20))])
    assert len(tagger._encoder._cache) <= 70


def test_a_copy_is_a_model(tagger, run, tmp_path):
    (run / "checkpoint").mkdir(exist_ok=True)
    (run / "checkpoint" / "state.pt").touch()
    tagger.save_pretrained(tmp_path / "copy")
    tagger.save_pretrained(tmp_path / "copy")
    shutil.rmtree(run / "checkpoint")
    assert not (tmp_path / "copy" / "checkpoint").exists()
    assert Tagger.from_pretrained(tmp_path / "copy").predict("b xc") == tagger.predict("b xc")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(UserError, match="holds something else than a model"):
        tagger.save_pretrained(tmp_path / "other")


def test_an_older_run_folder_says_what_is_missing(run, tmp_path):
    folder = Tagger.from_pretrained(run).save_pretrained(tmp_path / "old")
    settings = json.loads((folder / "settings.json").read_text())
    settings.pop("images", None)
    settings.pop("marks")
    (folder / "settings.json").write_text(json.dumps(settings))
    tagger = Tagger.from_pretrained(folder)
    assert found(tagger.predict({"text": "xc", "context": "man"})[0]) == [("xc", "PER")]
    with pytest.raises(UserError, match="does not say with which detector, captioner and OCR engine"):
        tagger.predict({"text": "xc", "image": b"x"})
    (answer,) = tagger.predict({"text": "xc", "image": b"x"}, view="t")
    assert answer.image_status == "unread"


def test_settings_win_over_those_of_the_model(tesseract, pictured):
    post = {"text": "b xc", "image": str(pictured.folder / "test-0.png")}
    precomputed = {"detect": {"backend": "precomputed", "files": ["a.txt"]}}
    with pytest.raises(UserError, match="detect.backend: precomputed has no model to run"):
        Tagger.from_pretrained(pictured.run("image-text"), settings=precomputed).predict(post)
    with pytest.raises(UserError, match="unknown section 'detector'"):
        Tagger.from_pretrained(pictured.run("image-text"), settings={"detector": {}})
    with pytest.raises(UserError, match="ocr.engine"):
        Tagger.from_pretrained(pictured.run("image-text"), settings={"ocr": {"engine": "none"}})
    kinds = {"context": {"kinds": ["ga"]}}
    (answer,) = Tagger.from_pretrained(pictured.run("image-text"), settings=kinds).predict(post)
    assert answer.view == "it"
    (answer,) = Tagger.from_pretrained(pictured.run("text"), settings={**SECTIONS, **kinds}).predict(post)
    assert answer.image_status == "ok"


def test_models_move_with_their_project(tesseract, pictured, tmp_path, monkeypatch):
    """Local models of the run's settings are found from where the run folder lies, whatever the working folder."""
    project = tmp_path / "project"
    run = project / "results" / "run"
    shutil.copytree(pictured.run("image-text"), run)
    for name in ("detector", "captioner"):
        shutil.copytree(SECTIONS["detect"]["model"].replace("detector", name), project / "models" / name)
    settings = json.loads((run / "settings.json").read_text())
    for section, name in (("detect", "detector"), ("caption_detect", "detector"), ("caption", "captioner")):
        settings["images"][section]["model"] = f"models/{name}"
    (run / "settings.json").write_text(json.dumps(settings))
    monkeypatch.chdir(tmp_path)
    post = {"text": "b xc", "image": str(pictured.folder / "test-0.png")}
    expected = Tagger.from_pretrained(pictured.run("image-text")).predict(post)
    assert Tagger.from_pretrained("project/results/run").predict(post) == expected


def test_import_is_light():
    code = "import sys, ita; ita.__version__; assert not {'torch', 'pandas', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Taggers'"):
        _ = ita.Taggers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp16"}, "expected fp32 or bf16, found 'fp16'"),
        ({"quantize": "int4"}, "expected int8, or none, found 'int4'"),
        ({"precision": "bf16", "quantize": "int8"}, "exclude each other"),
    ],
)
def test_an_arithmetic_that_there_is_not(run, options, message):
    with pytest.raises(UserError, match=message):
        Tagger.from_pretrained(run, **options)
