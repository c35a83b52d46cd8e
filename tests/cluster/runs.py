"""Runs of the workflow on the cluster, and what Slurm's accounting says about their jobs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.cluster.slurm import Cluster, wait_for
from tests.support.pipeline import Pipeline

PROFILE = "workflow/profiles/slurm"
COLUMNS = "JobIDRaw,State,Submit,Start,End,NodeList,AllocTRES,Comment"


@dataclass(frozen=True)
class Job:
    """One attempt of a Slurm job; a job that Slurm starts again has one for each start.

    Args:
        number: Slurm's.
        state: such as COMPLETED, TIMEOUT, NODE_FAIL.
        submitted: when it was handed in.
        start: when it started; None while it waits.
        end: when it ended; None while it runs.
        node: where.
        gpus: GPUs that were set aside for it.
        rule: of the workflow.
        wildcards: of the rule, joined by underscores.
    """

    number: int
    state: str
    submitted: datetime
    start: datetime | None
    end: datetime | None
    node: str
    gpus: int
    rule: str
    wildcards: str

    @property
    def seconds(self) -> float:
        """From start to end."""
        assert self.start and self.end
        return (self.end - self.start).total_seconds()

    @property
    def queued(self) -> float:
        """Seconds from submission to start."""
        assert self.start
        return (self.start - self.submitted).total_seconds()


def accounting(cluster: Cluster) -> list[Job]:
    """All jobs of a cluster by start, those before a restart included."""
    options = ("--allocations", "--duplicates", "--parsable2", "--noheader", "--starttime=now-1days")
    lines = cluster.call("sacct", *options, f"--format={COLUMNS}").splitlines()
    return sorted((_job(line) for line in lines), key=lambda job: (job.start or datetime.max, job.number))


def _job(line: str) -> Job:
    number, state, submitted, start, end, node, resources, comment = line.split("|")
    gpus = re.search(r"gres/gpu=(\d+)", resources)
    rule, _, wildcards = re.sub("^(rule|group)_", "", comment).partition("_wildcards_")
    return Job(
        int(number),
        state.split()[0],  # "CANCELLED by 0"
        datetime.fromisoformat(submitted),
        *(None if time in ("Unknown", "None") else datetime.fromisoformat(time) for time in (start, end)),
        node,
        int(gpus[1]) if gpus else 0,
        rule,
        wildcards,
    )


class Run:
    """Snakemake at work on a cluster.

    Args:
        pipeline: the workflow.
        cluster: where its jobs run.
        process: Snakemake.
    """

    def __init__(self, pipeline: Pipeline, cluster: Cluster, process: subprocess.Popen[bytes]) -> None:
        self.pipeline, self.cluster, self.process = pipeline, cluster, process

    @property
    def output(self) -> str:
        """What Snakemake has printed."""
        return (self.pipeline.folder / "snakemake.out").read_text(errors="replace")

    def running(self, rule: str, wildcards: str = "") -> tuple[int, str] | None:
        """Number and node of a job of a rule that runs; accounting learns its comment, and so its rule, at its end."""
        for line in self.cluster.call("squeue", "-h", "-t", "R", "-o", "%A|%N|%k").splitlines():
            number, node, comment = line.split("|")
            if comment.startswith(f"rule_{rule}_wildcards_") and wildcards in comment:
                return int(number), node
        return None

    def completed(self, rule: str) -> bool:
        """Whether a job of a rule has ended well."""
        return any((job.rule, job.state) == (rule, "COMPLETED") for job in accounting(self.cluster))

    def wait(self, condition, what: str, seconds: float = 1800, every: float = 1.0) -> None:
        """Waits for a condition while Snakemake runs; its output is shown when it ends before."""

        def met() -> object:
            result = condition()
            if not result and self.process.poll() is not None:
                raise RuntimeError(f"the run ended before: {what}\n{self.output[-6000:]}")
            return result

        wait_for(met, what, seconds, every)

    def finish(self, seconds: float = 3000) -> None:
        """Waits for Snakemake to end well; raises RuntimeError with its output when it does not."""
        if self.process.wait(seconds):
            raise RuntimeError(self.output[-8000:])


@contextmanager
def run(pipeline: Pipeline, cluster: Cluster, target: str, *options: str) -> Iterator[Run]:
    """Starts the workflow with the Slurm profile as it is shipped; ends it, should it still run."""
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", PROFILE, target, *options]
    with open(pipeline.folder / "snakemake.out", "wb") as output:
        process = subprocess.Popen(
            ["nice", "-n", "10", *command],
            cwd=pipeline.folder,
            env={**cluster.environment, "PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Run(pipeline, cluster, process)
    finally:
        if process.poll() is None:
            # Asked to end with a job that waits, Snakemake would never return.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def processes_of(pipeline: Pipeline, stage: str) -> list[int]:
    """Process ids of a stage's programs that run in the workflow's folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            here = (folder / "cwd").resolve() == pipeline.folder.resolve()
        except OSError:  # it has ended
            continue
        if here and words[1:4] == [b"-m", b"ita", stage.encode()]:
            found.append(int(folder.name))
    return found
