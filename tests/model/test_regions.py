"""Taggers that read regions of images: training, folders, evaluation, and the distance between the views."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, DistilBertConfig, DistilBertModel

from ita.commands import predict
from ita.io import parquet
from ita.io.features import load_features
from ita.model import trainer
from ita.model.batching import collate
from ita.model.checkpoint import load_model
from ita.model.dataset import load_contexts
from ita.model.inference import predict_tags
from ita.model.inputs import encode_views
from tests.model.conftest import WIDTH
from tests.support.runs import digest, evaluated, history, trained

IMGFEAT = {"regions": "resnet", "views": ["it"]}


@pytest.fixture(scope="module")
def run(pictured, tiny_encoder, tmp_path_factory):
    """A tagger trained on region features."""
    folder, shards = pictured
    return trained(folder, tmp_path_factory.mktemp("run"), tiny_encoder, IMGFEAT, features=shards, epochs=40)


def test_regions_alone_tell_the_type(pictured, run):
    metrics = evaluated(pictured[0], run, pictured[1])
    for split in ("dev", "test"):
        f1 = {view: scores["default"]["f1"] for view, scores in metrics["scores"][split].items()}
        assert f1["it"] > f1["t"] + 15, "only the regions tell the type"
        assert f1["it"] > 80
        assert metrics["representation_distance"][split] > 0
    assert {"1-of-2.parquet", "2-of-2.parquet"} <= metrics["inputs"].keys()
    about = json.loads((run / "settings.json").read_text())
    posts = {"train": 56, "dev": 14}
    made = {"detector": "resnet", "engine": {"class": "ResNet"}, "width": WIDTH, "projection": "random"}
    assert about["regions"] == {**made, "posts": posts, "truncated": {"train": 0, "dev": 0}}
    assert {"1-of-2.parquet", "2-of-2.parquet"} <= about["inputs"].keys()


def test_a_folder_is_read_as_it_was_written(pictured, run):
    tagger, _, about = load_model(run)
    assert tagger.projection.weight.shape == (16, WIDTH) == (16, about["regions"]["width"])
    assert tagger.region_features is None
    dev_f1 = evaluated(pictured[0], run, pictured[1])["scores"]["dev"]["it"]["default"]["f1"]
    rows = history(run)
    assert dev_f1 == pytest.approx(max(float(row["dev_f1_it"]) for row in rows), abs=1e-4)


@pytest.mark.parametrize("padding", ["none", "all"])
@pytest.mark.parametrize("alignment", ["posterior", "structural"])
def test_both_views_and_a_context_beside_regions(pictured, tiny_encoder, tmp_path, alignment, padding):
    system = {"context": "ga", "regions": "demo", "views": ["t", "it"], "alignment": alignment}
    run = trained(pictured[0], tmp_path, tiny_encoder, system, features=pictured[1], epochs=2, padding=padding)
    assert {"loss_t", "loss_it", "loss_alignment"} <= history(run)[0].keys()
    assert load_model(run)[0].projection.weight.isfinite().all()
    evaluated(pictured[0], run, pictured[1])


def test_the_projection_learns(pictured, tiny_encoder, tmp_path):
    first, second = (
        trained(pictured[0], tmp_path / str(n), tiny_encoder, IMGFEAT, features=pictured[1], epochs=n) for n in (1, 2)
    )
    one, two = (load_model(run)[0].projection.weight for run in (first, second))
    assert (one - two).abs().max() > 1e-3


def test_an_encoder_of_another_family(pictured, tiny_encoder, tmp_path):
    folder = tmp_path / "distil"
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64}
    DistilBertModel(DistilBertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    run = trained(pictured[0], tmp_path / "run", folder, IMGFEAT, features=pictured[1], epochs=1)
    assert evaluated(pictured[0], run, pictured[1])["representation_distance"]["test"] > 0


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def test_a_killed_run_goes_on_to_the_same_model(pictured, tiny_encoder, tmp_path, monkeypatch):
    def start(name):
        return trained(pictured[0], tmp_path / name, tiny_encoder, IMGFEAT, features=pictured[1])

    whole = start("whole")
    run_epoch = trainer.run_epoch

    def dies_in_the_third_epoch(*arguments):
        if arguments[4] == 2:
            raise Killed
        return run_epoch(*arguments)

    monkeypatch.setattr(trainer, "run_epoch", dies_in_the_third_epoch)
    with pytest.raises(Killed):
        start("cut")
    state = torch.load(tmp_path / "cut" / "checkpoint" / "state.pt", weights_only=True)
    assert "projection.weight" in state["model"] and "region_features" not in state["model"]
    monkeypatch.setattr(trainer, "run_epoch", run_epoch)
    assert digest(start("cut")) == digest(whole)


def test_what_does_not_fit_is_refused(pictured, run, tiny_encoder, corpus, tmp_path, capsys):
    folder, shards = pictured

    def refused(system, message, **options):
        trained(folder, tmp_path, tiny_encoder, system, expect=1, **options)
        assert message in capsys.readouterr().err

    refused(IMGFEAT, "the system reads regions of the detector 'resnet': give its --features")
    refused({"views": ["it"]}, "the system reads no regions", features=shards)
    refused({**IMGFEAT, "views": ["t"]}, "regions are read in the view it", features=shards)
    parquet.write("features", [], tmp_path / "none.parquet")
    refused(IMGFEAT, "holds no features of these posts' images", features=[tmp_path / "none.parquet"])
    evaluated(folder, run, expect=1)
    assert "the model reads regions of the detector 'resnet'" in capsys.readouterr().err
    row = {"image_id": "image-dev-0", "width": 1, "height": 1, "regions": 1, "features": np.ones(3, np.float32)}
    parquet.write("features", [row], tmp_path / "narrow.parquet")
    evaluated(folder, run, [tmp_path / "narrow.parquet"], expect=1)
    assert "regions of 3 numbers, expected 6" in capsys.readouterr().err
    plain = trained(folder, tmp_path / "plain", tiny_encoder, {"views": ["it"]}, epochs=1)
    evaluated(folder, plain, shards, expect=1)
    assert "the model was trained without regions" in capsys.readouterr().err


def test_posts_without_any_image_are_tagged_all_the_same(pictured, run, tmp_path):
    folder, shards = pictured
    scores = evaluated(folder, run, shards)["scores"]["test"]
    parquet.write("features", [], tmp_path / "none.parquet")
    without = evaluated(folder, run, [tmp_path / "none.parquet"])["scores"]["test"]
    assert without["t"]["default"] == scores["t"]["default"]
    assert without["it"]["default"]["f1"] < scores["it"]["default"]["f1"] - 15, "only the regions tell the type"


def test_predict_without_images_reads_no_regions(run, tmp_path, capsys):
    (tmp_path / "posts.txt").write_text('aa xb cc\n{"text": "b xc", "context": "b"}\n')
    capsys.readouterr()
    assert predict.main([str(run), str(tmp_path / "posts.txt")]) == 0
    assert [json.loads(line)["view"] for line in capsys.readouterr().out.splitlines()] == ["t", "it"]


@pytest.mark.parametrize("regions", [True, False])
def test_the_distance_is_that_of_posts_one_by_one(pictured, run, tiny_encoder, tmp_path, regions):
    """By plain passes over one post at a time: regions or context move its words, and every word counts once."""
    folder, shards = pictured
    shards = shards if regions else []
    if not regions:
        run = trained(folder, tmp_path, tiny_encoder, {"context": "ga", "views": ["it"]}, epochs=1)
    reported = evaluated(folder, run, shards)["representation_distance"]
    tagger, encoder, _ = load_model(run)
    rows = parquet.rows("posts", folder / "posts.parquet")
    contexts = load_contexts(rows, folder / "ga.parquet")
    table = load_features(shards, {row["image_id"] for row in rows}) if regions else None
    if table:
        tagger.set_region_features(torch.from_numpy(table.vectors))
    for split in ("dev", "test"):
        views = encode_views(encoder, [row for row in rows if row["split"] == split], contexts, table)
        distances = []
        with torch.no_grad():
            for text, both in zip(views["t"], views["it"], strict=True):
                vectors = [tagger.word_vectors(collate([[view]]))[0] for view in (text, both)]
                distances += [float(torch.dist(*pair)) for pair in zip(*vectors, strict=True)]
        assert reported[split] == pytest.approx(sum(distances) / len(distances), rel=1e-5)


def test_views_that_are_the_same_have_no_distance(corpus, tiny_encoder, tmp_path):
    rows = parquet.rows("contexts", corpus / "ga.parquet")
    parquet.write("contexts", [{**row, "tokens": [], "kinds": []} for row in rows], tmp_path / "ga.parquet")
    (tmp_path / "posts.parquet").write_bytes((corpus / "posts.parquet").read_bytes())
    run = trained(tmp_path, tmp_path / "run", tiny_encoder, {"views": ["t"]}, epochs=1)
    metrics = evaluated(tmp_path, run)
    assert metrics["representation_distance"] == {"dev": None, "test": None}
    assert metrics["scores"]["test"]["it"] == metrics["scores"]["test"]["t"]


def test_a_hook_changes_nothing(pictured, run):
    folder, shards = pictured
    tagger, encoder, about = load_model(run)
    rows = [row for row in parquet.rows("posts", folder / "posts.parquet") if row["split"] == "test"]
    contexts = load_contexts(rows, folder / "ga.parquet")
    posts = encode_views(encoder, rows, contexts)["t"]
    options = {"batch_size": 5, "device": torch.device("cpu")}
    hooked = []
    plain = predict_tags(tagger, posts, about["tags"], **options)
    with_hook = predict_tags(tagger, posts, about["tags"], **options, hook=lambda batch, vectors: hooked.extend(batch))
    assert plain == with_hook and sorted(hooked) == list(range(len(posts)))


@pytest.mark.gpu
@pytest.mark.parametrize("padding", ["none", "attention", "all"])
def test_regions_on_a_gpu(pictured, tiny_encoder, tmp_path, padding):
    system = {**IMGFEAT, "views": ["t", "it"], "alignment": "posterior"}
    run = trained(pictured[0], tmp_path, tiny_encoder, system, features=pictured[1], device="cuda", padding=padding)
    losses = [float(row["loss_it"]) for row in history(run)]
    assert losses[-1] < 0.7 * losses[0]
    assert evaluated(pictured[0], run, pictured[1])["representation_distance"]["test"] > 0


@pytest.mark.slow
def test_compiled_equals_eager(pictured, run):
    folder, shards = pictured
    tagger, encoder, _ = load_model(run)
    rows = parquet.rows("posts", folder / "posts.parquet")
    contexts = load_contexts(rows, folder / "ga.parquet")
    table = load_features(shards, {row["image_id"] for row in rows})
    tagger.set_region_features(torch.from_numpy(table.vectors))
    views = encode_views(encoder, rows[:20], contexts, table)
    batches = [collate([views["t"], views["it"]]), collate([views["t"]]), collate([views["it"][:7]])]
    eager = [tagger.emissions(batch) for batch in batches]
    tagger.compile_encoder()
    for batch, expected in zip(batches, eager, strict=True):
        torch.testing.assert_close(tagger.emissions(batch), expected, atol=1e-5, rtol=1e-5)
