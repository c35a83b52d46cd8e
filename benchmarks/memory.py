"""Peak memory and images per second of detect, caption and ocr, for few images and for many: memory must not grow.

``python benchmarks/memory.py`` draws pictures of the demo and runs the programs of the stages, each in a process of its
own, with the demo's own detector and captioner. The table of images names the drawn pictures in turn, each time by
another name: a stage decodes and sees every row anew. Peak memory is the largest resident set of the stage's process or
of one that it started (Tesseract), as the system counts it::

    python benchmarks/memory.py --images 100 10000 --stages detect caption
    python benchmarks/memory.py --images 100 1000 --stages ocr --engine rapidocr
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from ita.demo import SHIPPED_MODELS, pictures
from ita.io import parquet

STAGES = ("detect", "caption", "ocr")


class Run(NamedTuple):
    """What one run of a stage took."""

    images: int
    megabytes: float
    """Peak resident set."""
    seconds: float
    rows: int
    """Rows of its table."""


def draw(folder: Path, count: int) -> list[str]:
    """Draws pictures of the demo; the names of their files."""
    names = []
    for number in range(count):
        rng = random.Random(f"memory/{number}")
        scene = pictures.sample_scene(rng, rng.choice(list(pictures.SUBJECTS)))
        names.append(f"{number}.jpg")
        (folder / names[-1]).write_bytes(pictures.encode(rng, pictures.draw_scene(scene)))
    return names


def listed(folder: Path, names: list[str], count: int) -> Path:
    """Writes a table of so many images, which are the files in turn."""
    file = folder / f"images-{count}.parquet"
    rows = ({"image_id": f"{number:07}", "status": "ok", "path": names[number % len(names)]} for number in range(count))
    parquet.write("images", rows, file)
    return file


def command(stage: str, images: Path, count: int, options: argparse.Namespace) -> tuple[list[str], Path]:
    """The command line of a stage, and the file that it writes."""
    folder = images.parent
    outputs = {name: folder / f"{name}-{count}.parquet" for name in (*STAGES, "features")}
    settings: dict[str, dict[str, Any]] = {
        "detect": {"model": str(SHIPPED_MODELS / "detector"), "min_objects": 1, "device": options.device},
        "caption": {"model": str(SHIPPED_MODELS / "captioner"), "device": options.device},
        "ocr": {"engine": options.engine},
    }
    words = [sys.executable, "-m", "ita", stage, "--settings", json.dumps({stage: settings[stage]})]
    words += ["--images", str(images), "--output", str(outputs[stage]), "--log", str(folder / "log")]
    if stage == "detect":
        words += ["--features", str(outputs["features"])]
    if stage == "caption":
        words += ["--objects", str(outputs["detect"]), "--features", str(outputs["features"])]
    return words, outputs[stage]


def measure(stage: str, images: Path, count: int, options: argparse.Namespace) -> Run:
    """Runs a stage to its end."""
    words, output = command(stage, images, count, options)
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    started = time.perf_counter()
    process = subprocess.Popen(words, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if process_code := os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{stage} of {count} images ended with code {process_code}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return Run(count, kilobytes / 1024, seconds, sum(1 for _ in parquet.stream(stage_table(stage), output)))


def stage_table(stage: str) -> str:
    """The table that a stage writes."""
    return {"detect": "objects", "caption": "captions"}.get(stage, stage)


def show(stage: str, runs: list[Run]) -> None:
    """Prints the runs of a stage."""
    first = runs[0]
    # Between two runs the start, which does not depend on the number of images, cancels out.
    rows = [
        (
            stage,
            run.images,
            run.megabytes,
            run.megabytes / first.megabytes,
            run.seconds,
            (run.images - first.images) / (run.seconds - first.seconds) if run is not first else None,
            run.rows,
        )
        for run in runs
    ]
    header = ["stage", "images", "peak MiB", "ratio", "seconds", "images/s without start", "rows"]
    print(tabulate(rows, header, floatfmt=("", "", ".0f", ".2f", ".1f", ".1f", "")), flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[100, 10_000], help="numbers of images, rising")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="caption needs detect")
    parser.add_argument("--drawn", type=int, default=200, help="different pictures")
    parser.add_argument("--engine", choices=["tesseract", "rapidocr"], default="tesseract", help="of ocr")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = draw(folder, min(options.drawn, max(options.images)))
        images = {count: listed(folder, names, count) for count in options.images}
        for stage in sorted(options.stages, key=STAGES.index):
            show(stage, [measure(stage, file, count, options) for count, file in images.items()])


if __name__ == "__main__":
    main()
