"""Jobs of the cloud profiles, made by Snakemake and each plugin's own code and caught before a cloud sees them."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.support.paths import ROOT
from tests.support.pipeline import Pipeline, small

TARGETS = {
    "detect": "objects/demo/1-of-1.parquet",
    "ocr": "ocr/tesseract/1-of-1.parquet",
    "train": "runs/demo/crf/seed1/model.safetensors",
    "evaluate": "runs/demo/crf/seed2/metrics.json",
}
"""A result of each rule whose job is looked at."""


def need(*modules: str) -> None:
    """Skips a test where a plugin is not installed."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: an extra of its own, docs/clusters.md")


def submit(folder: Path, profile: str, program: list[str], environment: dict[str, str]) -> str:
    """Has Snakemake submit a job of each rule of TARGETS by a profile; every job fails. Returns its output.

    Results lie in a folder that stands for the bucket.
    """
    (folder / "workflow").mkdir()
    pipeline = Pipeline(folder / "workflow")
    pipeline.write(small(pipeline.config))
    bucket = folder / "bucket"
    bucket.mkdir()
    command = [
        *program, *(f"results/demo/{target}" for target in TARGETS.values()), "--workflow-profile",
        f"workflow/profiles/{profile}", "--default-storage-provider", "fs", "--default-storage-prefix", str(bucket),
        "--rerun-triggers", "mtime", "--retries", "0", "--seconds-between-status-checks", "1",
    ]  # fmt: skip

    def run(*arguments: str) -> str:
        environ = {**os.environ, **environment}
        options = {"cwd": pipeline.folder, "env": environ, "capture_output": True, "text": True, "timeout": 300}
        done = subprocess.run([*command, *arguments], **options)
        return done.stdout + done.stderr

    for path in made_before(run("--dry-run")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if path.suffix else path.mkdir(exist_ok=True)
        os.utime(path, (0, 0))
    return run()


def made_before(plan: str) -> set[Path]:
    """Every result of a dry run but those of the jobs of TARGETS, which can then be submitted at once."""
    paths, open_jobs = set(), 0
    for read, made in re.findall(r"^ +input: (.+)\n +output: (.+)$", plan, re.MULTILINE):
        wanted = any(f"/results/demo/{target}" in made for target in TARGETS.values())
        open_jobs += wanted
        paths |= {Path(word) for word in re.findall(r"(/\S+) \(", read if wanted else f"{read}, {made}")}
    assert open_jobs == len(TARGETS), plan[-3000:]
    return paths


class Api:
    """An HTTP server on the loopback interface that keeps what is posted to it.

    Args:
        answer: method, path, body -> the body of the answer.
    """

    def __init__(self, answer: Callable[[str, str, dict], dict]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def respond(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.dumps(answer(self.command, self.path, json.loads(content or b"{}"))).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = respond

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "Api":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.server.shutdown()
        self.server.server_close()


SNAKEMAKE = [sys.executable, "-m", "snakemake"]


def profile(name: str) -> dict:
    """Settings of a profile."""
    return yaml.safe_load((ROOT / f"workflow/profiles/{name}/config.yaml").read_text())
