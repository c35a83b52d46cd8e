"""One order of overrides: collisions of all levels for every setting, and a word about values without effect."""

import copy
import re
from collections.abc import Iterable
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ita.config import ENTRIES, NAMED, STAGES, ConfigError, Resolver, check, load, read_yaml
from ita.config.levels import leaves, merge, typed
from ita.config.models import MODELS
from ita.config.validation import defaults
from tests.support.levels import nested, notes_of, resolved, set_values, written
from tests.support.paths import ROOT

CONFIG = read_yaml(ROOT / "config.yaml")
POOLS = (
    [False, True],
    [16, 32, 48, 64],
    [3, 4, 5],
    [100, 200, 300],
    [1000, 2000, 3000],
    [0, 1, 2],
    [0.125, 0.25, 0.5],
    ["one", "two", "three"],
    [["one"], ["two"], ["one", "two"]],
    [["t", "it"], ["it", "t"]],
    [["dev"], ["test"], ["train"]],
    [{"dev": "one"}, {"dev": "two"}, {"dev": "three"}],
    [{"dev": "a" * 64}, {"dev": "0" * 64}],
    [{"dev": "1-2"}, {"dev": "3-4"}],
    [{"la": 1}, {"la": 2}, {"la": 3}],
    [{"tags": 3}, {"tags": 4}, {"tags": -1}],
)
"""Lists of values, of which one fits each setting without a list of its own."""


def values_of(section: str, key: str) -> list:
    """Different values that a setting may have."""
    schema = str(MODELS[section].__pydantic_fields__[key].annotation)
    enumerated = re.fullmatch(r"typing\.Literal\[(.*)\]", schema)
    pools = [re.findall(r"'([^']*)'", enumerated[1])] if enumerated else POOLS
    for pool in pools:
        try:
            for value in pool:
                load(MODELS[section], {key: value})
        except (ConfigError, ValueError):
            continue
        return pool
    raise AssertionError(f"{section}.{key} needs values in POOLS")


def levels_of(section: str) -> list[tuple[str, ...]]:
    """Places of a setting in a configuration, later ones winning; --config has the same once more."""
    if section == "train":
        places = [("encoders", "e", "defaults"), ("train",), ("systems", "s", "train")]
    elif section in ENTRIES:
        places = [(section,), (ENTRIES[section], "x")]
    else:
        places = [(section,)] if section in STAGES else [(section, "x")]
    return [path for place in places for path in (place, ("datasets", "d", *place))]


SETTINGS = [
    (section, key)
    for section, model in MODELS.items()
    if section not in ENTRIES.values()
    for key in model.__pydantic_fields__
    if (section, key)
    not in {("encoders", "defaults"), ("systems", "train"), ("systems", "upstream"), ("train", "recipe")}
]
TOGETHER = {
    ("caption", "captions"): ([1, 2, 3], {}),
    ("caption", "beams"): ([5, 6, 7], {}),
    ("download", "source"): (["urls", "archive", "none"], {"archive": "x"}),
    ("knowledge", "blank"): ([["caption"], ["ocr", "image"], []], {}),
    ("knowledge", "retrieval"): (["random", "text", "tagger"], {"demonstrations": "x", "retrieval_model": "y"}),
    ("systems", "alignment"): (["posterior", "structural"], {"views": ["t", "it"]}),
    ("systems", "regions"): (["one", "two"], {"views": ["it"]}),
    ("systems", "relation_data"): (["one", "two"], {"relation_gate": True, "regions": "one", "views": ["it"]}),
    ("systems", "region_boxes"): ([True, False], {"views": ["it"], "regions": "one"}),
}
"""Settings that have to fit to another one: their values, and what these need."""


@pytest.mark.parametrize(("section", "key"), SETTINGS, ids=[".".join(setting) for setting in SETTINGS])
def test_every_level_wins_over_all_before_it(section, key, monkeypatch):
    if (section, key) not in TOGETHER:
        pool = values_of(section, key)
    else:
        pool, needed = TOGETHER[section, key]
        for value in pool:
            load(MODELS[section], {**needed, key: value})
        monkeypatch.setattr("ita.config.resolve.check_together", lambda *_: None)
    places = levels_of(section)
    config: dict = {}
    command_line: dict = {}
    levels = [(path, config) for path in places] + [(path, command_line) for path in places]
    for number, (path, source) in zip(count(), levels):
        value = pool[number % len(pool)]
        merged = merge(source, nested((*path, key), value))
        source.clear()
        source.update(merged)
        values, job = resolved(section, config, command_line)
        assert values[key] == value, path
        for leaf, _ in leaves({key: value}):
            level = job.origin(leaf)
            assert (level.path, level.command_line) == (path, source is command_line)


def test_the_sections_with_collisions_are_all_there_are():
    assert {section for section, _ in SETTINGS} | {*ENTRIES.values()} == {*STAGES, *NAMED}


VALUES = st.sampled_from([None, True, 0, "text", ["item"]])
MAPPINGS = st.recursive(
    st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3),
    lambda mappings: st.dictionaries(st.sampled_from("abc"), VALUES | mappings, max_size=3),
    max_leaves=8,
)


def replaced(over: dict, path: tuple[str, ...]) -> bool:
    """Whether the later mapping has a value at a place or around it, or a mapping in its stead."""
    for key in path:
        if not isinstance(over, dict):
            return True
        if key not in over:
            return False
        over = over[key]
    return True


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(MAPPINGS, MAPPINGS)
def test_merge_keeps_all_of_the_later_and_what_it_leaves_of_the_earlier(base, over):
    before = copy.deepcopy((base, over))
    result = merge(base, over)
    assert (base, over) == before, "neither is changed"
    expected = {path: value for path, value in leaves(base) if not replaced(over, path)} | dict(leaves(over))
    assert nonempty(leaves(result)) == nonempty(expected.items())
    assert merge(result, over) == result
    assert merge({}, base) == base == merge(base, {})


def nonempty(pairs: Iterable[tuple[tuple[str, ...], object]]) -> dict:
    """Values by path without empty mappings, which others fill."""
    return {path: value for path, value in pairs if value != {}}


def test_resolved_values_may_be_changed_by_who_asks_for_them():
    resolver = Resolver(CONFIG)
    resolver.stage("demo", "context", "all")["kinds"].append("x")
    resolver.stage("demo", "posts")["files"].clear()
    resolver.train("demo", "demo", "crf")["train"].clear()
    resolver.entry("demo", "losses", "paper").clear()
    resolver.value("demo", "seeds").clear()
    assert resolver.stage("demo", "context", "all")["kinds"] == ["la", "ga", "oca"]
    assert len(resolver.stage("demo", "posts")["files"]) == 3
    assert resolver.train("demo", "demo", "crf")["train"]["epochs"] == 12
    assert resolver.entry("demo", "losses", "paper")["text"] == 1.0
    assert resolver.value("demo", "seeds") == [1, 2, 3]


def test_null_in_train_means_not_set_here():
    config = {"train": {"learning_rate": 1e-4}, "datasets": {"d": {"train": {"learning_rate": None}}}}
    assert resolved("train", config, {})[0]["learning_rate"] == 1e-4
    assert resolved("train", {"train": {"learning_rate": None}}, {})[0] == set_values("train")
    with_rate = merge(config, {"encoders": {"e": {"defaults": {"learning_rate": 1e-3, "threads": 3}}}})
    assert resolved("train", with_rate, {})[0] == {**set_values("train"), "learning_rate": 1e-4, "threads": 3}


def test_a_training_job_knows_no_names_of_tables():
    job = Resolver(CONFIG).train("twitter17", "bert", "ita-all-cva")
    assert job["encoder"] == {"model": "bert-base-cased"}
    assert job["system"] == {"context": "all", "views": ["t", "it"], "alignment": "posterior"}
    assert job["train"]["threads"] == 4 and job["loss"]["temperature"] == 1.0


def test_text_from_the_command_line_is_read_as_yaml_would():
    config = {"train": {"epochs": "3", "warmup": "0.1", "learning_rate": "1e-5", "compile": "True", "loss": "paper"}}
    config |= {"seeds": ["1", "2.5"], "download": {"url": "null", "per_host": "-1", "user_agent": "3 x"}}
    config |= {"jobs_per_gpu": 2, "posts": {"sha256": {"dev": "0" * 64}}}
    assert typed(config) == {
        "train": {"epochs": 3, "warmup": 0.1, "learning_rate": 1e-5, "compile": True, "loss": "paper"},
        "seeds": [1, 2.5],
        "download": {"url": None, "per_host": -1, "user_agent": "3 x"},
        "jobs_per_gpu": 2,
        "posts": {"sha256": {"dev": "0" * 64}},
    }
    resolver = Resolver(CONFIG, {"train": {"epochs": "3", "learning_rate": "1e-4"}, "seeds": ["7", "8"]})
    check(resolver.config)
    assert resolver.train("demo", "demo", "crf")["train"]["learning_rate"] == 1e-4
    assert resolver.value("demo", "seeds") == [7, 8], "--config wins over the data set"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.stage("dmo", "posts"), "no data set 'dmo' in 'datasets'; did you mean 'demo'?"),
        (
            lambda r: r.stage("demo", "caption", "vinlv"),
            "captioner 'vinlv' of demo is not in 'captioners'",
        ),
        (
            lambda r: r.stage("demo", "ocr", "qq", "context.ocr_engine"),
            "context.ocr_engine names 'qq', which is not in",
        ),
        (lambda r: r.stage("demo", "ocr", "qq"), "OCR engine 'qq' of demo is not in 'ocr_engines'"),
        (
            lambda r: r.entry("demo", "systems", "cfr", "table.systems"),
            "table.systems names 'cfr', which is not in 'sys",
        ),
        (lambda r: r.entry("demo", "systems", "cfr", "x"), "; did you mean 'crf'? (there are: crf, crf-updates, "),
        (lambda r: r.train("demo", "brt", "crf"), "names 'brt', which is not in 'encoders'; did you mean 'bert'?"),
        (lambda r: r.value("x", "seeds"), "no data set 'x'"),
    ],
)
def test_a_name_that_does_not_exist_is_told_with_the_nearest(call, message):
    with pytest.raises(ConfigError) as raised:
        call(Resolver(CONFIG))
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_the_loss_is_missed_where_it_is_named():
    for path in (("train",), ("datasets", "demo", "train"), ("systems", "crf", "train")):
        config = merge(CONFIG, nested((*path, "loss"), "nope"))
        with pytest.raises(ConfigError, match=rf"{'.'.join(path)}.loss names 'nope', which is not in 'losses'"):
            Resolver(config).train("demo", "demo", "crf")


@pytest.mark.parametrize(
    ("config", "job", "message"),
    [
        (
            {"systems": {"crf": {"alignment": "posterior"}}},
            ("train", "demo/crf"),
            "system crf of demo: cross-view align",
        ),
        (
            {"datasets": {"demo": {"caption": {"captions": 6, "beams": 5}}}},
            ("caption", "vinvl"),
            "captioner vinvl of demo: setting ",
        ),
        ({"caption": {"beams": 4, "captions": 5}}, ("caption", "vinvl"), "5 captions cannot come out of 4 beams"),
        (
            {"datasets": {"demo": {"download": {"source": "archive"}}}},
            ("download", None),
            "download.archive must name it",
        ),
    ],
)
def test_merged_settings_that_do_not_fit_together_are_told(config, job, message):
    merged = merge(CONFIG, config)
    check(merged)
    with pytest.raises(ConfigError, match=message):
        Resolver(merged).job("demo", *job)


def test_a_new_name_or_note_of_a_system_retrains_nothing():
    changed = merge(CONFIG, {"systems": {"umgf": {"name": "Other", "note": "other."}}})
    assert Resolver(changed).train("demo", "demo", "umgf") == Resolver(CONFIG).train("demo", "demo", "umgf")
    assert Resolver(changed).entry("demo", "systems", "umgf")["note"] == "other."


# --- values without effect -------------------------------------------------------------------------------------------

OVERRIDDEN = ["detect", "caption", "ocr", "context", "table", "figure", "train"]
KEYS = {"detect": "max_objects", "caption": "max_tokens", "ocr": "processes", "context": "tags", "table": "seed"}
KEYS |= {"figure": "width", "train": "epochs"}


@pytest.mark.parametrize("section", OVERRIDDEN)
@pytest.mark.parametrize("of", ["general", "dataset", "command line", "command line of the data set"])
def test_a_value_without_effect_is_told_and_the_advice_works(section, of):
    key = KEYS[section]
    places = levels_of(section)
    place, entry = places[-4 if "general" in of or of == "command line" else -3], places[-2]
    value, own = 33, 44
    if of.startswith("command line"):
        config, command_line = {}, merge(nested((*place, key), value), nested((*entry, key), own))
    else:
        config, command_line = merge(nested((*place, key), value), nested((*entry, key), own)), {}
    (note,) = notes_of(section, config, command_line)
    assert note.startswith(f"{'--config ' if command_line else ''}{'.'.join((*place, key))}: 33 does not reach ")
    assert f"{'.'.join((*entry, key))})" in note and "44 wins" in note
    path, on_command_line = written(note)
    assert on_command_line == bool(command_line)
    advice = nested(tuple(path.split(".")), value)
    if on_command_line:
        command_line = merge(command_line, advice)
    else:
        config = merge(config, advice)
    assert resolved(section, config, command_line)[0][key] == value
    if of != "command line of the data set" and "datasets" in path:
        assert not notes_of(section, config, command_line)


@pytest.mark.parametrize("section", OVERRIDDEN)
def test_what_is_meant_or_has_an_effect_is_not_told(section):
    key, places = KEYS[section], levels_of(section)
    section_place, dataset_section, entry, dataset_entry = places[-4:]
    default = defaults(section)[key]
    own = nested((*entry, key), 44)
    assert not notes_of(section, merge(nested((*section_place, key), default), own)), "a default"
    assert not notes_of(section, merge(nested((*dataset_section, key), 44), own)), "the same value"
    named = merge(merge(nested((*dataset_section, key), 33), own), nested(dataset_entry[:4], {}))
    assert not notes_of(section, named), "the data set names the entry"
    assert not notes_of(section, nested((*section_place, key), 33), nested((*entry, key), 55)), "--config wins over all"
    assert not notes_of(section, merge(nested((*section_place, key), 33), nested((*dataset_section, key), 55)))


def test_rows_of_a_data_set_restrict_its_tables_and_are_not_told():
    config = {"tables": {"x": {"systems": ["one"]}}, "datasets": {"d": {"table": {"systems": ["two"]}}}}
    assert notes_of("table", config) == []


def test_defaults_of_an_encoder_that_the_section_replaces_are_told():
    config = {"train": {"epochs": 10}, "encoders": {"e": {"defaults": {"epochs": 3}}}}
    (note,) = notes_of("train", config)
    assert note == (
        "encoders.e.defaults.epochs: 3 does not reach encoder e, since the value 10 wins (train.epochs); to change it "
        "write datasets.d.train.epochs"
    )
    assert not notes_of("train", merge(config, {"train": {"epochs": 12}})), "who sets the section means all encoders"
    mine = {"train": {"epochs": 12}, "datasets": {"d": {"encoders": {"e": {"defaults": {"epochs": 3}}}}}}
    assert "datasets.d.encoders.e.defaults.epochs: 3 does not reach" in notes_of("train", mine)[0]
    assert not notes_of("train", merge(mine, {"datasets": {"d": {"train": {"epochs": 4}}}}))


def test_a_line_is_told_once():
    notes: list[str] = []
    config = merge(CONFIG, {"caption": {"beams": 6}})
    resolver = Resolver(config, None, notes.append)
    for dataset in resolver.datasets:
        for _ in range(2):
            resolver.stage(dataset, "caption", "vinvl1")
    assert len(notes) == 1


@pytest.mark.parametrize("dataset", CONFIG["datasets"])
def test_the_shipped_configuration_has_no_value_without_effect(dataset):
    notes: list[str] = []
    resolver = Resolver(CONFIG, None, notes.append)
    paper = resolver.stage(dataset, "paper")
    displays = [resolver.stage(dataset, "table", name) for name in paper["tables"]]
    displays += [resolver.stage(dataset, "figure", name) for name in paper["figures"]]
    table = resolver.stage(dataset, "table")
    systems = {name for display in displays for name in display["systems"]} | {*table["systems"], "ita-random"}
    encoders = {name for display in displays for name in display["encoders"]} | {*table["encoders"]}
    for system in systems:
        for encoder in encoders:
            context = resolver.train(dataset, encoder, system)["system"].get("context", "none")
        values = resolver.stage(dataset, "context", context)
        captioner = resolver.stage(dataset, "caption", values["captioner"])
        for detector in (values["detector"], captioner["detector"]):
            resolver.stage(dataset, "detect", detector)
        resolver.stage(dataset, "ocr", values["ocr_engine"])
    assert len(systems) > 5 and notes == []


def test_a_system_names_its_encoders():
    resolver = Resolver(CONFIG)
    one, both = (resolver.train("twitter17", "minilm", system) for system in ("vinvl-crf", "bert-vinvl-crf"))
    vinvl = {"model": CONFIG["encoders"]["vinvl"]["model"]}
    assert one["encoder"] == vinvl and "further_encoders" not in one
    assert both["encoder"]["model"].startswith("package:") and both["further_encoders"] == [vinvl]
    assert one["train"]["learning_rate"] == 5.0e-5, "of VinVL"
    assert both["train"]["learning_rate"] == 1.0e-4, "of the first"
    assert resolver.encoder_names("twitter17", "minilm", "crf") == ["minilm"]
    assert list(resolver.train("twitter17", "minilm", "crf")) == ["train", "encoder", "system", "loss"]
    assert "encoders" not in resolver.train("twitter17", "minilm", "crf")["system"], (
        "as before there was such a setting"
    )


def test_an_encoder_of_a_system_must_exist():
    config = merge(CONFIG, {"systems": {"bert-vinvl-crf": {"encoders": ["{encoder}", "vinlv"]}}})
    with pytest.raises(ConfigError, match="systems.bert-vinvl-crf.encoders names 'vinlv'.*did you mean 'vinvl'"):
        Resolver(config).train("twitter17", "bert", "bert-vinvl-crf")
