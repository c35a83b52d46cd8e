"""What is checked once, when Snakemake reads the workflow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ita import __version__
from ita.errors import ConfigError, UserError
from ita.workflow.jobs import Jobs
from ita.workflow.planning import check_container, check_profile, check_version, config_files, growing, job_prefix
from tests.support.paths import ROOT


def test_a_missing_profile_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("workflow/profiles/slurm", "profiles/mine", "elsewhere/profiles/there"):
        Path(name).mkdir(parents=True)
        Path(name, "config.yaml").touch()
    for name in ("workflow/profiles/slurm", "mine", "there", "none"):
        check_profile(["snakemake", "--workflow-profile", name, "x"], tmp_path / "elsewhere")
        check_profile(["snakemake", f"--workflow-profile={name}"], tmp_path / "elsewhere")
    check_profile(["snakemake", "-n"], tmp_path)
    for arguments in (
        ["--workflow-profile", "workflow/profiles/slrum"],
        ["--workflow-profile=workflow/profiles/slrum"],
        ["--workflow-p", "workflow/profiles/slrum", "-n"],  # Snakemake knows options shortened
    ):
        with pytest.raises(
            ConfigError, match=r"slrum: no such profile \(there are: profiles/mine, workflow/profiles/slurm\)"
        ):
            check_profile(arguments, tmp_path)


def run(prefix, **environment):
    """What a job sees of PYTHONPATH and PATH; Snakemake formats the prefix."""
    command = prefix.format() + 'echo "$PYTHONPATH|$PATH"'
    environment = {"PATH": "/usr/bin:/bin", **environment}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip().split("|")


def test_jobs_find_the_code_and_what_the_user_has_set():
    prefix = job_prefix(Path("/a checkout/src"), deployed=False)
    assert run(prefix) == ["/a checkout/src", f"{os.path.dirname(sys.executable)}:/usr/bin:/bin"]
    assert run(prefix, PYTHONPATH="/my own:/other")[0] == "/a checkout/src:/my own:/other"
    assert run(job_prefix(Path("/c/src"), deployed=True))[1] == "/usr/bin:/bin", "its own interpreter"


def test_each_attempt_asks_for_more():
    memory = growing(16000)
    assert [memory({}, attempt) for attempt in (1, 2, 3)] == [16000, 32000, 48000]


def test_an_image_is_named_where_jobs_run_in_one():
    check_container([], None)
    check_container(["CONDA"], None)
    check_container(["CONDA", "APPTAINER"], "docker://ita:cpu")
    with pytest.raises(ConfigError, match="--sdm apptainer needs an image: .*--config container=IMAGE"):
        check_container(["APPTAINER"], None)


def test_jobs_find_an_installed_package_and_nothing_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(job_prefix(None, deployed=False)) == ["", f"{os.path.dirname(sys.executable)}:/usr/bin:/bin"]
    for _ in range(2):
        folder = Path(run(job_prefix(None, deployed=True))[0])
        assert folder == tmp_path / ".snakemake/ita" and [path.name for path in folder.iterdir()] == ["ita"]
    command = [sys.executable, "-S", "-c", "import ita; print(ita.__version__)"]
    found = subprocess.run(
        command, env={"PYTHONPATH": str(folder)}, cwd="/", capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == __version__


def test_the_package_is_of_the_version_of_the_workflow(write):
    check_version(write("same.py", f'__all__ = []\n\n__version__ = "{__version__}"\n'))
    with pytest.raises(
        UserError, match=rf"workflow is of version 9\.1, .* of version {__version__}: install version 9"
    ):
        check_version(write("newer.py", '__version__ = "9.1"\n'))


def test_settings_of_the_folder_come_after_those_of_the_workflow(tmp_path, monkeypatch):
    defaults, folder = tmp_path / "checkout/config.yaml", tmp_path / "work"
    for path in (defaults, folder / "config/config.yaml"):
        path.parent.mkdir(parents=True)
        path.write_text("seeds: [1]\n")
    monkeypatch.chdir(folder)
    assert config_files(defaults) == [str(defaults), "config/config.yaml"]
    Path("config.yaml").write_text("seeds: [1]\n")
    assert config_files(defaults) == [str(defaults), "config.yaml"]
    monkeypatch.chdir(defaults.parent)
    assert config_files(defaults) == ["config.yaml"], "once, by the name that messages shall have"
    defaults.write_text("seeds: [1\n")
    with pytest.raises(ConfigError, match="config.yaml:2: is not YAML"):
        config_files(defaults)


def test_more_shards_than_a_command_can_name_are_told():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    wildcards = {"dataset": "twitter17", "gathered": "objects/vinvl"}
    assert len(Jobs({**config, "gather": {"shards": 2000}}).inputs("gather")(wildcards)["shards"]) == 2000
    with pytest.raises(SystemExit, match="a job of gather reads for twitter17 make a command .* lower gather.shards"):
        Jobs({**config, "gather": {"shards": 10_000}}).inputs("gather")(wildcards)
