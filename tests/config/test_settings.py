"""One definition of every setting: models, schema file, config.yaml and its checks agree."""

from dataclasses import asdict

import pytest
import yaml

from ita.config import ENTRIES, NAMED, STAGES, Caption, ConfigError, Detect, Train, check, load, read_yaml
from ita.config.levels import merge
from ita.config.models import MODELS
from ita.config.schema import render
from ita.config.tagger import SET_BY_ENCODERS
from tests.support.paths import ROOT

CONFIG = read_yaml(ROOT / "config.yaml")


def nested(path: str, value: object) -> dict:
    """``{"a": {"b": value}}`` for ``a.b``."""
    first, _, rest = path.partition(".")
    return {first: nested(rest, value) if rest else value}


def problems(path: str, value: object) -> str:
    """What ``check`` says about the shipped configuration with one value changed."""
    with pytest.raises(ConfigError) as raised:
        check(merge(CONFIG, nested(path, value)))
    return str(raised.value)


def test_schema_file_is_the_one_rendered():
    schema = (ROOT / "workflow/schemas/config.schema.yaml").read_text()
    assert schema == render(), "run: ita schema > workflow/schemas/config.schema.yaml"


@pytest.mark.parametrize("stage", STAGES)
def test_config_holds_every_setting_at_its_default(stage):
    expected = asdict(MODELS[stage]())
    if stage == "train":
        expected |= dict.fromkeys(SET_BY_ENCODERS)
    assert CONFIG[stage] == expected
    assert list(CONFIG[stage]) == list(expected), "in the order of the model"


def test_config_holds_every_section_and_nothing_else():
    assert {*STAGES, *NAMED, "seeds", "jobs_per_gpu", "container", "datasets"} == CONFIG.keys()
    assert {*STAGES, *NAMED} == MODELS.keys()


def test_every_setting_has_a_meaning():
    for section, model in MODELS.items():
        for name, field in model.__pydantic_fields__.items():
            assert (field.description or "").endswith("."), (section, name)


def test_config_and_examples_fit_together():
    check(CONFIG)
    examples = list((ROOT / "workflow/examples").glob("*.yaml"))
    assert examples
    for example in examples:
        check(merge(CONFIG, read_yaml(example)))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("caption.baems", 5, "caption.baems: no such setting; did you mean 'beams'?"),
        ("caption.qqq", 5, "caption.qqq: no such setting; there are: backend, model, detector"),
        ("caption.beams", 0, "caption.beams: found 0, expected 1 or more"),
        ("tables.table1.digits", 7, "tables.table1.digits: found 7, expected at most 6"),
        ("train.epochs", "ten", 'train.epochs: found "ten", expected a whole number'),
        ("train.epochs", None, "train.epochs: found null, expected a whole number"),
        ("train.epochs", 64.0, "train.epochs: found 64.0, expected a whole number"),
        ("train.epochs", True, "train.epochs: found true, expected a whole number"),
        ("train.epochs", float("nan"), "train.epochs: found NaN, expected a whole number"),
        ("train.epochs", float("inf"), "train.epochs: found Infinity, expected a whole number"),
        ("seeds", [1, 2.0], "seeds[1]: found 2.0, expected a whole number"),
        ("contexts.ga.budget", {"ga": True}, "contexts.ga.budget.ga: found true, expected a whole number"),
        ("train.warmup", float("nan"), "train.warmup: found NaN, expected a finite number"),
        ("train.learning_rate", float("inf"), "train.learning_rate: found Infinity, expected a finite number"),
        ("train.warmup", False, "train.warmup: found false, expected a number"),
        ("train.word_dropout", 1, "train.word_dropout: found 1, expected less than 1"),
        ("train.learning_rate", "1e-5", "YAML takes this for text, write 1.0e-5"),
        ("train.compile", 1, "train.compile: found 1, expected true or false"),
        ("demo.hidden", 24, "demo.hidden: found 24, expected a multiple of 16"),
        (
            "detect.backend",
            "vinlv",
            "one of vinvl, bottomup, transformers, zero-shot, florence2, grid, precomputed; did you mean 'vinvl'",
        ),
        ("ocr.language", "a b", "ocr.language: found \"a b\", expected text that matches ^[A-Za-z0-9_+/-]+$"),
        ("datasets.demo.train.epochs", 0, "datasets.demo.train.epochs: found 0, expected 1 or more"),
        ("datasets.demo.tarin", {}, "datasets.demo.tarin: no such setting; did you mean 'train'?"),
        ("datasets.demo.jobs_per_gpu", 2, "datasets.demo.jobs_per_gpu: no such setting"),
        ("datasets.demo", None, "datasets.demo: found null, expected a mapping of KEY: VALUE"),
        ("datasets", {"../evil": {}}, 'datasets."../evil": names are made of small letters'),
        ("datasets", {2017: {}}, "datasets[2017]: YAML takes this name for a number; write it in quotes: '2017'"),
        ("contexts", {True: {}}, "YAML takes this name for a truth value; write it in quotes: 'True'"),
        ("systems", {None: {}}, "YAML takes this name for nothing; write it in quotes"),
        ("datasets", {"a\nb": {}}, 'datasets."a\\nb": names are made of small letters'),
        ("datasets", {"a" * 300: {}}, "...: found \"aaaa"),
        ("datasets", {"a" * 61: {}}, "expected at most 60 letters"),
        ("datasets", {"{a}": {}}, "datasets.{a}: names are made of small letters"),
        ("datasets", {"посты": {}}, "datasets.посты: names are made of small letters"),
        ("datasets", {"a\u202e": {}}, 'datasets."a\\u202e": names are made of small letters'),
        ("captioners", {"A": {}}, "captioners.A: names are made of small letters"),
        ("encoders.bert.defaults.learning_raet", 1.0, "did you mean 'learning_rate'?"),
        ("systems.crf.train.epoch", 1, "systems.crf.train.epoch: no such setting; did you mean 'epochs'?"),
        ("systems.crf.views", ["image"], 'systems.crf.views[0]: found "image", expected one of t, it'),
        ("systems.crf.views", [], "systems.crf.views: found [], expected 1 item or more"),
        ("systems.crf.views", "t", 'systems.crf.views: found "t", expected a list'),
        ("posts.files", {"valid": "x"}, 'posts.files.valid: found "valid", expected one of train, dev, test'),
        ("posts.sha256", {"dev": "12"}, "posts.sha256.dev: found \"12\", expected text that matches ^[0-9a-f]{64}$"),
        ("external_texts.sep", {}, "external_texts.sep: 'sep' has a meaning as a kind of context already"),
        ("external_texts.la", {}, "external_texts.la: 'la' has a meaning as a kind of context already"),
        ("seeds", [], "seeds: found [], expected 1 item or more"),
        ("seeds", [1, 1], "seeds: expected each value once, 1 is repeated"),
        ("table.systems", ["crf", "crf"], "table.systems: expected each value once, 'crf' is repeated"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_told_in_one_line(path, value, message):
    line = problems(path, value)
    assert line.startswith("config: ") and message in line and "\n" not in line and len(line) < 250


OLD = [
    ("readers", {}, "ocr_engines"),
    ("texts", {}, "external_texts"),
    ("datasets.demo.readers", {}, "ocr_engines"),
    ("encoders.bert.train", {}, "defaults"),
    ("context.reader", "x", "ocr_engine"),
    ("contexts.oca.reader", "x", "ocr_engine"),
    ("datasets.demo.contexts.oca.reader", "x", "ocr_engine"),
    ("train.accumulation", 2, "gradient_accumulation"),
    ("train.clip", 1.0, "clip_grad_norm"),
    ("train.max_pieces", 9, "max_subwords"),
    ("train.prune_vocabulary", True, "trim_vocabulary"),
    ("encoders.bert.defaults.clip", 1.0, "clip_grad_norm"),
    ("systems.crf.train.clip", 1.0, "clip_grad_norm"),
    ("evaluate.max_pieces", 9, "max_subwords"),
    ("table.level", 0.1, "significance_level"),
    ("table.random", [], "control_systems"),
    ("table.reader", "x", "ocr_engine"),
    ("tables.table6.readers", ["x"], "ocr_engines"),
    ("datasets.demo.tables.table1.samples", 200, "resamples"),
    ("tables.table1.kind", "scores", "f1"),
    ("table.kind", "characters", "ocr"),
]


@pytest.mark.parametrize(("path", "value", "new"), OLD, ids=[path for path, _, _ in OLD])
def test_an_old_name_leads_to_the_new_one(path, value, new):
    assert f"is now called {new!r}" in problems(path, value)


def test_many_problems_are_told_in_ten_lines():
    wrong = {f"setting{number}": 1 for number in range(14)}
    lines = problems("caption", wrong).splitlines()
    assert lines[0] == "config: 14 settings are wrong:"
    assert len(lines) == 12 and lines[-1].strip() == "... and 4 more"


def test_whole_numbers_are_numbers_too():
    assert load(Train, {"learning_rate": 1, "warmup": 0}).learning_rate == 1.0
    check(merge(CONFIG, nested("train.learning_rate", 1)))


def test_defaults_are_the_papers():
    caption = load(Caption, CONFIG["caption"])
    assert caption.search() == (5, 5, 20)
    assert caption.search(chat=True) == (1, 1, 128), "of a chat model, which is none of the paper's"
    assert load(Caption, {"captions": 7, "beams": 8}).search(chat=True) == (8, 7, 128)
    assert load(Caption, {"captions": 7}).search() == (7, 7, 20)
    context = CONFIG["context"]
    assert (context["attribute_threshold"], context["attributes"], context["tags"]) == (0.1, 3, 100)
    assert CONFIG["train"]["epochs"] == 10
    assert [CONFIG["encoders"][name]["defaults"]["batch_size"] for name in ("bert", "xlmr")] == [16, 4]
    assert set(CONFIG["losses"]["paper"].values()) == {1.0}


def test_load_names_the_wrong_setting():
    with pytest.raises(ConfigError, match=r"^setting detect.modle: no such setting; did you mean 'model'\?$"):
        load(Detect, {"modle": "x"})
    with pytest.raises(ConfigError, match=r"^setting detect.score_threshold: found 2, expected at most 1$"):
        load(Detect, {"score_threshold": 2})
    with pytest.raises(ConfigError, match="^setting detect: found 3, expected a mapping of KEY: VALUE$"):
        load(Detect, 3)
    with pytest.raises(ConfigError, match="^setting train.clip: is now called 'clip_grad_norm'$"):
        load(Train, {"clip": 1.0})
    assert load(Detect, {}) == Detect()


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("systems", {"alignment": "posterior"}, r"needs both views: set views to \[t, it\], found \['t'\]"),
        ("systems", {"alignment": "structural", "views": ["it"]}, "needs both views"),
        ("systems", {"regions": "resnet"}, "regions are read in the view it"),
        (
            "caption",
            {"captions": 6, "beams": 5},
            "6 captions cannot come out of 5 beams; raise caption.beams or lower caption.capt",
        ),
        ("posts", {"columns": {"tags": "ner"}}, "posts.columns.tags: found 'ner', expected its number"),
        ("posts", {"columns": {"image": 3}}, "posts.columns: found 'image'; umt files have these: tokens, tags"),
        ("posts", {"format": "csv", "columns": {"tags": 3}}, "posts.columns.tags: found 3, expected its name"),
        ("posts", {"format": "three_line", "columns": {"tags": 3}}, "three_line files have these: none"),
        ("posts", {"tag_names": ["O"], "features": "x"}, "found tag_names and features; expected one of them"),
        ("download", {"source": "folder"}, "download.source is 'folder', so download.folder must name it"),
        (
            "download",
            {"source": "archive", "folder": "x"},
            "download.source is 'archive', so download.archive must name it",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(section, values, message):
    with pytest.raises(ConfigError, match=message):
        load(MODELS[section], values)
    # One level of a configuration may hold a part of what fits together with another level.
    check(merge(CONFIG, {section: {"mine": values} if section in NAMED else values}))


def test_precomputed_captions_have_no_beams():
    assert load(MODELS["caption"], {"backend": "precomputed", "captions": 6, "files": ["x"]}).captions == 6


def test_sections_are_frozen_and_share_no_defaults():
    one, other = load(Detect, {}), load(Detect, {})
    assert one.files is not other.files
    with pytest.raises(AttributeError):
        one.model = "x"  # type: ignore[misc]


def test_an_editor_finds_the_same_errors():
    """The schema of the file is checked as an editor would: by a validator of JSON Schema."""
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(
        yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    )
    validator.validate(CONFIG)
    for path, value in [
        ("caption.baems", 5),
        ("caption.beams", 0),
        ("encoders.bert.defaults.lr", 1.0),
        ("datasets.demo.tarin", {}),
        ("datasets", {"../evil": {}}),
        ("external_texts", {"la": {}}),
        ("seeds", [1, 1]),
        ("systems.crf.views", ["image"]),
    ]:
        assert not validator.is_valid(merge(CONFIG, nested(path, value))), path
    assert validator.is_valid(merge(CONFIG, nested("datasets.demo.train.batch_size", None)))
    assert {stage: section for stage, section in ENTRIES.items() if section not in CONFIG} == {}
