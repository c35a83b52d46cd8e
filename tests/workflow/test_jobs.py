"""Settings and inputs of single jobs, as rules ask for them."""

import importlib
import json
import re

import pytest
import yaml

from ita.config.levels import merge
from ita.config.sections import CONTEXT_TABLES, REGION_CAPTIONERS
from ita.vision.captioners import BACKENDS
from ita.workflow.files import without_dots
from ita.workflow.inputs import CASES, FORMS, READS
from ita.workflow.jobs import Jobs
from ita.workflow.versions import VERSIONS
from tests.support.paths import ROOT

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
PRECOMPUTED = {"backend": "precomputed", "files": ["gone"]}
ZERO_SHOT = {"backend": "zero-shot", "classes": "gone.txt"}
RUN = {"dataset": "twitter17", "encoder": "bert", "system": "ita-all-cva", "seed": "3"}


def jobs(change=None, command_line=None):
    """Jobs of the repository's configuration with some changes."""
    return Jobs(merge(CONFIG, change or {}), command_line)


def settings(stage, wildcards, change=None, command_line=None):
    """Settings of a job."""
    return json.loads(jobs(change, command_line).settings(stage)(wildcards))


def inputs(stage, wildcards, change=None):
    """Inputs of a job."""
    return jobs(change).inputs(stage)(wildcards)


def message(call, *arguments):
    """What the user is told."""
    with pytest.raises(SystemExit) as stopped:
        call(*arguments)
    return str(stopped.value).strip()


def test_settings_are_canonical_json():
    text = jobs().settings("caption")({"dataset": "demo", "captioner": "vinvl3", "shard": "1-of-1"})
    values = json.loads(text)
    assert text == json.dumps(values, sort_keys=True)
    assert (values["caption"]["beams"], values["name"], values["version"]) == (3, "vinvl3", VERSIONS["caption"])
    assert set(values) == {"caption", "name", "version"}


def test_a_training_job_says_who_it_is_and_not_how_it_is_called():
    values = settings("train", RUN)
    assert values["run"] == {"dataset": "twitter17", "encoder": "bert", "system": "ita-all-cva"}
    assert values["seed"] == 3
    assert values["encoder"] == {"model": "bert-base-cased"}
    assert values["system"] == {"context": "all", "views": ["t", "it"], "alignment": "posterior"}
    assert values["train"]["learning_rate"] == 5.0e-5
    assert set(values) == {"train", "encoder", "system", "loss", "seed", "run", "version"}


def test_the_command_line_wins_over_all():
    change = {"datasets": {"twitter17": {"train": {"epochs": 3}}}}
    assert settings("train", RUN, change)["train"]["epochs"] == 3
    assert settings("train", RUN, change, {"train": {"epochs": 7}})["train"]["epochs"] == 7


def test_threads_are_a_setting():
    assert jobs().threads("train")(RUN) == 4
    assert jobs().threads("train")({**RUN, "encoder": "xlmr"}) == 8
    assert jobs().threads("evaluate")(RUN) == 1


def test_tables_and_pages_carry_the_note_of_the_data_set():
    change = {"datasets": {"twitter17": {"note": "Half of it."}}}
    for stage, wildcards in (("table", {"table": "table1"}), ("cases", {}), ("paper", {})):
        assert settings(stage, {"dataset": "twitter17", **wildcards}, change)["note"] == "Half of it."
    assert settings("table", {"dataset": "twitter15", "table": "table6"})["note"] == ""


def test_names_make_regular_expressions():
    change = {"datasets": {"mine": {"detectors": {"a.b": {}}}}}
    assert re.fullmatch(jobs(change).names("detectors"), "a.b")
    assert not re.fullmatch(jobs(change).names("detectors"), "axb")
    assert jobs().names("external_texts") == "(?!)", "matches nothing"


def test_what_is_read_by_settings():
    shard = {"dataset": "twitter17", "shard": "2-of-3"}
    assert inputs("caption", {**shard, "captioner": "updown"}) == {
        "objects": ["results/twitter17/objects/bottomup/2-of-3.parquet"],
        "features": ["results/twitter17/features/bottomup/2-of-3.parquet"],
        "files": [],
    }
    assert inputs("caption", {**shard, "captioner": "blip"}) == {"objects": [], "features": [], "files": []}
    assert inputs("context", {"dataset": "twitter17", "context": "la-bu"}) == {
        "objects": ["results/twitter17/objects/bottomup.parquet"],
        "captions": [],
        "ocr": [],
        "knowledge": [],
        "external_texts": [],
    }
    two = {"gather": {"shards": 2}}
    features = [f"results/twitter17/features/resnet/{shard}.parquet" for shard in ("1-of-2", "2-of-2")]
    assert inputs("evaluate", {**RUN, "system": "imgfeat"}, two) == {
        "context": ["results/twitter17/contexts/none.parquet"],
        "features": features,
        "objects": [],
    }
    boxes = inputs("train", {**RUN, "system": "vinvl-crf"}, two)
    assert boxes["features"] == [path.replace("resnet", "vinvl") for path in features]
    assert boxes["objects"] == [path.replace("features", "objects") for path in boxes["features"]]


def test_files_of_all_encoders_are_read():
    run = {"dataset": "demo", "encoder": "demo", "system": "bert-vinvl-crf"}
    folders = ("results/demo/source/cased-encoder", "results/demo/source/encoder")
    assert inputs("train", run)["encoder"] == [
        f"{folder}/{name}" for folder in folders for name in ("config.json", "tokenizer.json")
    ]


def test_a_grid_has_no_boxes():
    with pytest.raises(SystemExit, match="systems.vinvl-crf.region_boxes: the cells of .* have no boxes"):
        inputs("train", {**RUN, "system": "vinvl-crf"}, {"systems": {"vinvl-crf": {"regions": "resnet"}}})


def test_a_gathered_table_is_made_of_its_shards():
    two = {"gather": {"shards": 2}}
    assert inputs("gather", {"dataset": "twitter17", "gathered": "ocr/tesseract"}, two)["shards"] == [
        f"results/twitter17/ocr/tesseract/{shard}.parquet" for shard in ("1-of-2", "2-of-2")
    ]


def test_relation_data_are_read_by_the_training_that_names_them():
    run = {**RUN, "system": "rpbert"}
    names = ("relation_posts", "relation_features")
    assert [inputs("train", run)[name] for name in names] == [[], []]
    taught = {"datasets": {"twitter17": {"systems": {"rpbert": {"relation_data": "relation"}}}}}
    two = {"gather": {"shards": 2}}
    shards = [f"results/relation/features/resnet/{shard}.parquet" for shard in ("1-of-2", "2-of-2")]
    found = inputs("train", run, merge(taught, two))
    assert [found[name] for name in names] == [["results/relation/posts.parquet"], shards]
    assert settings("train", run, taught)["system"]["relation_data"] == "relation"
    assert settings("train", RUN, taught) == settings("train", RUN)


@pytest.mark.parametrize(
    ("system", "told"),
    [
        (
            {"relation_data": "relatoin"},
            "systems.rpbert.relation_data names 'relatoin', which is not in 'datasets'; did",
        ),
        ({"relation_data": "snap"}, "names 'snap', whose posts.format is umt; expected relation"),
        ({"relation_data": "relation", "relation_gate": False}, "set relation_gate and regions"),
        ({"relation_data": "relation", "regions": "mine"}, "systems.rpbert.regions names 'mine', which is not in 'det"),
    ],
)
def test_relation_data_that_do_not_fit_are_told(system, told):
    change = {"datasets": {"twitter17": {"systems": {"rpbert": system}, "detectors": {"mine": {}}}}}
    assert told in message(jobs(change).inputs("train"), {**RUN, "system": "rpbert"})


@pytest.mark.parametrize("kind", READS)
def test_a_table_or_figure_reads_what_its_kind_needs(kind):
    stage = "figure" if kind in ("curves", "captions", "distance") else "table"
    systems = {"systems": ["crf", "ita-all"]}
    change = {f"{stage}s": {"x": {"kind": kind, "encoders": ["bert"], **systems}}, "seeds": [1, 2]}
    found = inputs(stage, {"dataset": "twitter17", stage: "x"}, change)
    assert {option for option, files in found.items() if files} == set(READS[kind])
    runs = {path.split("/")[3] + "/" + path.split("/")[4] for path in found["metrics"] + found["histories"]}
    controls = {"bert/ita-random"} if kind == "f1" else set()
    assert runs == ({"bert/crf", "bert/ita-all"} | controls if kind != "ocr" else set())
    if found["predictions"]:
        assert [path.replace("predictions.parquet", "metrics.json") for path in found["predictions"]] == found[
            "metrics"
        ]


def test_the_analysis_of_posts_without_images_reads_no_ocr():
    change = {"datasets": {"twitter17": {"download": {"source": "none"}}}}
    found = inputs("table", {"dataset": "twitter17", "table": "analysis"}, change)
    assert found["ocr"] == [] and found["images"] == ["results/twitter17/images.parquet"]


UNKNOWN = [
    ({"contexts": {"la": {"detector": "nope"}}}, "contexts.la.detector names 'nope', which is not in 'detectors'"),
    ({"context": {"detector": "vinvll"}}, "context.detector names 'vinvll', which is not in 'detectors'"),
    ({"contexts": {"la": {"kinds": ["ga"], "captioner": "x"}}}, "contexts.la.captioner names 'x'"),
    ({"contexts": {"la": {"kinds": ["oca"], "ocr_engine": "x"}}}, "contexts.la.ocr_engine names 'x'"),
    (
        {"contexts": {"la": {"kinds": ["facts"]}}},
        "names 'facts', which is not in 'knowledge_sources' or 'external_texts'",
    ),
]


@pytest.mark.parametrize(("change", "expected"), UNKNOWN)
def test_unknown_names_of_a_context_are_told(change, expected):
    assert expected in message(inputs, "context", {"dataset": "twitter17", "context": "la"}, change)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"systems": {"ita-all-cva": {"context": "al"}}}, "systems.ita-all-cva.context names 'al'"),
        ({"systems": {"ita-all-cva": {"regions": "x"}}}, "systems.ita-all-cva.regions names 'x'"),
        (
            {"systems": {"ita-all-cva": {"views": ["it"]}}},
            "alignment needs both views: set views to [t, it]",
        ),
        (
            {"train": {"loss": "offical"}},
            "train.loss names 'offical', which is not in 'losses'; did you mean 'official'",
        ),
        (
            {"table": {"encoders": ["brt"]}},
            "table.encoders names 'brt', which is not in 'encoders'; did you mean 'bert'",
        ),
        ({"table": {"systems": ["nope"]}}, "table.systems names 'nope', which is not in 'systems'"),
        ({"table": {"control_systems": ["no"]}}, "table.control_systems names 'no'"),
        (
            {"datasets": {"twitter17": {"table": {"baseline": "no"}}}},
            "table.baseline names 'no', which is not in 'systems'",
        ),
    ],
)
def test_unknown_names_of_a_table_are_told(change, expected):
    def plan():
        planned = jobs(change)
        planned.settings("train")(RUN)
        planned.inputs("table")({"dataset": "twitter17", "table": "table1"})
        planned.settings("table")({"dataset": "twitter17", "table": "table1"})

    told = message(plan)
    assert expected in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("stage", "wildcards", "change", "setting"),
    [
        ("posts", {}, {"posts": {"files": {"train": "gone.txt"}}}, "posts.files"),
        ("posts", {}, {"posts": {"files": {"train": "gone.zip::train.txt"}}}, "posts.files"),
        ("download", {}, {"download": {"source": "folder", "folder": "gone"}}, "download.folder"),
        ("download", {}, {"download": {"source": "archive", "archive": "gone.tar"}}, "download.archive"),
        ("detect", {"detector": "d"}, {"detectors": {"d": PRECOMPUTED}}, "detectors.d"),
        ("detect", {"detector": "d"}, {"detectors": {"d": ZERO_SHOT}}, "detectors.d.classes"),
        ("train", {**RUN, "encoder": "e"}, {"encoders": {"e": {"model": "./gone"}}}, "encoders.e.model"),
        (
            "context",
            {"context": "c"},
            {"external_texts": {"t": {"files": ["gone"]}}, "contexts": {"c": {"kinds": ["t"]}}},
            "external_texts.t.files",
        ),
    ],
)
def test_missing_files_are_told_before_anything_runs(tmp_path, monkeypatch, stage, wildcards, change, setting):
    monkeypatch.chdir(tmp_path)
    change = {"datasets": {"mine": change}}
    wildcards = {**wildcards, "dataset": "mine"}
    told = message(inputs, stage, wildcards, change)
    assert setting in told and "gone" in told and "is not there" in told
    for name in ("gone", "gone.txt", "gone.zip", "gone.tar"):
        (tmp_path / name).touch()
    assert (
        any("gone" in path for files in inputs(stage, wildcards, change).values() for path in files) or stage == "train"
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("./models/a", "models/a"),
        ("././a//b/./c/", "a/b/c"),
        ("a/../b", "a/../b"),
        ("/a//b", "/a/b"),
        ("../a", "../a"),
        ("./", "."),
        ("/", "/"),
        (".a/..b", ".a/..b"),
    ],
)
def test_paths_are_written_as_snakemake_wants_them(path, expected):
    assert without_dots(path) == expected


@pytest.mark.parametrize("name", ["a" * 300, "a\0b"])
def test_a_name_that_no_file_can_have_is_not_there(name):
    change = {"datasets": {"mine": {"posts": {"files": {"train": name}}}}}
    assert "is not there" in message(inputs, "posts", {"dataset": "mine"}, change)


def test_what_the_pipeline_makes_need_not_be_there():
    assert inputs("posts", {"dataset": "demo"})["files"] == [
        f"results/demo/source/{name}.txt" for name in ("test", "train", "valid")
    ]
    assert inputs("posts", {"dataset": "twitter17"})["files"] == [], "URLs are no inputs"


def test_constants_are_those_of_the_stages_and_rules():
    def reads_regions(path):
        module, _, name = path.partition(":")
        return hasattr(getattr(importlib.import_module(module), name), "caption_regions")

    assert {name for name, path in BACKENDS.items() if reads_regions(path)} == set(REGION_CAPTIONERS)
    assert set(CONTEXT_TABLES.values()) == {"objects", "captions", "ocr"}
    for stage, forms in {**FORMS, "cases": CASES}.items():
        output = (ROOT / "rules" / f"{stage}.smk").read_text().partition("    log:")[0]
        assert sorted(re.findall(r"\.(\w+)\"", output.partition("    output:")[2].replace(".rst", ""))) == sorted(forms)


RUN_FOLDER = "results/demo/runs/demo/{system}/seed1"
NEW = {"format": "csv", "files": {"new": "new.csv"}}


def tagging(tag, **mine):
    """Inputs of a tagging job of new posts."""
    change = {"datasets": {"mine": {"posts": NEW, "tag": tag, **mine}}}
    return jobs(change).inputs("tag")({"dataset": "mine", "shard": "1-of-1"})


DEMO = CONFIG["datasets"]["demo"]
AS_DEMO = {key: DEMO[key] for key in ("detectors", "captioners", "context", "contexts")}


def test_a_model_of_the_text_needs_no_image():
    run = RUN_FOLDER.format(system="crf")
    found = tagging({"model": run})
    assert found.pop("model") == [f"{run}/model.safetensors", f"{run}/settings.json"]
    assert not any(found.values())
    run = RUN_FOLDER.format(system="ita-all-cva")
    assert [name for name, files in tagging({"model": run, "view": "t"}).items() if files] == ["model"]


def test_a_model_reads_what_it_read_in_training():
    found = tagging({"model": RUN_FOLDER.format(system="ita-all-cva")}, **AS_DEMO)
    assert found["context"] == ["results/mine/contexts/all.parquet"]
    assert found["images"] == ["results/mine/images.parquet"] and not found["features"]
    found = tagging({"model": RUN_FOLDER.format(system="vinvl-crf")}, **AS_DEMO, gather={"shards": 2})
    assert found["objects"] == [f"results/mine/objects/demo/{number}-of-2.parquet" for number in (1, 2)]
    assert len(found["features"]) == 2


def test_image_text_must_be_made_as_in_training():
    model = {"model": RUN_FOLDER.format(system="ita-all-cva")}
    captioners = {"demo": {**DEMO["captioners"]["demo"], "beams": 3, "captions": 3}}
    told = message(tagging, model)
    assert "mine makes image text in another way than that of the model in tag.model" in told
    told = message(lambda: tagging(model, **{**AS_DEMO, "captioners": captioners}))
    assert "caption.beams is 3 here, 5 in training; caption.captions is 3 here, 5 in training" in told
    assert "detect" not in told and "context." not in told
    assert tagging({**model, "differences": "warn"}, **{**AS_DEMO, "captioners": captioners})["context"]
    faster = {"demo": {**DEMO["captioners"]["demo"], "batch_size": 2}}
    assert tagging(model, **{**AS_DEMO, "captioners": faster})["context"], "the same captions"


def test_a_folder_says_what_it_reads(tmp_path):
    for name, content in (("model.safetensors", ""), ("settings.json", {"settings": {"system": {"context": "la"}}})):
        (tmp_path / name).write_text(json.dumps(content))
    found = tagging({"model": str(tmp_path)}, **AS_DEMO)
    assert found["model"] == [str(tmp_path / name) for name in ("model.safetensors", "settings.json")]
    assert found["context"] == ["results/mine/contexts/la.parquet"]
    images = {"context": {"kinds": ["la"], "attributes": 2}, "detect": {**DEMO["detectors"]["demo"]}}
    record = {"settings": {"system": {"context": "la"}}, "images": images}
    (tmp_path / "settings.json").write_text(json.dumps(record))
    assert "context.attributes is 3 here, 2 in training" in message(
        lambda: tagging({"model": str(tmp_path)}, **AS_DEMO)
    )


@pytest.mark.parametrize(
    ("tag", "told"),
    [
        ({}, "tag.model of mine is not set"),
        ({"model": "owner/name"}, "on the hub, of which planning does not know what it reads: set tag.context"),
        ({"model": "results/demo/runs/demo/nope/seed1"}, "tag.model names 'nope', which is not in 'systems'"),
        ({"model": "results/demo/runs/nope/crf/seed1"}, "tag.model names 'nope', which is not in 'encoders'"),
        ({"model": "./gone"}, "tag.model of mine names 'gone/model.safetensors', which is not there"),
        ({"model": "owner/name", "context": "nope"}, "names 'nope', which is not in 'contexts'"),
    ],
)
def test_a_model_that_cannot_be_planned_is_told(tag, told):
    assert told in message(tagging, tag)


def test_a_model_on_the_hub_reads_the_context_that_is_set():
    found = tagging({"model": "owner/name", "context": "all"})
    assert found["model"] == [] and found["context"] == ["results/mine/contexts/all.parquet"]
    assert not any(tagging({"model": "owner/name", "context": "none"}).values())


def test_nothing_is_trained_on_posts_without_tags():
    change = {"datasets": {"mine": {"posts": NEW}}}
    told = message(lambda: jobs(change).inputs("train")({**RUN, "dataset": "mine"}))
    assert "posts.files of mine names posts without tags (new): nothing can be trained on them" in told
