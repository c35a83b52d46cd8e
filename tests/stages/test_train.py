"""Training on made-up posts with a tiny encoder: repeatable, resumable, and the same in any batch."""

import itertools
import json

import pytest
import torch

from ita.cli import run_stage
from ita.config import Encoder, Train
from ita.model import trainer
from ita.model.batching import collate
from ita.model.checkpoint import load_encoder, load_model
from ita.model.crf.constraints import bioes_constraints
from ita.model.inputs import ViewEncoder
from ita.model.tagger import Tagger
from ita.stages import train
from tests.support.families import make_encoder
from tests.support.runs import CVA, LOSS, TRAIN, digest, evaluated, history, trained


def test_same_seed_same_model_and_another_seed_another(corpus, tiny_encoder, tmp_path):
    one = trained(corpus, tmp_path / "one", tiny_encoder)
    two = trained(corpus, tmp_path / "two", tiny_encoder)
    other = trained(corpus, tmp_path / "other", tiny_encoder, seed=2)
    assert digest(one) == digest(two) != digest(other)
    assert history(one) == history(two)
    assert not (one / "checkpoint").exists()


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def test_a_killed_run_goes_on_to_the_same_model(corpus, tiny_encoder, tmp_path, monkeypatch):
    whole = trained(corpus, tmp_path / "whole", tiny_encoder)
    run_epoch = trainer.run_epoch

    def dies_in_the_third_epoch(*arguments):
        if arguments[4] == 2:
            raise Killed
        return run_epoch(*arguments)

    monkeypatch.setattr(trainer, "run_epoch", dies_in_the_third_epoch)
    with pytest.raises(Killed):
        trained(corpus, tmp_path / "cut", tiny_encoder)
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    epochs = []
    monkeypatch.setattr(trainer, "run_epoch", lambda *a: epochs.append(a[4]) or run_epoch(*a))
    resumed = trained(corpus, tmp_path / "cut", tiny_encoder)
    assert epochs == [2]
    assert digest(resumed) == digest(whole)
    assert history(resumed) == history(whole)


def test_the_mean_of_the_last_epochs_is_kept_whether_killed_or_not(corpus, tiny_encoder, tmp_path, monkeypatch):
    run_epoch, after_epoch = trainer.run_epoch, []

    def remembers(tagger, *rest):
        record = run_epoch(tagger, *rest)
        after_epoch.append({name: weight.clone() for name, weight in tagger.state_dict().items()})
        return record

    monkeypatch.setattr(trainer, "run_epoch", remembers)
    options = {"epochs": 4, "average_epochs": 2, "trim_vocabulary": False}
    averaged = trained(corpus, tmp_path / "whole", tiny_encoder, **options)
    for name, weight in weights(averaged).items():
        torch.testing.assert_close(weight, (after_epoch[2][name] + after_epoch[3][name]) / 2, msg=name)
        assert "embeddings" in name or not weight.equal(after_epoch[3][name]), name
    assert json.loads((averaged / "settings.json").read_text())["best_epoch"] == 4

    def dies_in_the_last_epoch(*arguments):
        if arguments[4] == 3:
            raise Killed
        return run_epoch(*arguments)

    monkeypatch.setattr(trainer, "run_epoch", dies_in_the_last_epoch)
    with pytest.raises(Killed):
        trained(corpus, tmp_path / "cut", tiny_encoder, **options)
    monkeypatch.setattr(trainer, "run_epoch", run_epoch)
    assert digest(trained(corpus, tmp_path / "cut", tiny_encoder, **options)) == digest(averaged)


def test_a_checkpoint_of_other_settings_is_ignored(corpus, tiny_encoder, tmp_path, monkeypatch):
    save = trainer.save_checkpoint
    kept = []
    monkeypatch.setattr(trainer, "save_checkpoint", lambda path, *a: (save(path, *a), kept.append(path.read_bytes())))
    trained(corpus, tmp_path / "a", tiny_encoder)
    (tmp_path / "b" / "checkpoint").mkdir(parents=True)
    (tmp_path / "b" / "checkpoint" / "state.pt").write_bytes(kept[0])
    changed = trained(corpus, tmp_path / "b", tiny_encoder, learning_rate=1e-3)
    clean = trained(corpus, tmp_path / "c", tiny_encoder, learning_rate=1e-3)
    assert digest(changed) == digest(clean)


@pytest.mark.parametrize("damage", ["bit of the weights", "cut", "another content"])
def test_a_damaged_checkpoint_is_set_aside(corpus, tiny_encoder, tmp_path, monkeypatch, capsys, damage):
    save, kept, epochs = trainer.save_checkpoint, [], []
    monkeypatch.setattr(trainer, "save_checkpoint", lambda path, *a: (save(path, *a), kept.append(path.read_bytes())))
    clean = trained(corpus, tmp_path / "a", tiny_encoder, epochs=2)
    flipped = bytearray(kept[0])
    flipped[len(flipped) // 2] ^= 0x40
    torch.save([1], tmp_path / "list.pt")
    contents = {
        "bit of the weights": flipped,
        "cut": kept[0][: len(kept[0]) // 2],
        "another content": (tmp_path / "list.pt").read_bytes(),
    }
    checkpoint = tmp_path / "b" / "checkpoint" / "state.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(contents[damage])
    run_epoch = trainer.run_epoch
    monkeypatch.setattr(trainer, "run_epoch", lambda *a: epochs.append(a[4]) or run_epoch(*a))
    again = trained(corpus, tmp_path / "b", tiny_encoder, epochs=2)
    message = capsys.readouterr().err
    assert "state.pt: is damaged" in message and "training starts anew" in message
    assert epochs == [0, 1]
    assert digest(again) == digest(clean)


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
    model, tokenizer = load_encoder(Encoder(model=str(tiny_encoder)))
    tagger = Tagger(model, ["O"] * 9, 0.1).eval()
    encoder = ViewEncoder(tokenizer, 24)
    posts = encoder.encode([["ab", "\ufe0f", "c"], ["abcd"] * 12, ["a"], ["def", "g", "h", "i"]])
    together = tagger.emissions(collate([posts]))
    for number, post in enumerate(posts):
        alone = tagger.emissions(collate([[post]]))
        torch.testing.assert_close(together[number, : len(post.first_subword)], alone[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[0, 1], tagger.linear.bias, msg="a word without subwords is the zero vector")


def test_constrained_models_tag_valid_bioes_only(corpus, tiny_encoder, tmp_path):
    """Hardly trained, a free model breaks the scheme; a constrained one cannot, and its folder says so."""
    illegal = {}
    for constrained in (False, True):
        run = trained(corpus, tmp_path / str(constrained), tiny_encoder, epochs=1, constrained=constrained)
        tagger, encoder, about = load_model(run)
        constraints = bioes_constraints(about["tags"])
        with torch.no_grad():
            tagger.linear.weight.normal_(generator=torch.Generator().manual_seed(0))
        batch = collate([encoder.encode([["ab", "c", "xd", "ee"], ["x"], ["abc"] * 9])])
        paths = tagger.crf.decode(tagger.emissions(batch), batch.lengths)
        breaks = 0
        for path, length in zip(paths.tolist(), batch.lengths.tolist(), strict=True):
            breaks += not constraints.start[path[0]]
            breaks += not constraints.end[path[length - 1]]
            breaks += sum(not constraints.transitions[a, b] for a, b in itertools.pairwise(path[:length]))
        illegal[constrained] = breaks
    assert illegal[True] == 0 < illegal[False]


@pytest.mark.parametrize("alignment", ["none", "posterior", "structural"])
def test_the_official_schedule_learns(corpus, tiny_encoder, tmp_path, alignment):
    system = {"context": "ga", "views": ["t", "it"], "alignment": alignment}
    run = trained(corpus, tmp_path, tiny_encoder, system, schedule="official", batch_size=1, gradient_accumulation=4)
    losses = [float(row["loss_it"]) for row in history(run)]
    assert losses[-1] < 0.7 * losses[0]


def test_bf16_is_close_to_fp32(corpus, tiny_encoder, tmp_path):
    runs = [trained(corpus, tmp_path / kind, tiny_encoder, precision=kind) for kind in ("fp32", "bf16")]
    for name in ("loss_t", "loss_it"):
        exact, rough = ([float(row[name]) for row in history(run)] for run in runs)
        assert rough == pytest.approx(exact, rel=0.1)
        assert rough != exact
    assert {str(weight.dtype) for weight in weights(runs[1]).values()} == {"torch.float32"}


def test_a_loss_that_is_no_number_stops_the_run(corpus, tiny_encoder, tmp_path, capsys):
    trained(corpus, tmp_path, tiny_encoder, learning_rate=1e30, expect=1)
    assert "lower train.learning_rate" in capsys.readouterr().err
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.gpu
@pytest.mark.parametrize("padding", ["none", "attention", "all"])
def test_training_on_a_gpu(corpus, tiny_encoder, tmp_path, padding):
    run = trained(corpus, tmp_path, tiny_encoder, device="cuda", padding=padding, compile=padding == "attention")
    losses = [float(row["loss_it"]) for row in history(run)]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.gpu
def test_an_epoch_on_a_gpu_never_waits(corpus, tiny_encoder, tmp_path, monkeypatch):
    """Between the first update of an epoch and its last, nothing asks the device for a value."""
    real = trainer.compute_loss

    def guarded(*arguments):
        torch.cuda.set_sync_debug_mode("error")
        return real(*arguments)

    monkeypatch.setattr(trainer, "compute_loss", guarded)
    monkeypatch.setattr(trainer, "float", lambda x: (torch.cuda.set_sync_debug_mode("default"), float(x))[1], False)
    trained(corpus, tmp_path, tiny_encoder, device="cuda")


def test_settings_that_do_not_fit_are_refused(corpus, tiny_encoder, tmp_path, capsys):
    trained(corpus, tmp_path, tiny_encoder, {"views": ["it"], "alignment": "posterior"}, expect=1)
    assert "set views to [t, it]" in capsys.readouterr().err
    trained(corpus, tmp_path, "./nowhere", expect=1)
    assert "encoders.*.model: no such folder: './nowhere'" in capsys.readouterr().err
    trained(corpus, tmp_path, "package:no_such_package/model", expect=1)
    assert "'no_such_package' is not installed" in capsys.readouterr().err
    trained(corpus, tmp_path, tiny_encoder, epochs=0, expect=1)
    assert "setting train.epochs: found 0, expected 1 or more" in capsys.readouterr().err
    assert not (tmp_path / "model.safetensors").exists()


def test_a_tokenizer_that_knows_no_word_is_refused(corpus, tmp_path, capsys):
    """Its file is of letters; the class that reads it joins no letters to words."""
    source = make_encoder(tmp_path / "source", "distilbert")
    trained(corpus, tmp_path / "run", source)
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"] = {"type": "Split", "pattern": {"Regex": ".*"}, "behavior": "Removed", "invert": False}
    (source / "tokenizer.json").write_text(json.dumps(tokenizer))
    trained(corpus, tmp_path / "other", source, expect=1)
    assert "words of the training posts no subwords" in capsys.readouterr().err


def test_weights_of_another_origin_are_refused(corpus, tiny_encoder, tmp_path, capsys):
    settings = {
        "train": TRAIN,
        "encoder": {"model": str(tiny_encoder), "sha256": "0" * 64},
        "system": CVA,
        "loss": LOSS,
    }
    arguments = ["--settings", json.dumps(settings), "--output", str(tmp_path / "model.safetensors")]
    arguments += ["--history", str(tmp_path / "history.csv"), "--run-settings", str(tmp_path / "settings.json")]
    arguments += ["--checkpoint", str(tmp_path / "checkpoint")]
    assert (
        run_stage(train, [*arguments, "--posts", f"{corpus}/posts.parquet", "--context", f"{corpus}/ga.parquet"]) == 1
    )
    assert "expected 0000" in capsys.readouterr().err


def test_rate_rises_then_falls_to_zero():
    assert [trainer.lr_factor(step, 4, Train()) for step in range(4)] == [1.0, 0.75, 0.5, 0.25]
    rates = [trainer.lr_factor(step, 10, Train(warmup=0.3)) for step in range(10)]
    assert rates[:3] == [0.25, 0.5, 0.75]
    assert rates[3] == 1.0
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[-1] > 0


def test_rates_of_published_code():
    bert = Train(lr_schedule="bert_linear", warmup=0.2)
    assert [trainer.lr_factor(step, 10, bert) for step in range(10)] == pytest.approx(
        [0, 0.5, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    )
    epochs = Train(lr_schedule="step", epochs=5)
    assert [trainer.lr_factor(step, 15, epochs) for step in range(15)] == pytest.approx(
        [1.0] * 6 + [0.8] * 6 + [0.64] * 3
    )
    constant = Train(lr_schedule="constant", warmup=0.5)
    assert [trainer.lr_factor(step, 4, constant) for step in range(4)] == pytest.approx([1 / 3, 2 / 3, 1, 1])


def test_test_posts_that_an_encoder_has_seen_are_recorded(corpus, tiny_encoder, tmp_path):
    first = trained(corpus, tmp_path / "first", tiny_encoder, epochs=1)
    assert "encoder_overlap" not in json.loads((first / "settings.json").read_text())
    record = json.loads((first / "settings.json").read_text())
    seen = {"made up": {"posts": 3, "of": 16}}
    (first / "settings.json").write_text(json.dumps({**record, "test_overlap": seen}))
    second = trained(corpus, tmp_path / "second", first, epochs=1)
    assert json.loads((second / "settings.json").read_text())["encoder_overlap"] == seen
    metrics = evaluated(corpus, second)
    assert metrics["encoder_overlap"] == seen
    third = trained(corpus, tmp_path / "third", second, epochs=1)
    assert json.loads((third / "settings.json").read_text())["encoder_overlap"] == seen, "by way of another encoder"
