"""Results on S3: the chain on machines that share nothing but the bucket makes the same results as on one disk.

Needs the extras ``s3`` and ``s3-test``; the server is moto's, on loopback.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pipeline import Pipeline, small
from tests.support.s3 import BUCKET, S3, s3_server

pytest.importorskip("snakemake_storage_plugin_s3")
pytest.importorskip("moto.server")
pytestmark = pytest.mark.slow

STORAGE = ["--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{BUCKET}"]
FIRST = ["results/demo/images.parquet", "results/demo/contexts/all.parquet"]
SECOND = [f"results/demo/runs/demo/{system}/seed1/model.safetensors" for system in ("crf", "ita-all-cva")]
LAST = ["results/demo/table1.csv", "results/demo/cases.html", "results/demo/entities.parquet"]
SAME = [
    *("results/demo/table1.csv", "results/demo/table1.md", "results/demo/cases.html", "results/demo/cases.md"),
    *SECOND,
]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    """A server."""
    with s3_server() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


def machine(folder: Path) -> Pipeline:
    """A folder of its own, with a small demo whose images are in two shards."""
    folder.mkdir()
    pipeline = Pipeline(folder)
    config = small(pipeline.config)
    config["gather"]["shards"] = 2
    config["datasets"]["demo"]["tag"] = {"model": "results/demo/runs/demo/ita-all-cva/seed1"}
    pipeline.write(config)
    return pipeline


def test_machines_that_share_a_bucket_make_the_same_results(s3: S3, tmp_path: Path) -> None:
    here = machine(tmp_path / "here")
    here.run(*LAST)
    planned = {}
    for number, targets in enumerate((FIRST, SECOND, LAST)):
        pipeline = machine(tmp_path / f"machine{number}")
        s3.counting.taken()
        pipeline.run("--dry-run", *STORAGE, *targets)
        planned[number] = s3.counting.taken()
        pipeline.run(*STORAGE, *targets)
        print(f"machine {number}: planning {dict(planned[number])}, work {dict(s3.counting.taken())}")
    for name in SAME:
        assert s3.content(name) == (here.folder / name).read_bytes(), name
    assert set(s3.names("results/demo/images/")) == {f"results/demo/images/{n}-of-2.tar" for n in (1, 2)}

    done = machine(tmp_path / "another")
    s3.counting.taken()
    output = done.run("--dry-run", *STORAGE, "results/demo/table1.csv")
    requests = s3.counting.taken()
    print(f"planning of finished results: {dict(requests)}")
    assert "Nothing to be done" in output
    # A listing, and three requests for the benchmark file of each job.
    assert requests["LIST"] <= 1 + 25 and requests.total() <= 1 + 3 * 25, requests
    assert not [name for name in os.listdir(done.folder) if name == "results"]
