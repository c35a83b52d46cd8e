"""``ita predict`` as a user has it: whole processes, imports and loading included.

The first answer to a stream; posts a second of a file by one process and by N, and by transformers'
token-classification pipeline in a process of its own, with the encoder of the run and batches of 16. Wall-clock
seconds, so on a machine with nothing else to do; the best of the rounds::

    python benchmarks/predict_command.py results/twitter17/runs/minilm/crf/seed1 --posts results/twitter17/posts.parquet
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tabulate import tabulate

from ita.io import parquet

PIPELINE = """
import json, sys, torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline
torch.set_num_threads(1)
model = AutoModelForTokenClassification.from_pretrained(sys.argv[1], num_labels=17)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
tag = pipeline("token-classification", model, tokenizer=tokenizer, aggregation_strategy="simple", device="cpu")
texts = [json.loads(line)["text"] for line in open(sys.argv[2])]
for found in tag(texts, batch_size=16):
    print(json.dumps(found, default=str))
"""


def environment() -> dict[str, str]:
    """One thread a process."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def seconds(command: list[str]) -> float:
    """Wall-clock seconds of a process."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin


def first_answer(command: list[str]) -> float:
    """Seconds until a stream's first line is answered."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"Rihanna is in London\n")
        process.stdin.flush()
        process.stdout.readline()
        elapsed = time.perf_counter() - begin
        process.stdin.close()
    return elapsed


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="run folder")
    parser.add_argument("--posts", type=Path, required=True, help="posts.parquet")
    parser.add_argument("--split", default="test")
    parser.add_argument("--repeat", type=int, default=10, metavar="N", help="the posts N times, for N processes")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    texts = [
        " ".join(post["tokens"]) for post in parquet.rows("posts", arguments.posts) if post["split"] == arguments.split
    ]
    ita = [sys.executable, "-m", "ita", "predict", str(arguments.model)]
    with tempfile.TemporaryDirectory() as folder:
        once, often = Path(folder) / "once.jsonl", Path(folder) / "often.jsonl"
        lines = [json.dumps({"text": text}) + "\n" for text in texts]
        once.write_text("".join(lines))
        often.write_text("".join(lines * arguments.repeat))
        workers = ["--workers", str(arguments.workers)]
        programs = {
            "transformers pipeline": (once, [sys.executable, "-c", PIPELINE, str(arguments.model), str(once)]),
            "ita predict": (once, [*ita, str(once)]),
            "ita predict --quantize int8": (once, [*ita, str(once), "--quantize", "int8"]),
            f"ita predict, posts {arguments.repeat} times": (often, [*ita, str(often)]),
            f"the same, {arguments.workers} workers": (often, [*ita, str(often), *workers]),
        }
        best = {name: float("inf") for name in programs}
        first = float("inf")
        for _ in range(arguments.rounds):
            first = min(first, first_answer(ita))
            for name, (_, command) in programs.items():
                best[name] = min(best[name], seconds(command))
    counts = {once: len(texts), often: len(texts) * arguments.repeat}
    rows = [[name, best[name], counts[file] / best[name]] for name, (file, _) in programs.items()]
    print(f"first answer to a stream: {first:.2f} s")
    print(tabulate(rows, ["whole process", "s", "posts/s"], tablefmt="github", floatfmt=".2f"))


if __name__ == "__main__":
    main()
