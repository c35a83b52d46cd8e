"""Jobs whose results lie on storage have the files that rules name."""

import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from ita.config.levels import merge
from ita.config.storage import STORAGE, with_local_copies
from ita.demo import SHIPPED_MODELS
from ita.demo.encoder import vocabulary, write_encoder
from ita.errors import UserError
from ita.model.bundle import pack, unpack
from ita.workflow.jobs import Jobs
from ita.workflow.storage import BUNDLE, MODEL_FILES, copies_prefix
from tests.workflow.test_jobs import CONFIG

RUN = "results/demo/runs/demo/ita-all-cva/seed1"


def stored(stage, change=None, **wildcards):
    """Inputs of a job of the demo whose results lie on storage; those that lie here are marked."""
    return Jobs(merge(CONFIG, change or {}), local=lambda path: f"here:{path}").inputs(stage)(
        {"dataset": "demo", **wildcards}
    )


def test_on_this_machine_nothing_is_added():
    jobs = Jobs(CONFIG)
    assert jobs.image_shards() == jobs.bundle() == [] and jobs.either("here", "storage") == "here"
    assert "storage" not in jobs.inputs("ocr")({"dataset": "demo", "ocr_engine": "tesseract", "shard": "1-of-1"})


def test_a_vision_job_has_the_images_of_its_shard():
    three = {"gather": {"shards": 3}}
    wildcards = {"ocr_engine": "tesseract", "shard": "2-of-3"}
    assert stored("ocr", three, **wildcards)["storage"] == ["results/demo/images/2-of-3.tar"]
    everything = [f"results/demo/images/{number}-of-3.tar" for number in (1, 2, 3)]
    posts = "results/demo/posts.parquet"
    other = merge(three, {"datasets": {"demo": {"gather": {"shards": 2}}}})
    assert stored("ocr", other, ocr_engine="tesseract", shard="1-of-2")["storage"] == everything
    assert next(iter(stored("cases", three).items())) == ("storage", [posts, *everything])
    jobs = Jobs(merge(CONFIG, three), local=str)
    assert [name.format(dataset="demo") for name in jobs.image_shards()] == everything
    without = {"datasets": {"demo": {"download": {"source": "none"}}}}
    assert stored("ocr", without, ocr_engine="tesseract", shard="1-of-1")["storage"] == []


def test_jobs_have_all_files_of_models():
    detector = stored("detect", detector="demo", shard="1-of-1")["storage"]
    assert [name for name in detector if "/images/" not in name] == [
        f"results/demo/source/detector/{name}" for name in MODEL_FILES["detector"]
    ]
    run_files = [f"{RUN}/settings.json", f"{RUN}/{BUNDLE}"]
    assert stored("evaluate", encoder="demo", system="ita-all-cva", seed="1")["storage"] == run_files
    assert f"{RUN}/{BUNDLE}" in stored("tag", shard="1-of-1")["storage"]
    training = stored("train", encoder="demo", system="crf", seed="1")["storage"]
    assert training == [f"results/demo/source/encoder/{name}" for name in MODEL_FILES["encoder"]]


def test_files_of_the_user_are_local(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/posts.txt").touch()
    change = {"datasets": {"demo": {"posts": {"files": {"train": "data/posts.txt"}}}}}
    assert "here:data/posts.txt" in stored("posts", change)["files"]


def test_the_models_of_the_demo_have_these_files(tmp_path):
    for name in ("detector", "captioner"):
        assert {file.name for file in (SHIPPED_MODELS / name).iterdir()} == set(MODEL_FILES[name])
    write_encoder(tmp_path, vocabulary({"a"}, [], True), 16, 1, True)
    assert {file.name for file in tmp_path.iterdir()} == set(MODEL_FILES["encoder"])


def test_settings_name_local_copies(monkeypatch):
    values = {"files": ["results/x/a", "data/results/b"], "model": "results/m", "count": 1}
    assert with_local_copies(values) == values
    monkeypatch.setenv(STORAGE, "/copies")
    assert with_local_copies(values) == {
        "files": ["/copies/results/x/a", "data/results/b"],
        "model": "/copies/results/m",
        "count": 1,
    }


def test_jobs_are_told_where_copies_lie():
    assert copies_prefix(None) == ""
    command = copies_prefix(Path("/a {copy}/s3")).format() + f"echo ${STORAGE}"
    assert subprocess.check_output(["bash", "-c", command], text=True) == "/a {copy}/s3\n"


def test_a_bundle_holds_what_training_wrote_beside_its_outputs(tmp_path):
    folder, other = tmp_path / "run", tmp_path / "other"
    (folder / "encoders" / "2").mkdir(parents=True)
    other.mkdir()
    for name in ("model.safetensors", "config.json", "encoders/2/tokenizer.json", ".hidden.part"):
        (folder / name).write_text(json.dumps(name))
    pack(folder / BUNDLE, [folder / "model.safetensors"])
    (other / BUNDLE).write_bytes((folder / BUNDLE).read_bytes())
    unpack(other)
    files = {str(path.relative_to(other)) for path in other.rglob("*") if path.is_file()}
    assert files == {BUNDLE, "config.json", "encoders/2/tokenizer.json"}


def test_a_bundle_of_a_stranger_writes_nothing_outside(tmp_path):
    (tmp_path / "secret").write_text("x")
    (tmp_path / "run").mkdir()
    with tarfile.open(tmp_path / "run" / BUNDLE, "w") as archive:
        archive.add(tmp_path / "secret", "../planted")
    with pytest.raises(UserError, match="is no file of a run folder"):
        unpack(tmp_path / "run")
    assert not (tmp_path / "planted").exists()
