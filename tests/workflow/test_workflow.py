"""The pipeline as Snakemake runs it: planning, messages, reruns, the chain end to end."""

import copy
import csv
import json
import re
import subprocess
import sys
from itertools import product

import pytest
import yaml

from ita.commands import verify
from ita.config.levels import merge
from ita.config.sections import STAGES
from ita.io import parquet
from ita.io.files import sha256
from tests.support.made_dataset import read_script
from tests.support.pipeline import Pipeline, small
from tests.support.planner import Planner
from tests.support.report_folder import lost_links, zipped_report

DATASETS = ("demo", "twitter15", "twitter17", "snap")
TABLES = [f"results/{name}/table1.csv" for name in DATASETS]
DEMO = ["results/demo/paper", "results/demo/report", "results/demo/table1.csv", "results/demo/curves.svg"]
RPBERT = "results/demo/runs/demo/rpbert/seed1/metrics.json"
VISION_STAGES = {"detect", "caption", "ocr", "gather"}
IMGFEAT = "results/demo/runs/demo/imgfeat/seed1/metrics.json"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The workflow with the configuration of the repository and the files that users bring; nothing has run."""
    pipeline = Pipeline(tmp_path_factory.mktemp("fresh"))
    snap = pipeline.folder / "data" / "snap"
    (snap / "images").mkdir(parents=True)
    for name in ("train", "valid", "test"):
        (snap / f"{name}.txt").touch()
    return pipeline


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The workflow with a small demo that has run."""
    pipeline = Pipeline(tmp_path_factory.mktemp("done"))
    pipeline.write(small(pipeline.config))
    pipeline.run(*DEMO)
    return pipeline


def test_all_tables_are_planned_without_heavy_imports(fresh, monkeypatch, tmp_path):
    everything = [f"results/{name}/{table}.csv" for name in DATASETS for table in fresh.config["tables"]]
    asked = {"knowledge": {"model": "made"}}  # has no default
    (tmp_path / "asked.yaml").write_text(yaml.safe_dump(asked))
    arguments = fresh.command("--dry-run", *everything, "--configfile", tmp_path / "asked.yaml")
    command = [sys.executable, "-X", "importtime", *arguments[1:]]
    run = subprocess.run(command, cwd=fresh.folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time:")}
    assert "snakemake" in imported
    assert not imported & {"torch", "transformers", "pandas", "pyarrow", "matplotlib"}
    monkeypatch.chdir(fresh.folder)  # local files are looked for where Snakemake runs
    planned = Planner(merge(fresh.config, asked)).plan(*everything)
    stages = [job.stage for job in planned.values()]
    stats = dict(re.findall(r"^(\w+) +(\d+)$", run.stdout + run.stderr, re.MULTILINE))
    assert {stage: int(stats[stage]) for stage in set(stages)} == {stage: stages.count(stage) for stage in set(stages)}
    assert stages.count("train") > 400


def test_profiles_load(fresh):
    local = fresh.run("--workflow-profile", "workflow/profiles/local", "--dry-run", TABLES[0])
    assert "Using workflow specific profile workflow/profiles/local" in local
    profiles = {
        path.parent.name: yaml.safe_load(path.read_text())
        for path in fresh.folder.glob("workflow/profiles/*/config.yaml")
    }
    assert profiles.keys() >= {"default", "local", "slurm"}
    assert set(profiles["slurm"]["set-resources"]) <= set(STAGES)


def last_lines(output):
    """What stands at the end of the screen: the lines after Snakemake's own."""
    return output.strip().rpartition("\n\n")[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"caption": {"beems": 5}}, "caption.beems"),
        ({"caption": {"beams": 0}}, "caption.beams"),
        ({"datasets": {"demo": {"table": {"systems": ["nope"]}}}}, "datasets.demo.table.systems names 'nope'"),
        (
            {"datasets": {"demo": {"contexts": {"all": {"kinds": ["nope"]}}}}},
            "names 'nope', which is not in",
        ),
        (
            {"datasets": {"demo": {"context": {"detector": "dmo"}}}},
            "'detectors'; did you mean 'demo'",
        ),
        ({"systems": {"ita-all-cva": {"views": ["it"]}}}, "alignment needs both views"),
        ({"datasets": {"demo": {"download": {"folder": "gone"}}}}, "download.folder names 'gone', which is not there"),
    ],
)
def test_a_wrong_configuration_is_told_in_a_line_before_anything_runs(fresh, tmp_path, change, message):
    (tmp_path / "change.yaml").write_text(yaml.safe_dump(change))
    output = fresh.run("--dry-run", TABLES[0], "--configfile", tmp_path / "change.yaml", fails=True)
    assert message in last_lines(output)
    assert "Traceback" not in output and "Exception" not in output


def test_broken_yaml_and_a_mistyped_profile_are_told(fresh):
    mistyped = fresh.run("-n", TABLES[0], "--workflow-profile", "workflow/profiles/lcoal", fails=True)
    assert "workflow/profiles/lcoal: no such profile" in last_lines(mistyped)
    path = fresh.folder / "config.yaml"
    before = path.read_text()
    line = before.splitlines().index("caption:") + 1
    path.write_text(before.replace("\ncaption:\n", "\ncaption: [\n"))
    try:
        output = fresh.run("--dry-run", TABLES[0], fails=True)
    finally:
        path.write_text(before)
    told = last_lines(output)
    assert re.search(r"config\.yaml:(\d+)", told) and "YAML" in told, told
    assert line <= int(re.search(r"config\.yaml:(\d+)", told)[1]) <= line + 2


def test_the_command_line_wins_and_says_so_to_jobs(fresh, tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"datasets": {"demo": {"train": {"epochs": 7}}}}))
    target = "results/demo/runs/demo/crf/seed1/metrics.json"
    arguments = ["--dry-run", "--printshellcmds", target, "--configfile", tmp_path / "mine.yaml"]
    assert '"epochs": 7' in fresh.run(*arguments)
    output = fresh.run(*arguments, "--config", 'train={"epochs": 9}')
    assert '"epochs": 9' in output and '"epochs": 7' not in output


def test_own_posts_need_only_a_section(fresh, tmp_path):
    for name in "abc":
        (fresh.folder / name).touch()
    mine = {
        "posts": {"format": "jsonl", "files": {"train": "a", "dev": "b", "test": "c"}},
        "download": {"source": "none"},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"datasets": {"mine": mine}}))
    planned = fresh.planned("results/mine/table1.csv", "--configfile", tmp_path / "mine.yaml")
    assert planned == set(STAGES) - {"demo", "knowledge", "tag", "figure", "cases", "paper", "report"}


AGREED = {
    "caption.captions": 4,
    "gather.shards": 3,
    "evaluate.batch_size": 16,
    "table.digits": 1,
    "captioners.blip.beams": 7,
    "datasets.demo.seeds": [1, 2],
}
"""Edits of which Snakemake is asked, too; test_reruns.py has a row for every section."""


@pytest.mark.parametrize("path", AGREED)
def test_snakemake_reruns_what_the_plan_says(done, path):
    config = copy.deepcopy(done.config)
    *parents, last = path.split(".")
    place = config
    for key in parents:
        place = place[key]
    assert place.get(last) != AGREED[path]
    place[last] = AGREED[path]
    expected = Planner(config).reruns(Planner(done.config).plan(*DEMO), *DEMO)
    done.write(config)
    try:
        assert done.planned(*DEMO) == expected
    finally:
        done.write(done.config)


def test_comments_notation_and_order_rerun_nothing(done):
    assert done.planned(*DEMO) == set()
    path = done.folder / "config.yaml"
    before = path.read_text()
    backwards = yaml.safe_dump(dict(reversed(done.config.items())), sort_keys=False)
    path.write_text("# a comment\n" + backwards.replace("5.0e-05", "0.00005"))
    try:
        assert path.read_text() != "# a comment\n" + backwards
        assert done.planned(*DEMO) == set()
    finally:
        path.write_text(before)


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


def test_a_template_stands_in_for_a_language_model(done):
    target = "results/demo/contexts/knowledge.parquet"
    done.run(target)
    written = done.folder / "results/demo/knowledge/filled.parquet"
    rows = parquet.rows("knowledge", written)
    assert len(rows) == len(parquet.rows("contexts", done.folder / target)) > 0
    assert {row["model"] for row in rows} == {None} and all(row["text"] for row in rows if row["status"] == "ok")
    metadata = parquet.metadata(written)
    assert "no language model" in metadata["engine"]["note"] and metadata["counts"]["ok"] > len(rows) / 2
    assert done.planned(target) == set()


def test_relation_data_are_a_data_set_that_trains_a_gate(done):
    done.run(RPBERT)
    run, relation = (done.folder / RPBERT).parent, done.folder / "results/demo-relation"
    posts = parquet.rows("posts", relation / "posts.parquet")
    assert {(post["split"], post["related"]) for post in posts} == set(product(("train", "dev"), (True, False)))
    train = [post for post in posts if post["split"] == "train"]
    about = json.loads((run / "settings.json").read_text())
    assert about["relation"]["data"] == "demo-relation" and about["relation"]["left_out"] == 0
    assert json.loads((done.folder / RPBERT).read_text())["training"]["relation_posts"] == len(train) > 4
    assert "relation_loss" in (run / "history.csv").read_text()


def test_the_chain_makes_a_table(done):
    folder = done.folder / "results" / "demo"
    with open(folder / "table1.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["approach"] for row in rows] == ["Demo-CRF", "ITA-All+CVA"]
    for row, system in zip(rows, ("crf", "ita-all-cva"), strict=True):
        metrics = json.loads((folder / f"runs/demo/{system}/seed1/metrics.json").read_text())
        for view in ("t", "it") if row["it_mean"] or system != "crf" else ("t",):
            f1 = metrics["scores"]["test"][view]["default"]["f1"]
            assert float(row[f"{view}_mean"]) == pytest.approx(f1, rel=1e-5, abs=1e-9)
        assert row["label_version"] == metrics["label_version"]
        assert row["label_version"].startswith("own")
    images = parquet.rows("images", folder / "images.parquet")
    assert {row["status"] for row in images} >= {"ok", "missing", "refused"}
    for row in images:
        assert (row["status"] == "ok") == bool(row["path"] and (folder / row["path"]).is_file())
    assert any(row["text"].strip() for row in parquet.rows("ocr", folder / "ocr" / "tesseract.parquet"))
    kinds = {kind for row in parquet.rows("contexts", folder / "contexts" / "all.parquet") for kind in row["kinds"]}
    assert kinds == {"la", "ga", "oca", "sep"}
    for path in folder.glob("*/*.parquet"):
        metadata = parquet.metadata(path)
        assert metadata["versions"]["ita"]
        assert metadata["inputs"]


def test_tables_state_updates_and_compare_with_the_control_of_as_many(done):
    folder = done.folder / "results" / "demo"
    updates = {
        system: json.loads((folder / f"runs/demo/{system}/seed1/metrics.json").read_text())["training"]["updates"]
        for system in ("crf", "crf-updates", "ita-all-cva")
    }
    assert updates["ita-all-cva"] == updates["crf-updates"] > updates["crf"]
    with open(folder / "table1.csv", newline="") as file:
        rows = {row["system"]: row for row in csv.DictReader(file)}
    assert {system: float(row["updates"]) for system, row in rows.items()} == {
        system: float(updates[system]) for system in rows
    }
    assert rows["ita-all-cva"]["it_updates_gain"] and rows["ita-all-cva"]["t_updates_p_bootstrap"]
    with open(folder / "table3.csv", newline="") as file:
        schemes = {row["system"]: row for row in csv.DictReader(file)}
    assert schemes["crf-x"]["upstream_mean"] and not schemes["crf"]["upstream_mean"]
    assert schemes["crf"]["x_system"] == "crf-x" and schemes["crf"]["gain"]
    notes = json.loads((folder / "table1.json").read_text())["metadata"]["notes"]
    assert any(note.startswith("Rows of one seed bear no mark") for note in notes)


def test_a_single_shard_is_stored_once(done):
    folder = done.folder / "results" / "demo"
    for table in ("objects/demo", "captions/demo", "ocr/tesseract"):
        assert (folder / f"{table}.parquet").samefile(folder / table / "1-of-1.parquet")


def test_every_run_says_how_it_came_about(done):
    runs = list(done.folder.glob("results/demo/runs/*/*/*"))
    assert {run.parent.name for run in runs} >= {"crf", "ita-all-cva"}
    for run in runs:
        facts = json.loads((run / "settings.json").read_text())
        assert facts["seed"] == 1
        assert facts["settings"]["run"] == {"dataset": "demo", "encoder": "demo", "system": run.parent.name}
        assert facts["settings"]["train"]["epochs"] == 1
        assert {"posts", "context"} <= facts["inputs"].keys()
        assert {"torch", "transformers"} <= facts["versions"].keys()
        assert facts["label_version"]
        assert not (run / "checkpoint").exists()


def test_the_report_is_built(done):
    done.run("--report", "report.zip", *DEMO)
    report = zipped_report(done.folder / "report.zip")
    for category in ("Tables", "Figures", "Cases", "Cost", "Posts"):
        assert f'"{category}"' in report
    for caption in ("Dev F1 in percent", "number of captions", "L2 distance", "calibration of span", "benchmark files"):
        assert caption in report
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
    assert "contexts/objects-text.parquet" in planned


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


def test_the_report_shows_what_the_taggers_read(done):
    """Words for which inputs had no room are those that training and evaluation counted."""
    folder = done.folder / "results" / "demo"
    about, posts = (read_script(folder / "report" / "data" / f"{name}.js") for name in ("about", "posts-0"))
    assert [system["key"] for system in about["systems"]] == ["demo/crf", "demo/ita-all-cva"]
    assert about["contexts"] == ["none", "all"] and about["detectors"] == ["demo"]
    rows = {row["post_id"]: row for row in parquet.rows("contexts", folder / "contexts" / "all.parquet")}
    read = read_script(folder / "report" / "data" / "context-1-0.js")
    for post_id, segments in zip(posts["id"], read, strict=True):
        words = [
            word for word, kind in zip(rows[post_id]["tokens"], rows[post_id]["kinds"], strict=True) if kind != "sep"
        ]
        assert " ".join(text for _, text in segments if text).split() == words
    metrics = json.loads((folder / "runs/demo/ita-all-cva/seed1/metrics.json").read_text())
    numbers, counts = read_script(folder / "report" / "data" / "run-1.js")["without_room"]
    left_out = sum(count for number, count in zip(numbers, counts, strict=True) if posts["split"][number] == "test")
    assert left_out == metrics["scores"]["test"]["it"]["words_truncated"]
    assert lost_links(folder / "report") == []


def test_all_results_are_verified(done, capsys):
    """Runs with regions and relation data too; a digit that is changed is told."""
    folder = done.folder / "results" / "demo"
    assert verify.main([str(folder)]) == 0, capsys.readouterr().out
    output = capsys.readouterr().out
    for part in ("demo/imgfeat/seed1: names", "table1: ", "curves: ", "analysis: ", "paper/cost: ", "cases.parquet: "):
        assert f"ok    {part}" in output, part
    table = folder / "table1.csv"
    before = table.read_text()
    digit = next(number for number in range(len(before) - 1, 0, -1) if before[number - 1 : number] == ".")
    table.write_text(before[:digit] + str((int(before[digit]) + 1) % 10) + before[digit + 1 :])
    try:
        assert verify.main([str(table)]) == 1
    finally:
        table.write_text(before)
    assert re.search(
        r"^FAIL  table1\.csv: row \d \(Demo, .*\), column \w+: found", capsys.readouterr().out, re.MULTILINE
    )


def test_new_posts_are_tagged_by_a_run_of_the_workflow(done):
    demo = done.config["datasets"]["demo"]
    same = {key: demo[key] for key in ("detectors", "captioners", "context", "tag", "download")}
    config = copy.deepcopy(done.config)
    config["datasets"]["mine"] = {"posts": {"format": "csv", "files": {"new": "mine.csv"}}, **same}
    shown = parquet.rows("images", done.folder / "results/demo/images.parquet")[0]["image_id"]
    texts = ["look at Vospurpo, it's #great", "no picture here", ""]
    with open(done.folder / "mine.csv", "w", newline="") as file:
        csv.writer(file).writerows([["text", "image"], *zip(texts, [shown, "", ""], strict=True)])
    done.write(config)
    try:
        target = "results/mine/entities.parquet"
        assert "posts.files of mine names posts without tags" in done.run("-n", "results/mine/table1.csv", fails=True)
        assert done.planned(target) == VISION_STAGES | {"posts", "download", "context", "tag"}
        assert done.planned(target, "--config", 'tag={"view": "t"}') == {"posts", "tag", "gather"}
        done.run(target)
        assert done.planned(target) == set()
        rows = parquet.rows("entities", done.folder / target)
    finally:
        done.write(done.config)
    assert [(row["post_id"], row["text"]) for row in rows] == [
        (f"new-0000{n}", text) for n, text in enumerate(texts, 1)
    ]
    assert [(row["view"], row["image_status"]) for row in rows] == [("it", "ok"), ("t", None), (None, None)]
    assert rows[2]["error"] == "expected at least one word"
    model = done.folder / demo["tag"]["model"] / "model.safetensors"
    assert parquet.metadata(done.folder / target)["inputs"]["model.safetensors"] == sha256(model)
