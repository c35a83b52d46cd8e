"""The pipeline as Snakemake runs it: layout, planning, reruns, the chain end to end."""

import copy
import csv
import json
import re
import resource
import subprocess
import sys

import pytest
import yaml

from ita.config import NAMED, STAGES
from ita.io import parquet
from ita.workflow.versions import VERSIONS
from tests.support.paths import ROOT
from tests.support.pipeline import Pipeline, small

FUNCTIONS = {"common", "results"}
"""Rule files without rules."""
DATASETS = ("demo", "twitter15", "twitter17", "snap")
TABLES = [f"results/{name}/table1.csv" for name in DATASETS]
DEMO = ["results/demo/paper", "results/demo/table1.csv", "results/demo/curves.svg"]
IMGFEAT = "results/demo/runs/demo/imgfeat/seed1/metrics.json"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The workflow with the configuration of the repository; nothing has run."""
    return Pipeline(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The workflow with a small demo that has run."""
    pipeline = Pipeline(tmp_path_factory.mktemp("done"))
    pipeline.write(small(pipeline.config))
    pipeline.run(*DEMO)
    return pipeline


def test_one_word_per_stage():
    included = re.findall(r'include: "rules/(\w+)\.smk"', (ROOT / "Snakefile").read_text())
    assert included == ["common", "results", *STAGES], "in the order of the data flow"
    assert list(VERSIONS) == list(STAGES)
    assert sorted(path.stem for path in (ROOT / "rules").glob("*.smk")) == sorted(included)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for stage in STAGES:
        text = (ROOT / "rules" / f"{stage}.smk").read_text()
        assert re.findall(r"^rule (\w+):", text, re.MULTILINE) == [stage]
        assert f"python -m ita {stage} " in text
        assert re.search(rf'"results/logs/[^/]+/{stage}[./]', text)
        assert re.search(rf'"results/benchmarks/[^/]+/{stage}[./]', text)
        assert stage in config
        assert (ROOT / "tests/stages" / f"test_{stage}.py").is_file()


def test_rules_are_programs_with_all_directives():
    for path in (ROOT / "rules").glob("*.smk"):
        text = path.read_text()
        assert not re.search(r"^\s+(run|script|notebook):", text, re.MULTILINE), path
        if path.stem not in FUNCTIONS:
            for directive in ("log", "benchmark", "conda", "params", "shell"):
                assert re.search(rf"^    {directive}:", text, re.MULTILINE), (path, directive)
    assert "def " not in "".join(p.read_text() for p in (ROOT / "rules").glob("*.smk") if p.stem not in FUNCTIONS)


def test_no_file_is_long():
    for pattern in ("src/**/*.py", "rules/*.smk", "tests/*.py", "benchmarks/*.py"):
        for path in ROOT.glob(pattern):
            assert len(path.read_text().splitlines()) <= 400, path


def test_environment_pins_what_the_constraints_pin():
    constraints = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pins = {name.lower(): version for name, version in constraints.items()}
    packages = yaml.safe_load((ROOT / "envs/ita.yaml").read_text())["dependencies"][-1]["pip"]
    for name, version in (package.split("==") for package in packages):
        assert pins[name.lower()] == version


def test_all_tables_are_planned_without_heavy_imports(fresh):
    everything = [f"results/{name}/{table}.csv" for name in DATASETS for table in fresh.config["tables"]]
    command = [sys.executable, "-X", "importtime", *fresh.command("--dry-run", *everything)[1:]]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(command, cwd=fresh.folder, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run.returncode == 0, run.stderr[-3000:]
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time:")}
    assert "snakemake" in imported
    assert not imported & {"torch", "transformers", "pandas", "pyarrow", "matplotlib"}
    output = run.stdout + run.stderr
    # Per dataset: both encoders with the nine systems of Table 1 and their control, one with six more of Table 4.
    assert re.search(rf"^train +{3 * 5 * (2 * 10 + 6) + 3 * 9}$", output, re.MULTILINE)
    # 5 s on an idle core; a busy one counts more for the same work.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10


def test_both_profiles_load(fresh):
    local = fresh.run("--workflow-profile", "workflow/profiles/local", "--dry-run", TABLES[0])
    assert "Using workflow specific profile workflow/profiles/local" in local
    profiles = {
        path.parent.name: yaml.safe_load(path.read_text())
        for path in fresh.folder.glob("workflow/profiles/*/config.yaml")
    }
    assert profiles.keys() == {"local", "slurm"}
    assert set(profiles["slurm"]["set-resources"]) <= STAGES.keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"caption": {"beems": 5}}, "beems"),
        ({"caption": {"beams": 0}}, "0 is less than the minimum of 1"),
        (
            {"datasets": {"demo": {"table": {"systems": ["nope"]}}}},
            "table.systems names 'nope', which is not in 'systems'",
        ),
        ({"datasets": {"demo": {"train": {"loss": "nope"}}}}, "train.loss names 'nope', which is not in 'losses'"),
        (
            {"datasets": {"demo": {"contexts": {"all": {"kinds": ["nope"]}}}}},
            "context.kinds names 'nope', which is not in 'external_texts'",
        ),
        (
            {"systems": {"crf": {"regions": "nope", "views": ["it"]}}},
            "systems.crf.regions names 'nope', which is not in 'detectors'",
        ),
    ],
)
def test_a_wrong_configuration_is_refused_before_anything_runs(fresh, tmp_path, change, message):
    (tmp_path / "change.yaml").write_text(yaml.safe_dump(change))
    assert message in fresh.run("--dry-run", TABLES[0], "--configfile", tmp_path / "change.yaml", check=False)


def test_own_posts_need_only_a_section(fresh, tmp_path):
    mine = {
        "mine": {
            "posts": {"format": "jsonl", "files": {"train": "a", "dev": "b", "test": "c"}},
            "download": {"source": "none"},
        }
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"datasets": mine}))
    assert "posts" in fresh.run("--dry-run", "results/mine/posts.parquet", "--configfile", tmp_path / "mine.yaml")


def test_a_system_with_regions_reads_what_its_detector_keeps(fresh, tmp_path):
    (tmp_path / "two.yaml").write_text(yaml.safe_dump({"gather": {"shards": 2}}))
    target = "results/twitter15/runs/bert/imgfeat/seed1/metrics.json"
    plan = fresh.run("--dry-run", "--printshellcmds", target, "--configfile", tmp_path / "two.yaml")
    shards = [f"results/twitter15/features/resnet/{number}-of-2.parquet" for number in (1, 2)]
    for stage in ("train", "evaluate"):
        (command,) = re.findall(rf"python -m ita {stage} .*", plan)
        assert f"--features {' '.join(shards)} --output" in command
    assert re.search(r"^detect +2$", plan, re.MULTILINE)
    commands = re.findall(r"python -m ita detect .*", plan)
    assert all('"backend": "grid"' in command and "timm/resnet152.tv_in1k" in command for command in commands)
    assert not re.search(r"^(caption|ocr|gather) ", plan.partition("Job stats:")[2], re.MULTILINE)


def test_the_demo_looks_at_its_own_regions(done):
    done.run(IMGFEAT)
    run = done.folder / IMGFEAT
    about = json.loads((run.parent / "settings.json").read_text())
    assert about["regions"]["detector"] == "demo" and about["regions"]["posts"]["train"] > 12
    assert all(value > 0 for value in json.loads(run.read_text())["representation_distance"].values())
    config = copy.deepcopy(done.config)
    config["datasets"]["demo"]["detectors"]["demo"]["score_threshold"] = 0.3
    done.write(config)
    try:
        assert done.planned(IMGFEAT) >= {"detect", "train", "evaluate"}
    finally:
        done.write(done.config)


VISION = {"detect", "caption", "ocr", "gather"}
READ = {"table", "figure", "cases", "paper"}
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
    ("systems.ita-la.views", ["t", "it"], set()),
    ("systems.imgfeat.context", "ga", set()),
    ("losses.paper.alignment", 0.5, RUNS),
    ("losses.official.alignment", 0.7, set()),
    ("train.word_dropout", 0.2, RUNS),
    ("datasets.demo.seeds", [1, 2], RUNS),
    ("evaluate.batch_size", 16, {"evaluate"} | READ),
    ("table.digits", 1, {"table", "paper"}),
    ("tables.table5.significance_level", 0.01, {"table", "paper"}),
    ("tables.table6.systems", ["crf"], set()),
    ("figure.width", 8.0, {"figure", "paper"}),
    ("figures.figure2.height", 3.0, {"figure", "paper"}),
    ("paper.figures", ["curves"], {"paper"}),
    ("cases.count", 5, {"cases", "paper"}),
    ("datasets.twitter17.train.epochs", 3, set()),
]


def test_every_section_has_a_row():
    sections = {path.removeprefix("datasets.demo.").partition(".")[0] for path, _, _ in RERUNS}
    assert {*STAGES, *NAMED, "seeds"} <= sections


@pytest.mark.parametrize(("path", "value", "expected"), RERUNS, ids=[path for path, _, _ in RERUNS])
def test_an_edit_reruns_its_stage_and_what_lies_below(done, path, value, expected):
    config = copy.deepcopy(done.config)
    *parents, last = path.split(".")
    place = config
    for key in parents:
        place = place.setdefault(key, {})
    assert place.get(last) != value
    place[last] = value
    done.write(config)
    try:
        assert done.planned(*DEMO) == expected
    finally:
        done.write(done.config)


def test_nothing_reruns_without_an_edit(done):
    assert done.planned(*DEMO) == set()


def test_comments_and_notation_rerun_nothing(done):
    path = done.folder / "config.yaml"
    before = path.read_text()
    path.write_text("# a comment\n" + before.replace("5.0e-05", "0.00005"))
    try:
        assert path.read_text() != "# a comment\n" + before
        assert done.planned(*DEMO) == set()
    finally:
        path.write_text(before)


def test_the_chain_makes_a_table(done):
    folder = done.folder / "results" / "demo"
    with open(folder / "table1.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["approach"] for row in rows] == ["Demo-CRF", "ITA-All+CVA"]
    for row in rows:
        assert 0 <= float(row["t_mean"]) <= 100
        assert row["label_version"].startswith("own")
    assert "made by the project" in (folder / "table1.md").read_text()
    images = parquet.rows("images", folder / "images.parquet")
    assert {row["status"] for row in images} >= {"ok", "missing", "refused"}
    for row in images:
        assert (row["status"] == "ok") == bool(row["path"] and (folder / row["path"]).is_file())
    assert any(row["text"].strip() for row in parquet.rows("ocr", folder / "ocr" / "tesseract.parquet"))
    kinds = {kind for row in parquet.rows("contexts", folder / "contexts" / "all.parquet") for kind in row["kinds"]}
    assert kinds == {"la", "ga", "oca", "sep"}
    for path in folder.glob("*/*.parquet"):
        about = parquet.metadata(path)
        assert about["versions"]["ita"]
        assert about["inputs"]


def test_every_run_says_how_it_came_about(done):
    for run in done.folder.glob("results/demo/runs/*/*/*"):
        about = json.loads((run / "settings.json").read_text())
        assert about["seed"] == 1
        assert about["settings"]["train"]["epochs"] == 1
        assert {"posts", "context"} <= about["inputs"].keys()
        assert {"torch", "transformers"} <= about["versions"].keys()
        assert about["label_version"]
        assert not (run / "checkpoint").exists()


def test_the_report_is_built(done):
    done.run("--report", "report.html", *DEMO)
    report = (done.folder / "report.html").read_text()
    for category in ("Tables", "Figures", "Cases", "Cost"):
        assert f'"{category}"' in report
    for caption in ("Dev F1 in percent", "number of captions", "L2 distance", "calibration of span", "benchmark files"):
        assert caption in report
    assert "demo is made by the project" in report
    assert "ITA-All+CVA: context" in report
    assert "epochs <tt" in report
    assert "System Message" not in report, "captions are valid reStructuredText"


def test_a_row_more_needs_the_configuration_alone(fresh, tmp_path):
    """A system that combines known parts, by name; its row is one name in a list."""
    mine = {
        "contexts": {"objects-text": {"kinds": ["la", "oca"]}},
        "systems": {"ita-lo": {"name": "ITA-LO", "context": "objects-text", "views": ["it"]}},
        "datasets": {"demo": {"table": {"systems": ["crf", "ita-lo"]}}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    planned = fresh.run("--dry-run", TABLES[0], "--configfile", tmp_path / "mine.yaml")
    assert "runs/demo/ita-lo/seed3/metrics.json" in planned
    assert "ITA-LO" in planned or "contexts/objects-text.parquet" in planned


def test_a_control_is_trained_for_the_row_that_it_controls(fresh, tmp_path):
    for systems, expected in ((["crf", "ita-all"], True), (["crf", "ita-all-cva"], False)):
        mine = {"datasets": {"demo": {"table": {"systems": systems}}}}
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
        planned = fresh.run("--dry-run", TABLES[0], "--configfile", tmp_path / "mine.yaml")
        assert ("runs/demo/ita-random/" in planned) == expected


def test_the_folder_paper_holds_all_tables_and_figures(done):
    folder = done.folder / "results" / "demo" / "paper"
    names = {path.name for path in folder.iterdir()}
    for table in done.config["paper"]["tables"]:
        assert {f"{table}.{form}" for form in ("csv", "md", "tex", "html", "json")} <= names
    for figure in done.config["paper"]["figures"]:
        assert {f"{figure}.{form}" for form in ("svg", "pdf", "csv", "json")} <= names
    assert {"cases.html", "cost.csv", "index.md", "index.html"} <= names
    with open(folder / "cost.csv", newline="") as file:
        stages = [row["stage"] for row in csv.DictReader(file)]
    assert {"demo", "train", "evaluate", "table", "figure", "cases"} <= set(stages)
