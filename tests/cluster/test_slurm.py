"""The demo on a cluster whose nodes fail: the table is that of a run on one machine, byte for byte."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from tests.cluster.runs import accounting, processes_of, run
from tests.cluster.slurm import NODES, Cluster, missing
from tests.support.pipeline import Pipeline, small

pytestmark = pytest.mark.cluster

TABLE = "results/demo/table1.csv"
LONG = "ita-all-cva"
"""The system whose training the test interrupts."""
TOO_LITTLE = ("posts:mem_mb=120 * attempt", "ocr:runtime=attempt")
"""Memory that the first attempt exceeds, and a minute for a job that hangs; both grow with each attempt."""


def demo(folder):
    """A workflow whose demo is small and trains for long enough to be interrupted."""
    folder.mkdir()
    pipeline = Pipeline(folder)
    config = small(pipeline.config)
    config["datasets"]["demo"]["demo"]["train"] = 96
    config["datasets"]["demo"]["train"]["epochs"] = 12
    pipeline.write(config)
    return pipeline


@pytest.fixture(scope="module")
def cluster():
    if reason := missing():
        pytest.skip(reason)
    with Cluster() as cluster:
        yield cluster


def log_of(pipeline, system):
    path = pipeline.folder / f"results/logs/demo/train/demo/{system}/seed1.log"
    return path.read_text() if path.exists() else ""


def drained_and_resumed(work):
    """Drains the node of the first training job while it runs; resumes it when others ran elsewhere meanwhile.

    Returns:
        The job's number, its node, and the time in which that took no jobs.
    """
    cluster = work.cluster
    work.wait(lambda: work.running("train"), "training job")
    number, node = work.running("train")
    cluster.drain(node)
    work.wait(lambda: cluster.state(node) == "drained", "drained node")
    begin = datetime.now()
    work.wait(lambda: work.completed("evaluate"), "evaluation")
    end = datetime.now()
    cluster.resume(node)
    return number, node, begin, end


def frozen(work, stage):
    """Stops a job's program for good, as a file system that no longer answers does."""
    work.wait(lambda: processes_of(work.pipeline, stage), f"job of {stage}", every=0.1)
    for process in processes_of(work.pipeline, stage):
        os.kill(process, signal.SIGSTOP)


def killed_in_training(work):
    """Kills the node that trains, after the second epoch; returns its name."""
    work.wait(lambda: work.running("train", LONG), "training job")
    _, node = work.running("train", LONG)
    work.wait(lambda: "epoch 2:" in log_of(work.pipeline, LONG), "second epoch", every=0.02)
    work.cluster.kill_node(node)
    assert not (work.pipeline.folder / f"results/demo/runs/demo/{LONG}/seed1/model.safetensors").exists()
    return node


def test_a_run_survives_what_happens_on_a_cluster(cluster, tmp_path):
    here, there = demo(tmp_path / "here"), demo(tmp_path / "there")
    with ThreadPoolExecutor() as pool, run(there, cluster, TABLE, "--set-resources", *TOO_LITTLE) as work:
        hang = pool.submit(frozen, work, "ocr")
        number, drained, begin, end = drained_and_resumed(work)
        killed = killed_in_training(work)
        work.finish()
        hang.result()
    jobs = [job for job in accounting(cluster) if job.start]
    print(*jobs, sep="\n")

    states = [job.state for job in jobs if job.rule == "posts"]
    assert states[0] in ("OUT_OF_MEMORY", "FAILED") and states[-1] == "COMPLETED", "more memory the second time"
    assert [job.state for job in jobs if job.rule == "ocr"] == ["TIMEOUT", "COMPLETED"]
    assert [job.state for job in jobs if job.number == number] == ["COMPLETED"], "a draining node ends its jobs"
    assert not [job for job in jobs if job.node == drained and begin < job.start < end]
    assert [job for job in jobs if job.node == drained and job.start > end], "resumed, it takes jobs again"

    attempts = [job for job in jobs if job.rule == "train" and LONG in job.wildcards]
    assert [job.state for job in attempts] == ["NODE_FAIL", "COMPLETED"]
    assert attempts[0].node == killed != attempts[1].node
    assert "continuing after epoch" in log_of(there, LONG), "not trained from the start again"
    check_gpus(jobs)

    here.run(TABLE)
    assert (there.folder / TABLE).read_bytes() == (here.folder / TABLE).read_bytes()


def check_gpus(jobs):
    """Every job of a rule that uses one had a GPU, no other had, and no node gave out more than it has."""
    with_gpu = {job.rule for job in jobs if job.gpus}
    assert with_gpu == {"detect", "caption", "train", "evaluate"}
    assert {job.gpus for job in jobs if job.rule in with_gpu} == {1}
    for node in NODES:
        used = sorted((job.start, job.end) for job in jobs if job.gpus and job.node == node.name)
        assert bool(used) == bool(node.gpus)
        assert all(before[1] <= after[0] for before, after in zip(used, used[1:], strict=False))
