"""One edit, the exact set of stages that run again: as a function of the configuration alone."""

import copy
import json

import pytest
import yaml

from ita.config.levels import merge
from ita.config.sections import NAMED, STAGES
from ita.knowledge.templates import load_template
from ita.workflow.versions import VERSIONS
from tests.support.paths import ROOT
from tests.support.pipeline import small
from tests.support.planner import Planner

TARGETS = ["results/demo/paper", "results/demo/report", "results/demo/table1.csv", "results/demo/curves.svg"]
VISION = {"detect", "caption", "ocr", "gather"}
READ = {"table", "figure", "cases", "paper", "report"}
RUNS = {"train", "evaluate"} | READ
RERUNS = [
    # section and setting (of the demo where it has the section itself), new value -> rules that run again
    ("demo.seed", 8, {"demo", "posts", "download", "context"} | VISION | RUNS),
    ("posts.rename", {"MISC": "OTHER"}, {"posts", "download", "context"} | VISION | RUNS),
    ("download.backoff", 2.0, {"download", "context"} | VISION | RUNS),
    ("detect.max_objects", 50, {"detect", "caption", "gather", "context"} | RUNS),
    ("datasets.demo.detectors.demo.score_threshold", 0.3, {"detect", "caption", "gather", "context"} | RUNS),
    ("detectors.coco.score_threshold", 0.3, set()),
    ("detectors.resnet.batch_size", 4, set()),
    ("caption.captions", 4, {"caption", "gather", "context"} | RUNS),
    ("datasets.demo.captioners.demo.captions", 2, {"caption", "gather", "context"} | RUNS),
    ("captioners.blip.beams", 7, set()),
    ("ocr.page_segmentation", 6, {"ocr", "gather", "context"} | RUNS),
    ("ocr_engines.tesseract.page_segmentation", 6, {"ocr", "gather", "context"} | RUNS),
    ("ocr_engines.paddle.processes", 1, set()),
    ("gather.shards", 3, VISION | {"context"} | RUNS),
    ("context.tags", 50, {"context"} | RUNS),
    ("contexts.all.budget", {"ga": 5}, {"context"} | RUNS),
    ("contexts.ga.budget", {"ga": 5}, set()),
    ("external_texts.knowledge", {"files": ["nowhere.json"]}, set()),
    ("encoders.bert.defaults.learning_rate", 1.0e-5, set()),
    ("datasets.demo.encoders.demo.defaults.learning_rate", 1.0e-5, RUNS),
    ("datasets.demo.encoders.demo.name", "Small", READ),
    ("systems.crf.name", "Text only", READ),
    ("systems.crf.views", ["t", "it"], RUNS),
    ("systems.crf.train", {"epochs": 5}, RUNS),
    ("systems.ita-la.views", ["t", "it"], set()),
    ("systems.imgfeat.context", "ga", set()),
    ("losses.paper.alignment", 0.5, RUNS),
    ("losses.official.alignment", 0.7, set()),
    ("train.word_dropout", 0.2, RUNS),
    ("datasets.demo.train.word_dropout", 0.2, RUNS),
    ("datasets.demo.seeds", [1, 2], RUNS),
    ("datasets.demo.note", "Changed.", READ),
    ("datasets.demo.licence", "Changed.", {"evaluate"} | READ),
    ("evaluate.batch_size", 16, {"evaluate"} | READ),
    ("table.digits", 1, {"table", "paper", "report"}),
    ("tables.table5.significance_level", 0.01, {"table", "paper", "report"}),
    ("tables.table6.systems", ["crf"], set()),
    ("figure.width", 8.0, {"figure", "paper"}),
    ("figures.figure2.height", 3.0, {"figure", "paper"}),
    ("paper.figures", ["curves"], {"paper"}),
    ("paper.tables", ["table1"], {"paper", "report"}),
    ("knowledge_sources.llm.prompt_price", 0.5, {"paper", "report"}),
    ("cases.count", 5, {"cases", "paper"}),
    ("report.thumbnail", 100, {"report"}),
    ("report.tables", ["table1"], {"report"}),
    ("datasets.demo.report", {"systems": ["crf"]}, {"report"}),
    ("datasets.twitter17.train", {"epochs": 3}, set()),
]


@pytest.fixture(scope="module")
def config():
    """The configuration with a small demo."""
    return small(yaml.safe_load((ROOT / "config.yaml").read_text()))


@pytest.fixture(scope="module")
def before(config):
    """Jobs before any edit."""
    return Planner(config).plan(*TARGETS)


def edited(config, path, value):
    """A copy with another value."""
    config = copy.deepcopy(config)
    *parents, last = path.split(".")
    place = config
    for key in parents:
        place = place.setdefault(key, {})
    assert place.get(last) != value
    place[last] = value
    return config


def test_every_section_has_a_row():
    sections = {path.removeprefix("datasets.demo.").partition(".")[0] for path, *_ in (*RERUNS, *TAGGING, *KNOWLEDGE)}
    assert {*STAGES, *NAMED, "seeds", "note", "licence"} <= sections


@pytest.mark.parametrize(("path", "value", "expected"), RERUNS, ids=[path for path, _, _ in RERUNS])
def test_an_edit_reruns_its_stage_and_what_lies_below(config, before, path, value, expected):
    assert Planner(edited(config, path, value)).reruns(before, *TARGETS) == expected


def test_nothing_reruns_without_an_edit(config, before):
    assert Planner(copy.deepcopy(config)).reruns(before, *TARGETS) == set()
    backwards = dict(reversed(config.items()))
    assert Planner(backwards).reruns(before, *TARGETS) == set(), "whatever the order of the keys"


def test_a_new_version_reruns_its_stage(config, before, monkeypatch):
    monkeypatch.setitem(VERSIONS, "evaluate", 99)
    assert Planner(config).reruns(before, *TARGETS) == {"evaluate"} | READ


ENTITIES = "results/demo/entities.parquet"
TAGGED = {"tag", "gather"}
TAGGING = [
    # section and setting -> rules that run again for the entities of the demo by its own model
    ("tag.batch_size", 16, TAGGED),
    ("datasets.demo.tag.model", "results/demo/runs/demo/ita-all-cva/seed2", {"train"} | TAGGED),
    ("datasets.demo.tag.model", "results/demo/runs/demo/crf/seed1", {"context", "train"} | TAGGED),
    ("datasets.demo.tag.view", "t", TAGGED),
    ("gather.shards", 3, VISION | {"context", "train", "tag"}),
    ("contexts.all.budget", {"ga": 5}, {"context", "train"} | TAGGED),
    ("systems.crf.views", ["t", "it"], set()),
    ("systems.ita-all-cva.train", {"epochs": 5}, {"train"} | TAGGED),
    ("ocr.page_segmentation", 6, {"ocr", "context", "train"} | TAGGED),
    ("evaluate.batch_size", 16, set()),
]


@pytest.mark.parametrize(("path", "value", "expected"), TAGGING, ids=[path for path, *_ in TAGGING])
def test_an_edit_tags_again_what_depends_on_it(config, path, value, expected):
    before = Planner(config).plan(ENTITIES)
    assert Planner(edited(config, path, value)).reruns(before, ENTITIES) == expected


WRITTEN = "results/demo/table_knowledge.csv"
KNOWLEDGE = [
    # section and setting -> rules that run again for a table with text of a template or a language model
    ("knowledge.max_tokens", 50, {"knowledge", "gather", "context", "train", "evaluate", "table"}),
    ("knowledge_sources.filled.blank", ["ocr"], {"knowledge", "gather", "context", "train", "evaluate", "table"}),
    ("knowledge_sources.filled.prompt_price", 0.5, set()),
    ("knowledge_sources.mine", {"model": "made"}, set()),
    ("contexts.knowledge.budget", {"filled": 10}, {"context", "train", "evaluate", "table"}),
    ("ocr.page_segmentation", 6, {"ocr", "gather", "knowledge", "context", "train", "evaluate", "table"}),
]


@pytest.fixture(scope="module")
def whole():
    """The configuration with the whole demo, of which the small one leaves this table out."""
    return yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.mark.parametrize(("path", "value", "expected"), KNOWLEDGE, ids=[path for path, *_ in KNOWLEDGE])
def test_an_edit_asks_again_what_depends_on_it(whole, path, value, expected):
    before = Planner(whole).plan(WRITTEN)
    assert Planner(edited(whole, path, value)).reruns(before, WRITTEN) == expected


def test_another_template_asks_again(whole, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("[user]\nSeen: {caption}\n")
    changed = edited(whole, "knowledge.template", str(path))
    before = Planner(changed).plan(WRITTEN)
    path.write_text("[user]\nThere: {caption}\n")
    load_template.cache_clear()
    assert "knowledge" in Planner(changed).reruns(before, WRITTEN)
    asked = [job for job in before.values() if job.stage == "knowledge"]
    assert asked and not any("objects" in file or "ocr" in file for job in asked for file in job.inputs)
    assert all(str(path) in job.inputs for job in asked)


TAUGHT = "results/demo/runs/demo/rpbert/seed1/metrics.json"
RELATION = [
    # edit -> stages that run again, of the run with relation data and of the one without
    ("datasets.demo-relation.posts.ranges", {"train": "1-4"}, {"posts", "download", "detect"} | RUNS - READ, set()),
    ("datasets.demo-relation.detectors.demo.score_threshold", 0.3, {"detect"} | RUNS - READ, set()),
    ("datasets.demo-relation.gather", {"shards": 2}, {"detect"} | RUNS - READ, set()),
    ("datasets.demo.systems.rpbert.relation_data", None, RUNS - READ, set()),
    ("datasets.demo-relation.note", "Changed.", set(), set()),
    ("losses.paper.relation", 0.1, RUNS - READ, RUNS - READ),
    ("datasets.relation.download.source", "none", set(), set()),
]


@pytest.mark.parametrize(("path", "value", "taught", "others"), RELATION, ids=[path for path, *_ in RELATION])
def test_relation_data_rerun_only_what_they_train(config, path, value, taught, others):
    alone = TAUGHT.replace("rpbert", "rpbert-without-rp")
    for target, expected in ((TAUGHT, taught), (alone, others)):
        before = Planner(config).plan(target)
        assert Planner(edited(config, path, value)).reruns(before, target) == expected
        assert any("demo-relation" in path for job in before.values() for path in job.inputs) == (target == TAUGHT)


def test_a_system_with_regions_of_a_grid_needs_no_objects():
    change = {"gather": {"shards": 2}}
    config = merge(yaml.safe_load((ROOT / "config.yaml").read_text()), change)
    planned = Planner(config).plan("results/twitter15/runs/bert/imgfeat/seed1/metrics.json")
    shards = {f"results/twitter15/features/resnet/{number}-of-2.parquet" for number in (1, 2)}
    assert all(shards <= job.inputs for job in planned.values() if job.stage in ("train", "evaluate"))
    detections = [json.loads(job.settings)["detect"] for job in planned.values() if job.stage == "detect"]
    assert [detect["backend"] for detect in detections] == ["grid"] * 2
    assert {job.stage for job in planned.values()} == {"posts", "download", "detect", "context", "train", "evaluate"}
