"""The systems that the paper compares: each trains, is read back as it was written, and looks at the image."""

import pytest
import torch

from ita.config import Train
from ita.data.label_schemes import EXTRA_LABELS
from ita.model.batching import collate
from ita.model.checkpoint import load_model
from ita.model.dataset import load_corpus
from ita.model.inputs import encode_views
from ita.model.trainer import configure_optimizer
from tests.support.runs import digest, evaluated, history, trained

IMAGE = {"regions": "grid", "views": ["it"]}
UMT = {**IMAGE, "fusion": "umt", "tag_format": "iob2"}
VINVL = {**IMAGE, "region_embedding": "normalised", "context": "ga", "context_segment": "second", "max_regions": 50}
BOTH = {**VINVL, "region_boxes": True, "encoders": ["{encoder}", "pairs"]}
SYSTEMS = {
    "umt": {**UMT, "label_scheme": "x_subword"},
    "umt words": UMT,
    "umgf": {**IMAGE, "fusion": "umgf", "label_scheme": "x_subword", "tag_format": "iob2"},
    "acn": {**IMAGE, "fusion": "acn", "tag_format": "iob2"},
    "rpbert": {**IMAGE, "relation_gate": True, "pooling": "mean", "tag_format": "iob2"},
    "rpbert without gate": {**IMAGE, "pooling": "mean", "tag_format": "iob2"},
    "rpbert with a BiLSTM": {**IMAGE, "relation_gate": True, "pooling": "mean", "rnn": 8},
    "vinvl": {**VINVL, "region_boxes": True},
    "vinvl without boxes": VINVL,
    "bert and vinvl": BOTH,
    "bert and vinvl with alignment": {**BOTH, "views": ["t", "it"], "alignment": "posterior"},
    "bert and vinvl, means and a BiLSTM": {**BOTH, "pooling": "mean", "rnn": 8},
    "crf with extra labels": {"views": ["t"], "label_scheme": "x_subword", "tag_format": "iob2"},
}


def shards_of(pictured, system):
    """Shards of features and of boxes that a system reads."""
    features = pictured[1] if "regions" in system else []
    objects = [pictured[0] / "objects" / shard.name for shard in features] if system.get("region_boxes") else []
    return {"features": features, "objects": objects}


@pytest.fixture
def train_system(pictured, tiny_encoder, pairs_encoder):
    """A function that trains a system into a folder; a second encoder is the one of pairs."""

    def train(folder, system, **overrides):
        further = [pairs_encoder] if len(system.get("encoders", [])) > 1 else []
        return trained(
            pictured[0], folder, tiny_encoder, system, further=further, **shards_of(pictured, system), **overrides
        )

    return train


def read_corpus(pictured, system):
    """The corpus of a system, with the dev split's features."""
    posts, context = pictured[0] / "posts.parquet", pictured[0] / "ga.parquet"
    return load_corpus(posts, context, splits=["dev"], **shards_of(pictured, system))


def slow_or_not(name):
    """One system of each kind by default: all take two minutes of processor time, and UMGF as long again."""
    return name if name in ("umt", "rpbert", "acn", "bert and vinvl") else pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", [slow_or_not(name) for name, system in SYSTEMS.items() if "regions" in system])
def test_a_system_learns_from_images_what_the_text_does_not_say(pictured, train_system, tmp_path, name):
    epochs = 60 if "rpbert" in name else 40
    # UMGF's six fusion layers are wider than this encoder by far: they need a smaller rate.
    rate = 5e-4 if name == "umgf" else 5e-3
    run = train_system(tmp_path, SYSTEMS[name], epochs=epochs, learning_rate=rate)
    scores = evaluated(pictured[0], run, **shards_of(pictured, SYSTEMS[name]))["scores"]["test"]
    assert scores["it"]["default"]["f1"] > scores["t"]["default"]["f1"] + 10, "only the regions tell the type"


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_run_is_read_back_as_it_was_written(pictured, train_system, tmp_path, name):
    system = SYSTEMS[name]
    run = train_system(tmp_path, system, epochs=2)
    view = system["views"][-1]
    scores = evaluated(pictured[0], run, **shards_of(pictured, system))["scores"]["dev"][view]
    best = max(float(row[f"dev_f1_{view}"]) for row in history(run))
    assert scores["default"]["f1"] == pytest.approx(best, abs=1e-4)
    tags = load_model(run)[2]["tags"]
    assert (set(EXTRA_LABELS) <= set(tags)) == (system.get("label_scheme") == "x_subword")
    assert any(tag.startswith("E-") for tag in tags) == (system.get("tag_format", "bioes") == "bioes")


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_post_does_not_depend_on_its_neighbours(pictured, train_system, tmp_path, name):
    system = SYSTEMS[name]
    tagger, encoder, _ = load_model(train_system(tmp_path, system, epochs=1))
    corpus = read_corpus(pictured, system)
    if corpus.features:
        tagger.set_region_features(torch.from_numpy(corpus.features.vectors))
    posts = encode_views(encoder, corpus.split("dev"), corpus.contexts, corpus.features)["it"]
    with torch.inference_mode():
        together = tagger.emissions(collate([posts], tagger.layout))
        for row, post in enumerate(posts):
            alone = tagger.emissions(collate([[post]], tagger.layout))[0]
            torch.testing.assert_close(alone, together[row, : len(alone)], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["umt", slow_or_not("umgf"), "rpbert", "bert and vinvl"])
def test_a_killed_run_ends_in_the_same_weights(pictured, train_system, tmp_path, monkeypatch, name):
    from ita.model import trainer

    whole = train_system(tmp_path / "whole", SYSTEMS[name], epochs=3)
    save = trainer.save_checkpoint

    def save_and_die(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "save_checkpoint", save_and_die)
    train_system(tmp_path / "killed", SYSTEMS[name], epochs=3, expect=130)
    monkeypatch.undo()
    resumed = train_system(tmp_path / "killed", SYSTEMS[name], epochs=3)
    assert digest(resumed) == digest(whole)


def test_max_regions_keeps_the_first(pictured, train_system, tmp_path):
    system = {**SYSTEMS["umgf"], "max_regions": 2}
    tagger, encoder, _ = load_model(train_system(tmp_path, system, epochs=1))
    corpus = read_corpus(pictured, system)
    posts = corpus.split("dev")
    views = encode_views(encoder, posts, corpus.contexts, corpus.features)["it"]
    rows = [corpus.features.rows_of(post["image_id"]) for post in posts]
    assert max(map(len, rows)) > 2
    assert [view.regions.tolist() for view in views] == [regions[:2].tolist() for regions in rows]
    assert collate([views], tagger.layout).fusion.feature_rows.shape == (len(views), 2)


def test_alignment_and_contexts_combine_with_fusion(pictured, train_system, tmp_path):
    """UMT+CVA: configuration alone."""
    system = {**SYSTEMS["umt"], "context": "ga", "views": ["t", "it"], "alignment": "posterior"}
    run = train_system(tmp_path, system, epochs=2)
    assert {"loss_t", "loss_it", "loss_alignment", "loss_boundary"} <= history(run)[0].keys()
    evaluated(pictured[0], run, pictured[1])


def test_each_part_has_its_learning_rate(pictured, train_system, tmp_path):
    """Encoder, what lies between it and the CRF, and CRF; BertAdam decays weights, no biases and no LayerNorm."""
    tagger = load_model(train_system(tmp_path, SYSTEMS["umt"], epochs=1))[0]
    names = {id(weight): name for name, weight in tagger.named_parameters()}
    rates = {"learning_rate": 1.0, "head_learning_rate": 2.0, "crf_learning_rate": 3.0, "weight_decay": 0.5}
    for kind in ("adamw", "bert_adam"):
        groups = configure_optimizer(tagger, Train(optimizer=kind, **rates)).groups
        assert sorted(names[id(weight)] for group in groups for weight in group.parameters) == sorted(names.values())
        for group in groups:
            for weight in group.parameters:
                name = names[id(weight)]
                of_crf = name.startswith(("crf.", "second_task.crf."))
                assert group.learning_rate == (3.0 if of_crf else 1.0 if name.startswith("encoder.") else 2.0), name
                decayed = kind == "adamw" or of_crf or not (name.endswith(".bias") or "norm" in name.lower())
                assert group.weight_decay == (0.5 if decayed else 0.0), name
    assert configure_optimizer(tagger, Train(learning_rate=1.0)).groups[1].learning_rate == 1.0
