"""Recipes of the published code: which settings they replace, and that nobody who does not choose one knows of them."""

import pytest

from ita.config import ConfigError, Resolver, read_yaml
from ita.config.levels import merge
from tests.support.levels import nested, notes_of, resolved, set_values, written
from tests.support.paths import ROOT

CONFIG = read_yaml(ROOT / "config.yaml")
TRAINING = {"datasets": {"d": {}}, "encoders": {"e": {}}, "systems": {"s": {}}, "losses": {"paper": {}}}
PLACES = [
    ("encoders", "e", "defaults"),
    ("datasets", "d", "encoders", "e", "defaults"),
    ("train",),
    ("datasets", "d", "train"),
    ("systems", "s", "upstream"),
    ("datasets", "d", "systems", "s", "upstream"),
    ("systems", "s", "train"),
    ("datasets", "d", "systems", "s", "train"),
]
"""Later ones win where the published recipe is chosen."""


@pytest.mark.parametrize("of", ["train", "encoder", "system", "data set", "command line"])
def test_a_recipe_lies_between_the_section_and_the_system(of):
    choices = {
        "train": ("train", "recipe"),
        "encoder": ("encoders", "e", "defaults", "recipe"),
        "system": ("systems", "s", "train", "recipe"),
        "data set": ("datasets", "d", "systems", "s", "train", "recipe"),
        "command line": ("train", "recipe"),
    }
    chosen = nested(choices[of], "upstream")
    config, command_line = ({}, chosen) if of == "command line" else (chosen, {})
    config = merge(config, nested(("systems", "s", "upstream", "warmup"), 0.5))
    for number, place in enumerate(PLACES):
        config = merge(config, nested((*place, "epochs"), 30 + number))
        values, job = resolved("train", config, command_line)
        assert (values["epochs"], job.origin(("epochs",)).path) == (30 + number, place)
        assert (values["warmup"], values["recipe"]) == (0.5, "upstream")
    command_line = merge(command_line, {"train": {"epochs": 99}})
    assert resolved("train", config, command_line)[0]["epochs"] == 99


def test_a_recipe_that_is_not_chosen_changes_no_job():
    recipe = {"systems": {"s": {"upstream": {"epochs": 99, "optimizer": "adam"}}}}
    whole = [Resolver(merge(TRAINING, config)).train("d", "e", "s") for config in ({}, recipe)]
    assert whole[0] == whole[1]
    assert whole[0]["train"] == set_values("train")


def test_a_system_without_a_recipe_keeps_ours():
    chosen = merge(TRAINING, {"train": {"recipe": "upstream", "epochs": 3}})
    assert Resolver(chosen).train("d", "e", "s")["train"] == {**set_values("train"), "epochs": 3}
    job = Resolver(chosen).job("d", "train", "e/s")["train"]
    assert job.origin(("recipe",)) is None and job.origin(("epochs",)).path == ("train",)


def test_a_recipe_chooses_no_recipe():
    config = merge(TRAINING, {"systems": {"s": {"upstream": {"recipe": "upstream"}, "train": {"recipe": "upstream"}}}})
    with pytest.raises(ConfigError, match=r"systems\.s\.upstream\.recipe: a recipe chooses no recipe; set it under"):
        Resolver(config).train("d", "e", "s")


def test_a_recipe_tells_about_values_that_it_replaces():
    """Those of the section only: a recipe is chosen in place of the encoder's defaults."""
    config = {"systems": {"s": {"upstream": {"epochs": 44}, "train": {"recipe": "upstream"}}}}
    config |= {"datasets": {"d": {"encoders": {"e": {"defaults": {"epochs": 22}}}}}}
    assert not notes_of("train", config)
    (note,) = notes_of("train", merge(config, {"train": {"epochs": 33}}))
    assert note.startswith("train.epochs: 33 does not reach system s, whose own value 44 wins (systems.s.upstream.epoc")
    assert written(note) == ("systems.s.train.epochs", False)


@pytest.mark.parametrize("name", ["umt", "umgf", "rpbert"])
@pytest.mark.parametrize("dataset", ["twitter15", "twitter17", "demo"])
def test_rows_of_published_recipes(name, dataset):
    """A row differs from its system in the recipe alone, and no setting of the recipe is left to our own."""
    resolver = Resolver(CONFIG)
    ours, theirs = resolver.train(dataset, "bert", name), resolver.train(dataset, "bert", f"{name}-upstream")
    assert {key: value for key, value in ours.items() if key != "train"} == {
        key: value for key, value in theirs.items() if key != "train"
    }
    assert theirs["train"]["recipe"] == "upstream"
    chosen = merge(CONFIG, {"train": {"recipe": "upstream"}})
    if dataset != "demo":  # which has settings of its own for `name`
        assert Resolver(chosen).train(dataset, "bert", name) == theirs
    job = resolver.job(dataset, "train", f"bert/{name}-upstream")["train"]
    for key in ("optimizer", "learning_rate", "head_learning_rate", "crf_learning_rate", "lr_schedule", "weight_decay"):
        assert job.origin((key,)).kind == "recipe", key
    epochs = {"umt": {"twitter15": 24, "twitter17": 22}, "umgf": {}, "rpbert": {}}[name]
    assert theirs["train"]["epochs"] == epochs.get(dataset, {"umt": 24, "umgf": 30, "rpbert": 10}[name])
