"""Kills the demo's chain at random moments: ``python -m tests.fuzz.kills [--times 50] [--seed 0]``.

Each time the whole chain, jobs included, is ended by SIGKILL, SIGTERM or SIGINT some seconds after it starts; the same
command then goes on. Once, a second run is started beside it. Whenever the chain comes to its end, its table must be
that of a run that nothing disturbed, byte for byte.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.support.pipeline import Pipeline, small

TABLE = "results/demo/table1.csv"
SIGNALS = (*[signal.SIGKILL] * 6, signal.SIGTERM, signal.SIGINT)
LONGEST = 8.0
"""Seconds before a kill, at most."""


def main() -> int:
    """Kills runs and compares their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random, folder = Random(options.seed), Path(tempfile.mkdtemp(prefix="kills-"))
    whole = made(folder / "whole")
    start = time.monotonic()
    whole.run(TABLE)
    expected, seconds = (whole.folder / TABLE).read_bytes(), time.monotonic() - start
    kills = tables = 0
    while kills < options.times:
        pipeline = made(folder / f"run{tables}")
        while kills < options.times and not (pipeline.folder / TABLE).exists():
            kills += killed(pipeline, random.uniform(1.0, min(LONGEST, seconds / 2)), random.choice(SIGNALS))
            print(f"{kills} kills, {tables} tables", flush=True)
        if kills == options.times:
            beside(pipeline)
        pipeline.run("--rerun-incomplete", TABLE)
        if (pipeline.folder / TABLE).read_bytes() != expected:
            print(f"the table of {pipeline.folder} is another one")
            return 1
        tables += 1
    print(f"{kills} kills, {tables} tables, all equal to that of a run that nothing disturbed ({seconds:.0f} s)")
    return 0


def made(folder: Path) -> Pipeline:
    """A project with a small configuration."""
    folder.mkdir()
    pipeline = Pipeline(folder)
    pipeline.write(small(pipeline.config))
    return pipeline


def started(pipeline: Pipeline) -> subprocess.Popen:
    """The chain in a process group of its own."""
    return subprocess.Popen(
        pipeline.command("--rerun-incomplete", TABLE),
        cwd=pipeline.folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed(pipeline: Pipeline, seconds: float, how: signal.Signals) -> int:
    """Starts the chain and ends it after some seconds; 0 where it came to its end by itself."""
    process = started(pipeline)
    try:
        process.communicate(timeout=seconds)
        return 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, how)
    process.communicate()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # jobs that outlive Snakemake
    pipeline.run("--unlock", TABLE)
    return 1


def beside(pipeline: Pipeline) -> None:
    """Starts a second run while one works: it must end by itself and say that the folder is locked."""
    first = started(pipeline)
    while not list((pipeline.folder / ".snakemake" / "locks").glob("*")) and first.poll() is None:
        time.sleep(0.05)
    second = started(pipeline)
    message = second.communicate(timeout=120)[1]
    if first.poll() is None and (second.returncode == 0 or "lock" not in message.lower()):
        sys.exit(f"the second run ended with {second.returncode}: {message[-400:]}")
    first.communicate()


if __name__ == "__main__":
    sys.exit(main())
