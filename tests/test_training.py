"""Training and evaluation on made-up posts with a tiny encoder."""

import csv
import hashlib
import json
import random

import pytest
import torch

from ita import evaluate, predict, tables, train
from ita.corpus.batches import collate
from ita.corpus.views import ViewEncoder
from ita.model import training
from ita.model.folder import load_encoder, load_model
from ita.model.tagger import Tagger
from ita.settings import Encoder

TRAIN = {"epochs": 3, "batch_size": 8, "learning_rate": 5e-3, "crf_learning_rate": 0.05, "loss": "paper"}
LOSS = {"text": 1.0, "image_text": 1.0, "alignment": 1.0, "temperature": 1.0}
CVA = {"context": "ga", "views": ["t", "it"], "alignment": "posterior"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Posts in which 'x...' words are entities whose type only the context tells."""
    folder = tmp_path_factory.mktemp("corpus")
    draw = random.Random(0)
    posts, contexts = [], []
    for split, count in (("train", 48), ("dev", 16), ("test", 16)):
        for n in range(count):
            words = [draw.choice("abcde") * draw.randint(1, 3) for _ in range(draw.randint(1, 7))]
            at, kind = draw.randrange(len(words)), draw.choice(["PER", "LOC"])
            words[at] = "x" + draw.choice("abcde")
            tags = ["O"] * len(words)
            tags[at] = f"B-{kind}"
            name = f"{split}-{n}"
            posts.append({"post_id": name, "split": split, "tokens": words, "tags": tags, "repaired": 0})
            said = [] if n % 5 == 4 else ["man"] if kind == "PER" else ["house", "tree"]
            contexts.append({"post_id": name, "tokens": said, "kinds": ["ga"] * len(said), "cut": 0})
    tables.write("posts", posts, folder / "posts.parquet", {"label_version": "made up"})
    tables.write("contexts", contexts, folder / "ga.parquet")
    return folder


def trained(corpus, output, encoder, system=None, expect=0, **overrides):
    settings = {
        "train": {**TRAIN, **overrides},
        "encoder": {"model": str(encoder)},
        "system": system or CVA,
        "loss": LOSS,
        "seed": overrides.pop("seed", 1),
    }
    settings["train"].pop("seed", None)
    arguments = ["--settings", json.dumps(settings), "--output", str(output / "model.safetensors")]
    arguments += ["--posts", str(corpus / "posts.parquet"), "--context", str(corpus / "ga.parquet")]
    assert train.main(arguments) == expect
    return output


def digest(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def history(folder):
    with open(folder / "history.csv", newline="") as file:
        return [
            {k: v for k, v in row.items() if k not in ("seconds", "pieces_per_second")} for row in csv.DictReader(file)
        ]


def test_same_seed_same_model_and_another_seed_another(corpus, tiny_encoder, tmp_path):
    one = trained(corpus, tmp_path / "one", tiny_encoder)
    two = trained(corpus, tmp_path / "two", tiny_encoder)
    other = trained(corpus, tmp_path / "other", tiny_encoder, seed=2)
    assert digest(one) == digest(two) != digest(other)
    assert history(one) == history(two)
    assert not (one / "resume").exists()


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def test_a_killed_run_goes_on_to_the_same_model(corpus, tiny_encoder, tmp_path, monkeypatch):
    whole = trained(corpus, tmp_path / "whole", tiny_encoder)
    run_epoch = training.run_epoch

    def dies_in_the_third_epoch(*arguments):
        if arguments[4] == 2:
            raise Killed
        return run_epoch(*arguments)

    monkeypatch.setattr(training, "run_epoch", dies_in_the_third_epoch)
    with pytest.raises(Killed):
        trained(corpus, tmp_path / "cut", tiny_encoder)
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    epochs = []
    monkeypatch.setattr(training, "run_epoch", lambda *a: epochs.append(a[4]) or run_epoch(*a))
    resumed = trained(corpus, tmp_path / "cut", tiny_encoder)
    assert epochs == [2]
    assert digest(resumed) == digest(whole)
    assert history(resumed) == history(whole)


def test_a_resume_file_of_other_settings_is_ignored(corpus, tiny_encoder, tmp_path, monkeypatch):
    save = training.save_resume
    kept = []
    monkeypatch.setattr(training, "save_resume", lambda path, *a: (save(path, *a), kept.append(path.read_bytes())))
    trained(corpus, tmp_path / "a", tiny_encoder)
    (tmp_path / "b" / "resume").mkdir(parents=True)
    (tmp_path / "b" / "resume" / "state.pt").write_bytes(kept[0])
    changed = trained(corpus, tmp_path / "b", tiny_encoder, learning_rate=1e-3)
    clean = trained(corpus, tmp_path / "c", tiny_encoder, learning_rate=1e-3)
    assert digest(changed) == digest(clean)


@pytest.mark.parametrize(
    "system", [{"views": ["t"]}, {"views": ["it"]}, {"views": ["t", "it"]}, CVA], ids=["T", "I+T", "Joint", "CVA"]
)
def test_every_mode_trains_and_both_views_are_evaluated(corpus, tiny_encoder, tmp_path, system):
    run = trained(corpus, tmp_path, tiny_encoder, system, epochs=1, accumulation=4)
    row = history(run)[0]
    losses = {"loss_" + name for name in (*system["views"], *(["alignment"] if "alignment" in system else []))}
    assert losses == {name for name in row if name.startswith("loss")}
    metrics = evaluated(corpus, run)
    for split in ("dev", "test"):
        for view in ("t", "it"):
            assert 0 <= metrics["scores"][split][view]["strict"]["f1"] <= 100
            assert metrics["scores"][split][view]["default"]["support"] == 16
    assert metrics["label_version"] == "made up"
    assert metrics["training"]["epochs"] == 1


def evaluated(corpus, run):
    arguments = [
        "--model",
        run / "model.safetensors",
        "--posts",
        corpus / "posts.parquet",
        "--context",
        corpus / "ga.parquet",
    ]
    assert evaluate.main([*map(str, arguments), "--output", str(run / "metrics.json")]) == 0
    return json.loads((run / "metrics.json").read_text())


def test_image_text_is_used_and_kept_apart(corpus, tiny_encoder, tmp_path):
    run = trained(corpus, tmp_path, tiny_encoder, {"views": ["it"]}, epochs=40)
    metrics = evaluated(corpus, run)
    seen = metrics["scores"]["test"]
    assert seen["it"]["default"]["f1"] > seen["t"]["default"]["f1"] + 15, "only the context tells the type"
    rows = tables.rows("predictions", run / "predictions.parquet")
    for row in rows:
        for span in row["spans"]:
            assert row["predicted"][span["start"]][2:] == span["type"]
            assert 0 < span["posterior"] <= 1.0001


def test_alignment_weight_zero_equals_joint(corpus, tiny_encoder, tmp_path, monkeypatch):
    joint = trained(corpus, tmp_path / "joint", tiny_encoder, {"views": ["t", "it"]})
    monkeypatch.setitem(LOSS, "alignment", 0.0)
    aligned = trained(corpus, tmp_path / "aligned", tiny_encoder)
    for (name, one), other in zip(weights(joint).items(), weights(aligned).values(), strict=True):
        torch.testing.assert_close(one, other, msg=name)


def weights(run):
    return load_model(run)[0].state_dict()


def test_a_post_is_tagged_the_same_in_any_batch(tiny_encoder):
    torch.manual_seed(0)
    model, config, tokenizer = load_encoder(Encoder(model=str(tiny_encoder)))
    tagger = Tagger(model, config.hidden_size, 9, 0.1).eval()
    encoder = ViewEncoder(tokenizer, 24)
    posts = encoder.encode([["ab", "\ufe0f", "c"], ["abcd"] * 12, ["a"], ["def", "g", "h", "i"]])
    together = tagger.emissions(collate(posts, encoder.pad))
    for number, post in enumerate(posts):
        alone = tagger.emissions(collate([post], encoder.pad))
        torch.testing.assert_close(together[number, : len(post.first)], alone[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[0, 1], tagger.linear.bias, msg="a word without pieces is the zero vector")


def test_settings_that_do_not_fit_are_refused(corpus, tiny_encoder, tmp_path, capsys):
    trained(corpus, tmp_path, tiny_encoder, {"views": ["it"], "alignment": "posterior"}, expect=1)
    assert "set views to [t, it]" in capsys.readouterr().err
    trained(corpus, tmp_path, "./nowhere", expect=1)
    assert "encoders.*.model: no such folder: './nowhere'" in capsys.readouterr().err
    trained(corpus, tmp_path, "package:no_such_package/model", expect=1)
    assert "'no_such_package' is not installed" in capsys.readouterr().err
    trained(corpus, tmp_path, tiny_encoder, epochs=0, expect=1)
    assert "setting train.epochs: 0 is less than the minimum of 1" in capsys.readouterr().err
    assert not (tmp_path / "model.safetensors").exists()


def test_weights_of_another_origin_are_refused(corpus, tiny_encoder, tmp_path, capsys):
    settings = {
        "train": TRAIN,
        "encoder": {"model": str(tiny_encoder), "sha256": "0" * 64},
        "system": CVA,
        "loss": LOSS,
    }
    arguments = ["--settings", json.dumps(settings), "--output", str(tmp_path / "model.safetensors")]
    assert train.main([*arguments, "--posts", f"{corpus}/posts.parquet", "--context", f"{corpus}/ga.parquet"]) == 1
    assert "expected 0000" in capsys.readouterr().err


def test_rate_rises_then_falls_to_zero():
    assert [training.rate(step, 4, 0.0) for step in range(4)] == [1.0, 0.75, 0.5, 0.25]
    rates = [training.rate(step, 10, 0.3) for step in range(10)]
    assert rates[:3] == [0.25, 0.5, 0.75]
    assert rates[3] == 1.0
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[-1] > 0


def test_predict_reads_text_tokens_and_context(corpus, tiny_encoder, tmp_path, capsys):
    run = trained(corpus, tmp_path / "run", tiny_encoder, {"views": ["it"]}, epochs=30)
    lines = [
        "aa xb cc",
        '{"tokens": ["xa", "b"], "context": ["man"]}',
        "{oops",
        '{"tokens": []}',
        '{"text": "b xc", "context": "house tree"}',
    ]
    (tmp_path / "posts.txt").write_text("\n".join(lines) + "\n\n")
    capsys.readouterr()
    assert predict.main([str(run), str(tmp_path / "posts.txt")]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(answers) == 5
    assert "expected a JSON object" in answers[2]["error"]
    assert "at least one word" in answers[3]["error"]
    assert [answers[i]["view"] for i in (0, 1, 4)] == ["t", "it", "it"]
    assert answers[1]["spans"][0]["type"] == "PER"
    assert answers[1]["spans"][0]["words"] == ["xa"]
    assert (answers[4]["spans"][0]["type"], answers[4]["spans"][0]["from"], answers[4]["spans"][0]["to"]) == (
        "LOC",
        2,
        4,
    )
