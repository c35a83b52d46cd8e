"""Jobs of the cloud profiles, made by Snakemake and each plugin's own code and caught before a cloud sees them."""

import importlib.util
import json
import os
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

MADE = [
    "posts.parquet", "images.parquet", "objects/demo.parquet", "captions/demo.parquet", "ocr/tesseract.parquet",
    "features/demo/1-of-1.parquet", "contexts/none.parquet", "contexts/all.parquet", "source/encoder/config.json",
    "source/encoder/tokenizer.json", "source/detector/model.safetensors", "source/captioner/model.safetensors",
    "runs/demo/crf/seed2/model.safetensors", "runs/demo/crf/seed2/history.csv",
]  # fmt: skip
"""Results that exist already, so that the rules below can be submitted at once."""
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


def submit(folder: Path, profile: str, program: list[str], environment: dict[str, str], *arguments: str) -> str:
    """Has Snakemake submit a job of each rule of TARGETS by a profile; every job fails. Returns its output.

    Results lie in a folder that stands for the bucket.
    """
    (folder / "workflow").mkdir()
    pipeline = Pipeline(folder / "workflow")
    pipeline.write(small(pipeline.config))
    bucket = folder / "bucket"
    for name in MADE:
        path = bucket / "results/demo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    command = [
        *program, *(f"results/demo/{target}" for target in TARGETS.values()), "--workflow-profile",
        f"workflow/profiles/{profile}", "--default-storage-provider", "fs", "--default-storage-prefix", str(bucket),
        "--rerun-triggers", "mtime", "--retries", "0", "--seconds-between-status-checks", "1", *arguments,
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=pipeline.folder, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300
    )
    return done.stdout + done.stderr


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
