"""What the scheduler costs: ``python -m tests.cluster.measure [--full] [WAY ...]`` runs the demo on a cluster.

Each way of submitting is a run of its own; a table of Markdown is printed, seconds from Slurm's accounting beside those
of Snakemake's benchmark files. Without ``--full`` the demo is small, with many short jobs.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import sys
import tempfile
import time
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from statistics import mean

from tests.cluster.runs import Job, accounting, run
from tests.cluster.slurm import Cluster, missing
from tests.support.pipeline import Pipeline, small

TABLE = "results/demo/table1.csv"
WAYS = {
    "single": [],
    "groups": ["--groups", "gather=text", "context=text"],
    "arrays": ["--slurm-array-jobs", "gather,context,train,evaluate"],
}
"""Options of each way of submitting jobs."""
GROUPS = {"text": ("gather", "context")}
"""Rules of each group; those that use a GPU would need one each at the same time."""


def noticed(log: str) -> dict[int, datetime]:
    """When Snakemake saw the end of each Slurm job that is one job of the workflow."""
    numbers = dict(re.findall(r"Job (\d+) has been submitted with SLURM jobid (\d+)", log))
    ends = re.findall(r"\[(\w+ \w+ +\d+ [\d:]+ \d+)\]\nFinished jobid: (\d+)", log)
    return {int(numbers[job]): datetime.strptime(end, "%a %b %d %H:%M:%S %Y") for end, job in ends if job in numbers}


def own_seconds(pipeline: Pipeline) -> defaultdict[str, list[float]]:
    """Seconds of the jobs' own programs by rule."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    folder = pipeline.folder / "results/benchmarks/demo"
    for path in folder.rglob("*.tsv"):
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        seconds[rule].append(float(next(csv.DictReader(path.open(), delimiter="\t"))["s"]))
    return seconds


def of_group(name: str, own: defaultdict[str, list[float]]) -> list[float]:
    """Seconds of the programs of a rule, or of a group's rules."""
    return [seconds for rule in GROUPS.get(name, (name,)) for seconds in own[rule]]


def row(name: str, jobs: list[Job], own: list[float], seen: dict[int, datetime]) -> str:
    """A line of the table."""
    waits = [(seen[job.number] - job.end).total_seconds() for job in jobs if job.number in seen and job.end]
    cells = [
        name,
        str(len(own)),
        str(len(jobs)),
        f"{sum(own):.0f}",
        f"{sum(job.seconds for job in jobs) - sum(own):.0f}",
        f"{mean(job.queued for job in jobs):.1f}",
        f"{mean(waits):.1f}" if waits else "",
    ]
    return f"| {' | '.join(cells)} |"


def report(pipeline: Pipeline, jobs: list[Job], log: str, wall: float) -> str:
    """The table of a run."""
    own, seen = own_seconds(pipeline), noticed(log)
    by_rule = defaultdict(list)
    for job in jobs:
        # A group's job is called after the group and the rules in it.
        group = job.rule.partition("_")[0]
        by_rule[group if group in GROUPS else job.rule].append(job)
    lines = [
        "| rule or group | jobs of the workflow | jobs of Slurm | their own seconds | seconds of Slurm jobs beside them"
        " | queued, mean | ended until noticed, mean |",
        "|---|---|---|---|---|---|---|",
        *(row(name, by_rule[name], of_group(name, own), seen) for name in sorted(by_rule)),
        row("all", jobs, [seconds for values in own.values() for seconds in values], seen),
    ]
    return "\n".join([f"wall {wall:.0f} s, load {os.getloadavg()[1]:.1f}", *lines])


def measure(way: str, full: bool, folder: Path) -> str:
    """Runs the demo in one way; returns the table."""
    folder.mkdir()
    pipeline = Pipeline(folder)
    if not full:
        pipeline.write(small(pipeline.config))
    with Cluster() as cluster:
        begin = time.monotonic()
        with run(pipeline, cluster, TABLE, *WAYS[way]) as work:
            work.finish()
        wall = time.monotonic() - begin
        return f"{way}: {report(pipeline, accounting(cluster), work.output, wall)}"


def main() -> int:
    """Measures the ways of the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ways", nargs="*", choices=[[], *WAYS], default=list(WAYS))
    parser.add_argument("--full", action="store_true", help="the whole demo")
    arguments = parser.parse_args()
    if reason := missing():
        print(reason, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        for way in arguments.ways:
            print(measure(way, arguments.full, Path(folder, way)), end="\n\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
