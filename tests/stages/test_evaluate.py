"""Evaluation of trained taggers on both views."""

import csv
import json

import pytest
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

from ita.cli import run_stage
from ita.data.evaluation_inputs import evaluation_hashes, results_hash
from ita.data.tags import spans
from ita.errors import UserError
from ita.io import parquet
from ita.io.files import sha256
from ita.model.dataset import load_corpus
from ita.model.evaluation import TaggedView
from ita.model.export.model_file import export
from ita.model.inference import Prediction
from ita.stages import evaluate
from ita.tagging.tagger import Tagger
from tests.support.runs import CVA, RUN, evaluated, history, trained


@pytest.mark.parametrize(
    "system", [{"views": ["t"]}, {"views": ["it"]}, {"views": ["t", "it"]}, CVA], ids=["T", "I+T", "Joint", "CVA"]
)
def test_every_mode_trains_and_both_views_are_evaluated(corpus, tiny_encoder, tmp_path, system):
    run = trained(corpus, tmp_path, tiny_encoder, system, epochs=1, gradient_accumulation=4)
    row = history(run)[0]
    losses = {"loss_" + name for name in (*system["views"], *(["alignment"] if "alignment" in system else []))}
    assert losses == {name for name in row if name.startswith("loss")}
    metrics = evaluated(corpus, run)
    for split in ("dev", "test"):
        for view in ("t", "it"):
            gold, predicted = tags_of(run, split, view)
            strict = f1_score(gold, predicted, mode="strict", scheme=IOB2, zero_division=0)
            assert metrics["scores"][split][view]["strict"]["f1"] == pytest.approx(100 * strict)
            assert metrics["scores"][split][view]["default"]["support"] == 16
    assert metrics["label_version"] == "made up"
    assert metrics["training"]["epochs"] == 1


def tags_of(run, split, view):
    """Gold and predicted tags of one view of a split."""
    rows = parquet.rows("predictions", run / "predictions.parquet")
    selected = [row for row in rows if (row["split"], row["view"]) == (split, view)]
    return [row["gold"] for row in selected], [row["predicted"] for row in selected]


def test_image_text_is_used_and_kept_apart(corpus, tiny_encoder, tmp_path):
    run = trained(corpus, tmp_path, tiny_encoder, {"views": ["it"]}, epochs=40)
    metrics = evaluated(corpus, run)
    scores = metrics["scores"]["test"]
    assert scores["it"]["default"]["f1"] > scores["t"]["default"]["f1"] + 15, "only the context tells the type"
    rows = parquet.rows("predictions", run / "predictions.parquet")
    for row in rows:
        for span in row["spans"]:
            assert row["predicted"][span["start"]][2:] == span["type"]
            assert 0 < span["posterior"] <= 1.0001


def test_numbers_are_those_of_the_predictions(corpus, tiny_encoder, tmp_path):
    """metrics.json recomputed from predictions.parquet by hand."""
    run = trained(corpus, tmp_path, tiny_encoder, CVA, epochs=8)
    metrics = evaluated(corpus, run)
    rows = parquet.rows("predictions", run / "predictions.parquet")
    for split in ("dev", "test"):
        for view in ("t", "it"):
            view_rows = [row for row in rows if (row["split"], row["view"]) == (split, view)]
            assert len(view_rows) == 16
            true_positives = predicted = 0
            for row in view_rows:
                (gold,) = [i for i, tag in enumerate(row["gold"]) if tag != "O"]
                starts = [s["start"] for s in row["spans"]]
                assert starts == [
                    i
                    for i, tag in enumerate(row["predicted"])
                    if tag != "O" and not (i and tag[0] == "I" and row["predicted"][i - 1][2:] == tag[2:])
                ]
                predicted += len(starts)
                true_positives += any(
                    (s["start"], s["end"], s["type"]) == (gold, gold + 1, row["gold"][gold][2:]) for s in row["spans"]
                )
            scores = metrics["scores"][split][view]["default"]
            assert scores["recall"] == pytest.approx(100 * true_positives / 16)
            assert scores["precision"] == pytest.approx(100 * true_positives / predicted if predicted else 0.0)


def test_a_folder_that_is_no_model_is_refused(corpus, tmp_path, capsys):
    arguments = ["--posts", f"{corpus}/posts.parquet", "--context", f"{corpus}/ga.parquet"]
    arguments += ["--metrics", str(tmp_path / "metrics.json"), "--settings", json.dumps({})]
    arguments += ["--predictions", str(tmp_path / "predictions.parquet"), "--history", str(tmp_path / "history.csv")]
    assert run_stage(evaluate, ["--model", str(tmp_path / "model.safetensors"), *arguments]) == 1
    assert "not a model folder" in capsys.readouterr().err
    assert not (tmp_path / "metrics.json").exists()
    (tmp_path / "settings.json").write_text("{}")
    assert run_stage(evaluate, ["--model", str(tmp_path / "model.safetensors"), *arguments]) == 1
    assert "not a model folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_model_is_told(corpus, tiny_encoder, tmp_path, capsys, name):
    """A bit is flipped, at the end of the file, where nothing else notices; then the file is gone."""
    run = trained(corpus, tmp_path, tiny_encoder, epochs=1)
    data = bytearray((run / name).read_bytes())
    data[-20] ^= 0x01
    (run / name).write_bytes(data)
    evaluated(corpus, run, expect=1)
    message = capsys.readouterr().err
    assert f"{run / name}: is damaged" in message and "Traceback" not in message
    with pytest.raises(UserError, match="is damaged, or is not the file"):
        Tagger(run)
    with pytest.raises(UserError, match="is damaged, or is not the file"):
        export(run, tmp_path / "model.onnx")
    (run / name).unlink()
    evaluated(corpus, run, expect=1)
    assert name in capsys.readouterr().err


def test_run_folders_without_hashes_are_read(corpus, tiny_encoder, tmp_path):
    run = trained(corpus, tmp_path, tiny_encoder, epochs=1)
    settings = json.loads((run / "settings.json").read_text())
    assert settings.pop("sha256").keys() >= {"model.safetensors", "config.json", "tokenizer.json"}
    (run / "settings.json").write_text(json.dumps(settings))
    assert evaluated(corpus, run)["scores"]


def test_files_say_which_run_they_are_of(corpus, tiny_encoder, tmp_path):
    run = trained(corpus, tmp_path, tiny_encoder, CVA, epochs=2, seed=3)
    metrics = evaluated(corpus, run)
    named = {**RUN, "seed": 3}
    assert json.loads((run / "settings.json").read_text())["run"] == named
    assert parquet.metadata(parquet.read("predictions", run / "predictions.parquet"))["run"] == named
    assert metrics["dataset"] == "corpus" and metrics["seed"] == 3
    assert metrics["encoder"] == {"key": "tiny", "model": str(tiny_encoder)}
    assert metrics["system"] == {"key": "cva", **CVA}
    predictions = run / "predictions.parquet"
    about = parquet.metadata(predictions)
    assert metrics["predictions_sha256"] == sha256(predictions) and about["results_sha256"] == results_hash(metrics)
    posts, contexts = corpus / "posts.parquet", corpus / "ga.parquet"
    read = load_corpus(posts, contexts, (), ["dev", "test"])
    assert metrics["evaluation"] == evaluation_hashes(read.posts, read.contexts, None, ["dev", "test"])
    (encoder,) = metrics["models"]["encoders"]
    assert encoder["weights"] == {"model.safetensors": sha256(tiny_encoder / "model.safetensors")}
    assert metrics["environment"].keys() >= {"python", "platform", "cpu", "device", "threads", "precision"}
    assert metrics["task_versions"].keys() == {"default", "strict", "upstream", "representation_distance"}
    for name in ("evaluation", "environment", "models", "task_versions"):
        assert about[name] == metrics[name], name
    with open(run / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["encoder", "system", "seed", "epoch"]
    assert [(row["encoder"], row["system"], row["seed"]) for row in rows] == [("tiny", "cva", "3")] * 2


def test_a_run_without_names_writes_nulls(corpus, tiny_encoder, tmp_path, monkeypatch):
    for name in RUN:
        monkeypatch.setitem(RUN, name, None)
    metrics = evaluated(corpus, trained(corpus, tmp_path, tiny_encoder, {"views": ["t"]}, epochs=1))
    assert metrics["dataset"] is None and metrics["encoder"]["key"] is None and metrics["system"]["key"] is None


def test_labels_of_all_subwords_are_scored_by_upstreams_evaluator_too(corpus, tiny_encoder, tmp_path):
    system = {"views": ["t"], "label_scheme": "x_subword", "tag_format": "iob2"}
    metrics = evaluated(corpus, trained(corpus, tmp_path / "x", tiny_encoder, system, epochs=2))
    for split in ("dev", "test"):
        scores = metrics["scores"][split]["t"]
        assert scores["upstream"].keys() == {"precision", "recall", "f1", "support"}
        assert scores["upstream"]["support"] == scores["default"]["support"] == 16
        assert scores["upstream"]["recall"] == pytest.approx(scores["default"]["recall"])
        assert scores["upstream"]["precision"] <= scores["default"]["precision"] + 1e-9, "extra labels cost precision"
    words = evaluated(corpus, trained(corpus, tmp_path / "words", tiny_encoder, {"views": ["t"]}, epochs=1))
    assert "upstream" not in words["scores"]["test"]["t"], "the labels of words have no extra ones"


@pytest.mark.parametrize("bioes", [False, True])
def test_an_extra_label_at_a_word_is_an_entity_for_upstream_alone(bioes):
    gold = [["B-PER", "I-PER", "O", "O", "B-LOC"]]
    raw = ["B-PER", "E-PER" if bioes else "I-PER", "X", "O", "S-LOC" if bioes else "B-LOC"]
    prediction = Prediction(gold[0], spans(gold[0]), [1.0, 1.0], raw)
    scores = evaluate.view_scores(gold, TaggedView([prediction], 1.0, 0))
    assert scores["default"]["f1"] == 100.0
    assert scores["upstream"]["precision"] == pytest.approx(100 * 2 / 3)
    assert scores["upstream"]["recall"] == 100.0
