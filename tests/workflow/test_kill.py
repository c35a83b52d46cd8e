"""kill -9 at five moments of the chain loses nothing: the same command goes on to the same table, byte for byte."""

import os
import signal
import subprocess
import time

import pytest

from tests.support.pipeline import Pipeline, small

TABLE = "results/demo/table1.csv"
MOMENTS = [
    "download.log",
    "ocr/tesseract/1-of-1.log",
    "train/demo/crf/seed1.log",
    "train/demo/ita-all-cva/seed1.log",
    "evaluate",
]
"""Logs under results/logs/demo; a run is killed shortly after each appears."""


def killed(pipeline, moment, delay):
    """Starts the chain and kills all of it, jobs included, ``delay`` seconds after a log appears."""
    process = subprocess.Popen(
        pipeline.command("--rerun-incomplete", TABLE),
        cwd=pipeline.folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    log = pipeline.folder / "results/logs/demo" / moment
    while not log.exists():
        assert process.poll() is None, f"the run ended before {moment}"
        time.sleep(0.02)
    time.sleep(delay)
    assert process.poll() is None, f"the run ended too soon after {moment}"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    pipeline.run("--unlock", TABLE)


@pytest.mark.slow
def test_five_kills(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole, cut = (Pipeline(tmp_path / name) for name in ("whole", "cut"))
    for pipeline in (whole, cut):
        config = small(pipeline.config)
        config["datasets"]["demo"]["train"]["epochs"] = 4
        pipeline.write(config)
    whole.run(TABLE)
    for moment, delay in zip(MOMENTS, (0.3, 0.5, 5.0, 5.5, 1.0), strict=True):
        killed(cut, moment, delay)
        assert not (cut.folder / TABLE).exists()
    cut.run("--rerun-incomplete", TABLE)
    assert (cut.folder / TABLE).read_bytes() == (whole.folder / TABLE).read_bytes()
    leftovers = [path for path in (cut.folder / "results").rglob(".*.part") if path.is_file()]
    assert len(leftovers) <= len(MOMENTS), "at most the one that each kill interrupted"
