"""workflow/profiles/googlebatch: the jobs that the plugin asks Google to create."""

import json
import subprocess

import pytest

from tests.support.clouds import TARGETS, need, submit
from tests.support.google_batch import RECORDER

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """Rule -> its job as JSON."""
    need("snakemake_executor_plugin_googlebatch", "snakemake_storage_plugin_fs")
    folder = tmp_path_factory.mktemp("google")
    created = folder / "created.jsonl"
    output = submit(folder, "googlebatch", RECORDER, {"CREATED_JOBS": str(created)})
    jobs = {job["labels"]["snakemake-job"]: job for job in map(json.loads, created.read_text().splitlines())}
    assert jobs.keys() == TARGETS.keys(), output[-4000:]
    return jobs


@pytest.mark.parametrize(
    ("rule", "machine", "gpu"), [("train", "g2-standard-8", True), ("ocr", "e2-standard-4", False)]
)
def test_a_job_asks_for_what_the_profile_says(jobs, rule, machine, gpu):
    (instance,) = jobs[rule]["allocationPolicy"]["instances"]
    policy = instance["policy"]
    assert policy["machineType"] == machine
    assert (policy["bootDisk"]["image"], policy["bootDisk"]["sizeGb"]) == ("batch-cos", "80")
    assert [row["type"] for row in policy.get("accelerators", [])] == ["nvidia-l4"] * gpu
    assert instance.get("installGpuDrivers", False) == gpu
    (group,) = jobs[rule]["taskGroups"]
    assert group["taskSpec"]["maxRunDuration"] == "86400s"
    memory = int(group["taskSpec"]["computeResource"]["memoryMib"])
    assert memory == (28000 if gpu else 14000)


def script(job):
    """The script that a job runs in its container, as the machine's shell writes it."""
    setup = job["taskGroups"][0]["taskSpec"]["runnables"][0]["script"]["text"]
    return setup.partition("entrypoint.sh\n")[2].partition("\nEOF")[0]


def test_a_job_runs_in_the_image(jobs):
    container = jobs["train"]["taskGroups"][0]["taskSpec"]["runnables"][3]["container"]
    assert container["imageUri"] == "ita:cuda-root"
    assert container["commands"] == ["/tmp/workdir/entrypoint.sh"]


@pytest.mark.parametrize("status", [0, 7])
def test_a_job_ends_as_snakemake_ends(jobs, status, tmp_path):
    """The plugin's last command installs packages; its success is not the job's."""
    (tmp_path / "pip").write_text("#!/bin/sh\n")
    (tmp_path / "python").write_text(f'#!/bin/sh\ncase "$*" in *--deploy-sources*) exit 0;; esac\nexit {status}\n')
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 3\n")
    for program in ("pip", "python", "python3"):
        (tmp_path / program).chmod(0o755)
    done = subprocess.run(["/bin/bash", "-c", script(jobs["train"])], env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert done.returncode == status
