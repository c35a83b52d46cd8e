"""Exported graphs against the run they came from: tags, posteriors, F1 and posts a second.

``ita export`` is run for fp32 and int8; then our tagger, which is the reference, and both graphs in ONNX Runtime tag
the posts of a split in turn, in one process and the same batches, from encoded posts to entities with probabilities.
Posts a second are medians over the rounds, ratios medians of the ratios within a round::

    python benchmarks/export.py results/twitter17/runs/minilm/crf/seed1 --posts results/twitter17/posts.parquet
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from tabulate import tabulate

from ita.data.metrics import report
from ita.data.tags import Span, from_bioes
from ita.io import parquet
from ita.model.batching import longest_first
from ita.model.checkpoint import load_model, read_config
from ita.model.dataset import load_contexts
from ita.model.export.model_file import export
from ita.model.export.model_inputs import model_inputs
from ita.model.inference import MAX_SUBWORDS, predict_tags
from ita.model.inputs import EncodedView

OUTPUTS = ["tags", "span_ends", "span_posteriors"]


class Tagged(NamedTuple):
    """Tags and entities of one post."""

    tags: list[str]
    spans: list[Span]
    posteriors: list[float]


class Graph:
    """An exported graph in ONNX Runtime."""

    def __init__(self, file: Path, threads: int, names: Sequence[str], pad_id: int, batch_size: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.names, self.pad_id, self.batch_size = names, pad_id, batch_size

    def tag(self, views: Sequence[EncodedView]) -> list[Tagged]:
        """Tags posts in batches of similar length, in their order."""
        tagged = {}
        for indices in longest_first([view.length for view in views], self.batch_size, MAX_SUBWORDS):
            inputs = model_inputs([views[index] for index in indices], self.pad_id)
            for index, length, *outputs in zip(
                indices, inputs["lengths"], *self.session.run(OUTPUTS, inputs), strict=True
            ):
                tags, ends, posteriors = outputs
                words = [self.names[tag] for tag in tags[:length]]
                starts = np.flatnonzero(ends).tolist()
                spans = [Span(start, int(ends[start]), words[start][2:]) for start in starts]
                tagged[index] = Tagged(from_bioes(words), spans, posteriors[starts].tolist())
        return [tagged[index] for index in range(len(views))]


def agreement(results: Sequence[Tagged], reference: Sequence[Tagged], gold: list[list[str]]) -> list[str]:
    """Posts with the same tags, largest difference of a posterior in those with the same entities, F1."""
    same = sum(result.tags == expected.tags for result, expected in zip(results, reference, strict=True))
    differences = [
        abs(posterior - expected_posterior)
        for result, expected in zip(results, reference, strict=True)
        if result.spans == expected.spans
        for posterior, expected_posterior in zip(result.posteriors, expected.posteriors, strict=True)
    ]
    f1 = report(gold, [result.tags for result in results])["default"]["f1"]
    return [f"{same} of {len(reference)}", f"{max(differences, default=0):.1e}", f"{f1:.2f}"]


def measure(programs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each program in every round, taking turns after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(rounds + 1):
        for name, program in programs.items():
            begin = time.perf_counter()
            program()
            if number:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="run folder")
    parser.add_argument("--posts", type=Path, required=True, help="posts.parquet")
    parser.add_argument("--context", type=Path, help="table of contexts: measure the view I+T")
    parser.add_argument("--split", default="test")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tagger, encoder, settings = load_model(arguments.model)
    names, pad_id = settings["tags"], read_config(arguments.model).get("pad_token_id", 0)
    posts = [post for post in parquet.rows("posts", arguments.posts) if post["split"] == arguments.split]
    contexts = load_contexts(posts, arguments.context) if arguments.context else None
    views = encoder.encode(
        [post["tokens"] for post in posts], [contexts[post["post_id"]] for post in posts] if contexts else None
    )
    gold = [list(post["tags"]) for post in posts]

    def tag() -> list[Tagged]:
        device, size = torch.device("cpu"), arguments.batch_size
        predictions = predict_tags(tagger, views, names, batch_size=size, device=device)
        return [Tagged(prediction.tags, prediction.spans, prediction.posteriors) for prediction in predictions]

    programs: dict[str, Callable[[], list[Tagged]]] = {"ita (PyTorch, fp32)": tag}
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("fp32", "int8"):
            file = Path(folder) / precision / "model.onnx"
            export(arguments.model, file, precision == "int8")
            graph = Graph(file, arguments.threads, names, pad_id, arguments.batch_size)
            programs[f"ONNX {precision}, {file.stat().st_size / 1e6:.0f} MB"] = lambda graph=graph: graph.tag(views)
    results = {name: program() for name, program in programs.items()}
    seconds = measure(programs, arguments.rounds)
    reference = next(iter(programs))
    rows = []
    for name, times in seconds.items():
        ratios = [base / time for base, time in zip(seconds[reference], times, strict=True)]
        speed = [
            len(posts) / statistics.median(times),
            statistics.median(ratios),
            f"{min(ratios):.2f}-{max(ratios):.2f}",
        ]
        rows.append([name, *speed, *agreement(results[name], results[reference], gold)])
    print(f"onnxruntime {onnxruntime.__version__}, torch {torch.__version__}, {arguments.threads} thread(s)")
    print(f"{len(posts)} posts, {sum(view.length for view in views)} subwords, {arguments.rounds} rounds")
    headers = ["what", "posts/s", "ratio", "range", "same tags", "posteriors differ by", "F1"]
    print(tabulate(rows, headers, tablefmt="github", floatfmt=".2f", disable_numparse=[4, 5, 6]))


if __name__ == "__main__":
    main()
