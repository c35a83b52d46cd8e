"""The relation task: its loss and updates by brute force, what it teaches the gate, repeatable and resumable runs."""

import json
from functools import partial

import pytest
import torch

from ita.config import Encoder, Loss, System, Train
from ita.model import trainer
from ita.model.batching import collate
from ita.model.checkpoint import load_encoder, load_model
from ita.model.dataset import load_corpus
from ita.model.inputs import ViewEncoder
from ita.model.relation_training import (
    draw_updates,
    load_relation_features,
    load_relations,
    relation_scores,
    relation_updates,
    run_relation_epoch,
)
from ita.model.schedule import TrainingConfig
from ita.model.tagger import Tagger, input_layout
from tests.support.runs import digest, evaluated, history, trained

RPBERT = {"regions": "grid", "views": ["it"], "relation_gate": True, "pooling": "mean", "tag_format": "iob2"}
TAUGHT = {**RPBERT, "relation_data": "relations"}
POSTS = {"train": 119, "dev": 45}
"""Relation posts whose image is read."""


@pytest.fixture
def taught(pictured, related, tiny_encoder):
    """Trains RpBERT with relation data."""
    return partial(trained, pictured[0], encoder=tiny_encoder, system=TAUGHT, features=pictured[1], relations=related)


def prepared(pictured, related, tiny_encoder, **settings):
    """A tagger in evaluation mode, relation data, and the settings of a run."""
    torch.manual_seed(0)
    system = System(**TAUGHT)
    model, tokenizer = load_encoder(Encoder(model=str(tiny_encoder)))
    encoder = ViewEncoder(tokenizer, 64, input_layout(system))
    corpus = load_corpus(pictured[0] / "posts.parquet", pictured[0] / "ga.parquet", pictured[1], ["train"])
    joined, features = load_relation_features(*related, corpus.features)
    tagger = Tagger(model, ["O"], 0.1, region_dim=joined.width, system=system)
    tagger.set_region_features(torch.from_numpy(joined.vectors).float())
    train = Train(**{"batch_size": 16, **settings})
    config = TrainingConfig(train, system, Loss(), 3, ["O"], torch.device("cpu"), torch.float32, input_layout(system))
    return tagger.eval(), load_relations(related[0], features, encoder), config


def test_posts_without_a_readable_image_are_left_out(pictured, related, tiny_encoder):
    tagger, relations, _ = prepared(pictured, related, tiny_encoder)
    counts = {"train": len(relations.train.views), "dev": len(relations.dev.views)}
    assert counts == POSTS and relations.left_out == 128 + 48 - sum(counts.values())
    for view in relations.train.views:
        regions = tagger.region_features[view.regions.tolist()]
        bright = bool((regions[:, 1] > 1).all())
        assert bright or (regions[:, 1] < -1).all(), "regions of the relation data, not of the posts of the same name"


def posts_of(update, posts):
    """Indices of the posts of an update, told by their first regions."""
    place = {view.regions[0]: index for index, view in enumerate(posts.views)}
    indices = []
    for batch in update:
        regions = batch.inputs.regions
        for row in range(len(batch.related)):
            indices.append(place[regions.feature_rows[regions.rows == row][0].item()])
    return indices


@pytest.mark.parametrize("settings", [{}, {"gradient_accumulation": 3, "max_subwords": 20}])
def test_updates_against_brute_force(pictured, related, tiny_encoder, settings):
    """Gradients of each update are those of 0.05 times the mean cross-entropy, post by post."""
    tagger, relations, config = prepared(pictured, related, tiny_encoder, **settings)
    posts, gradients = relations.train, []

    def step(number):
        assert number == len(gradients)
        named = tagger.named_parameters()
        gradients.append({name: weight.grad.clone() for name, weight in named if weight.grad is not None})
        tagger.zero_grad()

    tagger.train = lambda: tagger  # without dropout, so that posts can be read one by one
    record = run_relation_epoch(tagger, posts, config, step, epoch=2)
    assert len(gradients) == relation_updates(len(posts.views), config)
    weights = dict(tagger.named_parameters())
    total = 0.0
    for update, gradient in zip(draw_updates(posts, config, 2), gradients, strict=True):
        indices = posts_of(update, posts)
        batches = [indices[start : start + 16] for start in range(0, len(indices), 16)]
        for batch in batches:
            for index in batch:
                logits = tagger.relation_logits(collate([[posts.views[index]]], tagger.layout))[0]
                log_p = logits[posts.related[index]] - torch.logsumexp(logits, 0)
                total -= log_p.item()
                (-0.05 * log_p / (len(batch) * len(batches))).backward()
        for name, values in gradient.items():
            torch.testing.assert_close(values, weights[name].grad, atol=1e-6, rtol=1e-4, msg=name)
        assert not any(name.startswith(("crf.", "linear.")) for name in gradient), "only [CLS] is read"
        tagger.zero_grad()
    assert record["relation_loss"] == pytest.approx(total / len(posts.views), rel=1e-5)


def test_an_epoch_reads_every_post_once_in_an_order_of_its_own(pictured, related, tiny_encoder):
    _, relations, config = prepared(pictured, related, tiny_encoder)
    orders = []
    for epoch in (0, 0, 1):
        batches = [batch for update in draw_updates(relations.train, config, epoch) for batch in update]
        orders.append([row for batch in batches for row in batch.inputs.regions.feature_rows.tolist()])
    expected = sorted(row for view in relations.train.views for row in view.regions)
    assert sorted(orders[0]) == expected
    assert orders[0] == orders[1] != orders[2]


def test_logits_do_not_depend_on_neighbours(pictured, related, tiny_encoder):
    tagger, relations, config = prepared(pictured, related, tiny_encoder)
    views = relations.dev.views
    with torch.inference_mode():
        together = tagger.relation_logits(collate([views], tagger.layout))
        alone = torch.cat([tagger.relation_logits(collate([[view]], tagger.layout)) for view in views])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    scores = relation_scores(tagger, relations.dev, config, batch_size=7)
    gold, predicted = relations.dev.related, alone.argmax(1).tolist()
    hits = sum(g == p for g, p in zip(gold, predicted, strict=True))
    both = sum(g and p for g, p in zip(gold, predicted, strict=True))
    assert scores["relation_dev_accuracy"] == pytest.approx(100 * hits / len(gold))
    assert scores["relation_dev_f1"] == pytest.approx(200 * both / max(sum(gold) + sum(predicted), 1))


def test_the_gate_learns_which_images_add_to_the_text(pictured, related, tiny_encoder):
    """Neither text nor image alone tells."""
    tagger, relations, config = prepared(pictured, related, tiny_encoder, learning_rate=5e-3)
    optimizer = trainer.configure_optimizer(tagger, config.train)
    epochs, losses = 45, []
    for epoch in range(epochs):
        step = partial(lambda factor, _: optimizer.step(factor), 1 - epoch / epochs)
        losses.append(run_relation_epoch(tagger, relations.train, config, step, epoch)["relation_loss"])
    assert losses[-1] < 0.3 * losses[0]
    assert relation_scores(tagger, relations.dev, config, 64)["relation_dev_accuracy"] > 85
    tagger.eval()
    with torch.inference_mode():
        gates = tagger.relation_logits(collate([relations.dev.views], tagger.layout)).softmax(1)[:, 1]
    labels = torch.tensor(relations.dev.related, dtype=torch.bool)
    assert gates[labels].mean() > gates[~labels].mean() + 0.5


def test_relation_data_teach_the_gate_while_ner_is_learnt(taught, tmp_path):
    rows = history(taught(tmp_path, epochs=24, loss_weights={"relation": 1.0}))
    assert float(rows[-1]["relation_loss"]) < 0.5 * float(rows[0]["relation_loss"])
    assert float(rows[-1]["loss_it"]) < 0.5 * float(rows[0]["loss_it"])
    assert float(rows[-1]["relation_dev_accuracy"]) > 80


def test_the_record_says_what_trained_the_gate(taught, pictured, tiny_encoder, tmp_path):
    run = taught(tmp_path / "taught", epochs=2)
    about = json.loads((run / "settings.json").read_text())
    assert about["relation_posts"] == POSTS["train"]
    assert about["relation"]["data"] == "relations" and about["relation"]["left_out"] == 12
    assert {split: about["relation"][split]["posts"] for split in POSTS} == POSTS
    assert {"relation_posts", "relation/1-of-2.parquet", "1-of-2.parquet"} <= about["inputs"].keys()
    assert about["inputs"]["relation/1-of-2.parquet"] != about["inputs"]["1-of-2.parquet"]
    assert {"relation_loss", "relation_dev_accuracy", "relation_dev_f1"} <= history(run)[0].keys()
    training = evaluated(pictured[0], run, pictured[1])["training"]
    alone = trained(pictured[0], tmp_path / "alone", tiny_encoder, RPBERT, features=pictured[1], epochs=2)
    without = evaluated(pictured[0], alone, pictured[1])["training"]
    assert (training["relation_posts"], without["relation_posts"]) == (POSTS["train"], 0)
    assert training["updates"] == without["updates"] + 2 * 15, "119 posts in batches of 8"
    assert training["subwords"] > without["subwords"]
    assert not [name for name in history(alone)[0] if "relation" in name]


def test_updates_of_both_tasks_share_one_schedule(taught, tmp_path, monkeypatch):
    factors = []
    real = trainer.lr_factor

    def recorded(update, total, *settings):
        factors.append((update, total))
        return real(update, total, *settings)

    monkeypatch.setattr(trainer, "lr_factor", recorded)
    taught(tmp_path, epochs=3)
    per_epoch = 15 + 8  # 119 relation posts and 64 posts in batches of 8
    updates = [update for update, _ in factors]
    expected = []
    for epoch in range(3):
        first = epoch * per_epoch
        expected += [*range(first, first + per_epoch), first + 15]  # last: the rate that history.csv shows
    assert updates == expected
    assert {total for _, total in factors} == {3 * per_epoch}


def test_same_seed_same_model_and_a_killed_run_goes_on_to_it(taught, tmp_path, monkeypatch):
    whole = taught(tmp_path / "whole", epochs=3)
    assert digest(taught(tmp_path / "again", epochs=3)) == digest(whole)
    assert digest(taught(tmp_path / "seed", epochs=3, seed=2)) != digest(whole)
    save = trainer.save_checkpoint

    def save_and_die(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "save_checkpoint", save_and_die)
    taught(tmp_path / "killed", epochs=3, expect=130)
    monkeypatch.undo()
    resumed = taught(tmp_path / "killed", epochs=3)
    assert digest(resumed) == digest(whole)
    assert history(resumed) == history(whole)


def test_the_whole_vocabulary_trains_to_the_same_weights(taught, tmp_path):
    """Subwords that only relation data hold are among those kept."""
    trimmed, whole = (taught(tmp_path / str(trim), epochs=1, trim_vocabulary=trim) for trim in (True, False))
    weights = [load_model(run)[0].state_dict() for run in (trimmed, whole)]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weight, weights[1][name], msg=name)


def test_files_that_do_not_fit_are_refused(taught, pictured, related, tiny_encoder, tmp_path, capsys):
    features = pictured[1]
    taught(tmp_path, relations=None, expect=1)
    assert "the relation data 'relations' train the system's gate: give its --relation-posts" in capsys.readouterr().err
    taught(tmp_path, system=RPBERT, expect=1)
    assert "set its setting relation_data" in capsys.readouterr().err
    taught(tmp_path, system={**TAUGHT, "relation_gate": False}, expect=1)
    assert "set relation_gate and regions" in capsys.readouterr().err
    taught(tmp_path, relations=(pictured[0] / "posts.parquet", features), expect=1)
    assert "the post 'train-0' has no relation label" in capsys.readouterr().err
    assert not (tmp_path / "model.safetensors").exists()


def test_a_loss_that_is_no_number_stops_the_run(taught, tmp_path, capsys):
    taught(tmp_path, learning_rate=1e30, expect=1)
    assert "lower train.learning_rate" in capsys.readouterr().err


@pytest.mark.gpu
def test_training_on_a_gpu(taught, tmp_path, monkeypatch):
    """A pass over relation data never waits for the device."""
    from ita.model import relation_training

    real = relation_training.relation_losses

    def guarded(*arguments):
        torch.cuda.set_sync_debug_mode("error")
        return real(*arguments)

    monkeypatch.setattr(relation_training, "relation_losses", guarded)
    monkeypatch.setattr(
        relation_training, "float", lambda x: (torch.cuda.set_sync_debug_mode("default"), float(x))[1], False
    )
    run = taught(tmp_path, device="cuda", epochs=3)
    assert float(history(run)[-1]["relation_loss"]) < float(history(run)[0]["relation_loss"])
