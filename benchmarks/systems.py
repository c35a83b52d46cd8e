"""Speed and memory of the reproduced systems at BERT-base size, beside the official code where it is at hand.

Each side runs in a process of its own; blocks of steps alternate between them on the same posts, and one process works
at a time. Weights are random; posts are synthetic with the lengths of Twitter-2017, image features random::

    python benchmarks/systems.py
    python benchmarks/systems.py --upstream DIR   # with checkouts of jefferyYu/UMT, TransformersWsz/UMGF and
                                                  # Multimodal-NER/RpBERT in DIR/UMT, DIR/UMGF and DIR/RpBERT
    python benchmarks/systems.py --device cuda --precision bf16

Image features are given to both sides: no side runs a ResNet. ``upstream`` is the official code as published (UMT and
UMGF pad every post to 128 subwords), ``longest`` the same with padding to the longest post of the batch. Operations
are those of the matrix products that a side really executes, padding included; the rate of one large matrix product
beside them says how far a side is from the floor. On a CPU, seconds and ratios are CPU seconds of one thread, which
other processes disturb least; ``wall`` is the clock's.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import step
import yaml

SIDES = ("upstream", "longest", "ours")
REPOSITORIES = {"umt": "UMT", "umgf": "UMGF", "rpbert": "RpBERT", "rpbert-without-rp": "RpBERT"}
"""System -> folder of its checkout in ``--upstream``."""
SIZES = {"vocab_size": 30522}
"""Of BERT-base, whose other sizes are the defaults of every side."""
CELLS = 49
BOXES = 50


class Task(NamedTuple):
    """What all sides work on."""

    rows: list[dict[str, Any]]
    tag_names: list[str]
    tokenizer: Any
    features: Any
    """Of one image a post."""
    data: Any
    """Posts as our engine encodes them."""
    system: Any


def make_task(name: str, count: int) -> Task:
    """Posts, labels and image features of a system of config.yaml."""
    import numpy as np

    from ita.cli import read_section
    from ita.config import System
    from ita.data.label_schemes import label_names
    from ita.data.visual_context import VisualContext
    from ita.io.features import Features
    from ita.model.dataset import encode_posts
    from ita.model.inputs import side_by_side
    from ita.model.tagger import input_layout
    from ita.model.tokenizer import AutoTokenizer

    entry = yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text())["systems"][name]
    entry = {key: value for key, value in entry.items() if key not in ("train", "upstream")}
    system = read_section({"system": entry}, "system", System)
    rows, contexts = step.synthetic(count)
    if system.context == "none":
        contexts = dict.fromkeys(contexts, VisualContext([], []))
    for row in rows:
        row["image_id"] = row["post_id"]
    regions = system.max_regions or (CELLS if system.regions == "resnet" else BOXES)
    width = 2054 if system.region_boxes else 2048
    features = None
    if system.regions:
        values = np.random.default_rng(0).standard_normal((count * regions, width), dtype=np.float32)
        spans = {row["image_id"]: (number * regions, (number + 1) * regions) for number, row in enumerate(rows)}
        features = Features(np.maximum(values, 0).astype(np.float16), spans)
    tokenizer = step.numbers("bert", SIZES["vocab_size"])
    types = ("LOC", "MISC", "ORG", "PER")
    tag_names = label_names(types, system.label_scheme, system.tag_format)
    encoders = len(system.encoders)
    encoder = side_by_side([AutoTokenizer(tokenizer)] * encoders, [512] * encoders, input_layout(system))
    data = encode_posts(rows, contexts, tag_names, encoder, features, system.tag_format)
    return Task(rows, tag_names, tokenizer, features, data, system)


def ours(task: Task, options: argparse.Namespace) -> tuple[Callable[[Sequence[int]], None], ...]:
    """Our engine: one epoch over some posts, and their tags. All uses of its API are here and in ``make_task``."""
    import torch

    from ita.config import Loss, Train
    from ita.model import device
    from ita.model.bert import Bert, EncoderConfig
    from ita.model.inference import predict_tags
    from ita.model.schedule import TrainingConfig
    from ita.model.tagger import Tagger, input_layout
    from ita.model.trainer import configure_optimizer, run_epoch
    from ita.model.vocabulary import trim_vocabularies

    torch.manual_seed(0)
    encoders = [Bert(EncoderConfig(**SIZES)) for _ in task.system.encoders]
    for encoder in encoders:
        encoder.init_weights()
    rates = {"learning_rate": 5e-5, "crf_learning_rate": 0.05}
    train = Train(
        epochs=1000, batch_size=options.batch_size, precision=options.precision, device=options.device, **rates
    )
    place = device.resolve_device(train.device)
    dtype = device.compute_dtype(place, train.precision, encoders[0].config.hidden_size)
    layout = input_layout(task.system)
    config = TrainingConfig(train, task.system, Loss(), 0, task.tag_names, place, dtype, layout)
    width = task.features.width if task.features else 0
    sizes = {"region_dim": width, "system": task.system, "further_encoders": encoders[1:]}
    tagger = Tagger(encoders[0], task.tag_names, train.word_dropout, **sizes)
    if task.features:
        tagger.set_region_features(torch.from_numpy(task.features.vectors))
    views = [post for view in task.data.views.values() for post in view]
    trimmed = trim_vocabularies({str(number): encoder for number, encoder in enumerate(encoders)}, views)
    data = task.data.map_views(trimmed.renumber)
    tagger.to(place)
    optimizer = configure_optimizer(tagger, train)
    epochs = iter(range(1000))

    def run(posts: Sequence[int]) -> None:
        block = replace(
            data,
            views={view: [encoded[post] for post in posts] for view, encoded in data.views.items()},
            tags=[data.tags[post] for post in posts],
            gold=[data.gold[post] for post in posts],
        )
        run_epoch(tagger, block, config, optimizer, next(epochs))

    def tag(posts: Sequence[int]) -> None:
        views = [data.views[task.system.views[-1]][post] for post in posts]
        size = options.batch_size
        predict_tags(tagger, views, task.tag_names, batch_size=size, device=place, dtype=dtype, posteriors=False)

    return run, tag


def official(
    name: str, task: Task, options: argparse.Namespace, padded: bool
) -> tuple[Callable[[Sequence[int]], None], ...]:
    """The official code, likewise."""
    import upstream

    steps = upstream.build(name, options.upstream / REPOSITORIES[name], task, SIZES, options.device, padded)

    def in_batches(work: Callable[[Sequence[int]], None]) -> Callable[[Sequence[int]], None]:
        def run(posts: Sequence[int]) -> None:
            for start in range(0, len(posts), options.batch_size):
                work(posts[start : start + options.batch_size])

        return run

    return in_batches(steps.train), in_batches(steps.tag)


def counted(work: Callable[[Sequence[int]], None], posts: Sequence[int]) -> float:
    """Operations of the matrix products of some work."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work(posts)
    return float(counter.get_total_flops())


def worker(name: str, side: str, options: argparse.Namespace) -> None:
    """One side: reads numbers of blocks from standard input and answers each with its measurements as JSON."""
    import torch

    torch.set_num_threads(options.threads)
    task = make_task(name, options.posts)
    train, tag = ours(task, options) if side == "ours" else official(name, task, options, padded=side == "upstream")
    view = task.data.views[task.system.views[-1]]
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        block = int(line)
        draw = random.Random(block)
        posts = draw.sample(range(len(task.rows)), options.batch_size * options.steps)
        tagged = draw.sample(range(len(task.rows)), options.tagged)
        measured: dict[str, float] = {}
        if block < 0:  # warms up, and counts
            measured["operations"] = counted(train, posts) / options.steps
        else:
            for part, work, numbers in (("train", train, posts), ("tag", tag, tagged)):
                step.synchronize(options.device)
                started, clock = time.perf_counter(), time.process_time()
                work(numbers)
                step.synchronize(options.device)
                measured[f"{part}_wall"] = measured[part] = time.perf_counter() - started
                if options.device == "cpu":
                    measured[part] = time.process_time() - clock
        measured["subwords"] = sum(view[post].length for post in posts)
        measured["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        if options.device == "cuda":
            measured["peak"] = torch.cuda.max_memory_allocated() / 1e6
        print(json.dumps(measured), flush=True)


def matrix_rate(options: argparse.Namespace) -> float:
    """Operations per second of a large matrix product, the best of some; on a CPU, of one thread's CPU seconds."""
    import torch

    if options.device == "cuda":
        return step.matrix_rate(options.device, options.precision == "bf16")
    torch.set_num_threads(options.threads)
    size, seconds = 1536, []
    a = torch.randn(size, size)
    for _ in range(8):
        clock = time.process_time()
        torch.mm(a, a)
        seconds.append(time.process_time() - clock)
    return 2.0 * size**3 / min(seconds)


def measure(name: str, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Side -> its summary."""
    sides = [side for side in SIDES if side == "ours" or (options.upstream and name in REPOSITORIES)]
    if name.startswith("rpbert"):  # upstream pads to the longest post anyway
        sides = [side for side in sides if side != "longest"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = {}
    for side in sides:
        command = [sys.executable, __file__, *sys.argv[1:], "--worker", name, side]
        workers[side] = subprocess.Popen(command, **pipes)
        step.answer(workers[side])
    blocks: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    operations = {}
    for block in range(-1, options.blocks):
        for side in sides if block % 2 == 0 else sides[::-1]:
            workers[side].stdin.write(f"{block}\n")
            workers[side].stdin.flush()
            measured = step.answer(workers[side])
            if block < 0:
                operations[side] = measured["operations"]
            else:
                blocks[side].append(measured)
    for process in workers.values():
        process.stdin.close()
        process.wait()
    return {side: summary(rows, blocks["ours"], operations[side], options) for side, rows in blocks.items()}


def summary(
    rows: Sequence[dict[str, float]], own: Sequence[dict[str, float]], operations: float, options: argparse.Namespace
) -> dict[str, Any]:
    """Medians over the blocks of one side."""
    seconds = statistics.median(row["train"] for row in rows) / options.steps
    pairs = list(zip(rows, own, strict=True))
    return {
        "seconds": seconds,
        "wall": statistics.median(row["train_wall"] for row in rows) / options.steps,
        "inputs": statistics.median(row["subwords"] / row["train"] for row in rows),
        "operations": operations,
        "tagged": statistics.median(options.tagged / row["tag"] for row in rows),
        "peak": max(row["peak"] for row in rows),
        "ratios": [row["train"] / mine["train"] for row, mine in pairs],
        "tag_ratios": [row["tag"] / mine["tag"] for row, mine in pairs],
    }


def show(name: str, result: dict[str, dict[str, Any]], rate: float) -> None:
    """The rows of one system."""
    for side, row in result.items():
        gains = [
            "" if side == "ours" else f"{statistics.median(row[part]):.2f} ({min(row[part]):.2f}-{max(row[part]):.2f})"
            for part in ("ratios", "tag_ratios")
        ]
        speed = row["operations"] / row["seconds"]
        print(
            f"{name:18} {side:9} {row['seconds']:8.3f} {row['wall']:8.3f} {row['inputs']:9.0f} "
            f"{row['operations'] / 1e9:8.0f} {speed / 1e9:8.1f} {100 * speed / rate:8.0f} {row['peak']:8.0f} "
            f"{row['tagged']:8.1f} {gains[0]:>18} {gains[1]:>18}",
            flush=True,
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", type=Path, help="folder of the checkouts UMT, UMGF and RpBERT")
    parser.add_argument("--systems", nargs="+", default=["crf", *REPOSITORIES, "vinvl-crf", "bert-vinvl-crf"])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--posts", type=int, default=600, help="synthetic posts")
    parser.add_argument("--steps", type=int, default=2, help="steps of a block")
    parser.add_argument("--tagged", type=int, default=64, help="posts tagged in a block")
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of ours; upstream's is fp32")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(*options.worker, options)
        return
    rate = matrix_rate(options)
    print(f"matrix products alone, {options.precision}: {rate / 1e9:.1f} GFLOP/s")
    heads = ["s/step", "wall", "inputs/s", "GFLOP", "GFLOP/s", "% max", "peak MB", "tagged/s"]
    line = "".join(f" {head:>{9 if head == 'inputs/s' else 8}}" for head in heads)
    print(f"{'system':18} {'side':9}{line} {'step: ours x':>18} {'tagging: ours x':>18}")
    for name in options.systems:
        show(name, measure(name, options), rate)


if __name__ == "__main__":
    main()
