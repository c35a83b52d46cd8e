"""What is checked once, when Snakemake reads the workflow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ita.errors import ConfigError
from ita.workflow.planning import check_container, check_profile, growing, job_prefix


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
    ):
        with pytest.raises(ConfigError, match=r"slrum: no such profile \(there are: workflow/profiles/slurm\)"):
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
