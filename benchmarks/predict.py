"""Tagging new posts: our taggers beside transformers' pipeline and a plain I+T baseline, in one process, in turns.

From words to entities with probabilities, on posts of a split. For the view T the peer is the token-classification
pipeline at its best batch size, with the encoder of the run and a head of random weights; for I+T the plain baseline
of ``benchmarks/baseline.py`` (padded batches of 32 posts as they come, CRF of pytorch-crf). Ours is ``Tagger.predict``
in fp32, bf16 and int8, and the same tagger as it was trained (``reference``), with which tags are compared. ``floor``:
nothing but the matrix products of the same shapes, in fp32. Seconds are CPU seconds, medians over rounds::

    cd results/twitter17
    python ../../benchmarks/predict.py runs/minilm/crf/seed1 --posts posts.parquet
    python ../../benchmarks/predict.py runs/minilm/ita-ga-cva/seed1 --posts posts.parquet --context contexts/ga.parquet
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from ita import Tagger
from ita.data.metrics import report
from ita.data.tags import from_bioes
from ita.data.visual_context import SEPARATOR, VisualContext
from ita.io import parquet
from ita.model.batching import longest_first
from ita.model.checkpoint import load_model
from ita.model.dataset import load_contexts
from ita.model.device import keep_freed_memory
from ita.model.frozen_linear import products
from ita.model.inference import predict_tags
from ita.model.inputs import EncodedView

BATCH_SIZES = (4, 8, 16, 32, 64)
"""Of the pipeline: the best of these is measured."""
ARITHMETICS: dict[str, dict[str, Any]] = {"fp32": {}, "bf16": {"precision": "bf16"}, "int8": {"quantize": "int8"}}
CPU = torch.device("cpu")

Tags = list[list[str]]


def seconds_of(program: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    begin = time.process_time()
    program()
    return time.process_time() - begin


def context_texts(context: VisualContext) -> list[str]:
    """Texts of a context as ``ita predict`` takes them."""
    texts: list[list[str]] = [[]]
    for word, kind in zip(*context, strict=True):
        if kind == SEPARATOR:
            texts.append([])
        else:
            texts[-1].append(word)
    return [" ".join(words) for words in texts if words]


def iob_tags(answers: Sequence[Any]) -> Tags:
    """Tags of answers of ``Tagger.predict``."""
    rows = []
    for answer in answers:
        tags = ["O"] * len(answer.tokens)
        for entity in answer.entities:
            first, last = entity.words
            tags[first:last] = [f"B-{entity.type}"] + [f"I-{entity.type}"] * (last - first - 1)
        rows.append(tags)
    return rows


def pipeline_program(run: Path, posts: Sequence[Any], tags: int) -> tuple[str, Callable[[], object]]:
    """transformers' pipeline at its best batch size, on the texts of posts."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

    logging.getLogger("transformers").setLevel(logging.ERROR)  # the head has no weights, which is meant
    model = AutoModelForTokenClassification.from_pretrained(run, num_labels=tags)
    tokenizer = AutoTokenizer.from_pretrained(run)
    pipe = pipeline("token-classification", model, tokenizer=tokenizer, aggregation_strategy="simple", device="cpu")
    texts = [" ".join(post["tokens"]) for post in posts]
    pipe(texts[:16])
    trials = {size: seconds_of(partial(pipe, texts[: len(texts) // 2], batch_size=size)) for size in BATCH_SIZES}
    best = min(trials, key=lambda size: trials[size])
    return f"transformers pipeline, batches of {best}", partial(pipe, texts, batch_size=best)


def baseline_program(run: Path, posts: Sequence[Any], contexts: Any, names: list[str]) -> Callable[[], object]:
    """The plain I+T baseline: tokenizer, padded passes, decoding."""
    import baseline
    from transformers import AutoModel, AutoTokenizer

    model = baseline.Baseline(AutoModel.from_pretrained(run), len(names)).eval()
    tokenizer = AutoTokenizer.from_pretrained(run)

    @torch.inference_mode()
    def tag() -> None:
        views = {"it": baseline.tokenize(tokenizer, posts, contexts)}
        data = baseline.Data(views, [[0] * len(post["tokens"]) for post in posts], [])
        for start in range(0, len(posts), 32):
            indices = range(len(posts))[start : start + 32]
            batch = baseline.collate(data, "it", indices, tokenizer.pad_token_id, "cpu")
            for path in model.crf.decode(model(batch), mask=batch["words"]):
                from_bioes([names[number] for number in path])

    return tag


def floor_program(run: Path, views: Sequence[EncodedView], batch_size: int) -> Callable[[], object]:
    """The matrix products of the encoder alone, with the shapes of its batches."""
    encoder = load_model(run)[0].encoder
    hidden, inner, layers = (
        getattr(encoder.config, name) for name in ("hidden_size", "intermediate_size", "num_hidden_layers")
    )
    make = products("fp32")
    shapes = [(3 * hidden, hidden), (hidden, hidden), (inner, hidden), (hidden, inner)]
    multiply = [make(torch.randn(shape), torch.randn(shape[0])) for shape in shapes]
    sizes = []
    for indices in longest_first([view.length for view in views], batch_size, 16_384):
        words = sum(int((views[index].first_subword >= 0).sum()) for index in indices)
        sizes.append((sum(views[index].length for index in indices), words))

    @torch.inference_mode()
    def run_products() -> None:
        for subwords, words in sizes:
            for layer in range(layers):
                rows = [subwords, *[words if layer == layers - 1 else subwords] * 3]
                for product, count, (_, width) in zip(multiply, rows, shapes, strict=True):
                    product(inputs[width][:count])

    longest = max(subwords for subwords, _ in sizes)
    inputs = {width: torch.randn(longest, width) for width in (hidden, inner)}
    return run_products


def main() -> None:
    """Prints two tables: many posts, and one at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="run folder")
    parser.add_argument("--posts", type=Path, required=True, help="posts.parquet")
    parser.add_argument("--context", type=Path, help="table of contexts: measure the view I+T")
    parser.add_argument("--split", default="test")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth post alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--without-peers", action="store_true", help="ours alone, for F1")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    reference, encoder, settings = load_model(arguments.model)
    names = settings["tags"]
    posts = [post for post in parquet.rows("posts", arguments.posts) if post["split"] == arguments.split]
    posts = posts[:: arguments.every]
    contexts = load_contexts(posts, arguments.context) if arguments.context else None
    visual = [contexts[post["post_id"]] for post in posts] if contexts else None
    records = [{"tokens": post["tokens"]} for post in posts]
    if visual:
        records = [
            {**record, "context": context_texts(context)} for record, context in zip(records, visual, strict=True)
        ]
    views = encoder.encode([post["tokens"] for post in posts], visual)

    def tag_by_reference() -> Tags:
        encoded = encoder.encode([post["tokens"] for post in posts], visual)
        options = {"batch_size": arguments.batch_size, "device": CPU}
        return [list(prediction.tags) for prediction in predict_tags(reference, encoded, names, **options)]

    programs: dict[str, Callable[[], Any]] = {}
    if not arguments.without_peers and visual:
        programs["plain baseline, I+T"] = baseline_program(arguments.model, posts, contexts, names)
    elif not arguments.without_peers:
        name, program = pipeline_program(arguments.model, posts, len(names))
        programs[name] = program
    programs["reference"] = tag_by_reference
    taggers = {name: Tagger.from_pretrained(arguments.model, device="cpu", **how) for name, how in ARITHMETICS.items()}
    for name, tagger in taggers.items():
        programs[name] = partial(tagger.predict, records, batch_size=arguments.batch_size)
    expected, answers = tag_by_reference(), {name: iob_tags(programs[name]()) for name in taggers}
    programs["floor"] = floor_program(arguments.model, views, arguments.batch_size)
    print_speeds(programs, arguments.rounds, posts, {"reference": expected, **answers})
    if not visual and not arguments.without_peers:
        print_latencies(taggers, records[:: max(len(records) // 40, 1)])


def print_speeds(
    programs: dict[str, Callable[[], Any]], rounds: int, posts: Sequence[Any], answers: dict[str, Tags]
) -> None:
    """Posts a second, ratio to the first program within rounds, tags equal to the reference's, F1."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            seconds[name].append(seconds_of(program))
    first, gold = next(iter(programs)), [list(post["tags"]) for post in posts]
    rows = []
    for name, times in seconds.items():
        ratios = [base / time for base, time in zip(seconds[first], times, strict=True)]
        row = [name, len(posts) / statistics.median(times), statistics.median(ratios)]
        row.append(f"{min(ratios):.2f}-{max(ratios):.2f}")
        if name in answers:
            same = sum(tags == other for tags, other in zip(answers[name], answers["reference"], strict=True))
            row += [f"{same} of {len(posts)}", f"{report(gold, answers[name])['default']['f1']:.2f}"]
        rows.append(row)
    headers = ["what", "posts/s", "ratio", "range", "same tags", "F1"]
    print(tabulate(rows, headers, tablefmt="github", floatfmt=".2f", disable_numparse=[3, 4, 5]), flush=True)


def print_latencies(taggers: dict[str, Tagger], records: Sequence[Any]) -> None:
    """Milliseconds of posts that come one at a time."""
    rows = []
    for name, tagger in taggers.items():
        tagger.predict(records[:1])
        cpu = [1e3 * seconds_of(partial(tagger.predict, [record])) for record in records]
        rows.append([name, statistics.median(cpu), min(cpu), max(cpu)])
    print("\none post at a time, CPU milliseconds")
    print(tabulate(rows, ["what", "median", "least", "most"], tablefmt="github", floatfmt=".1f"))


if __name__ == "__main__":
    main()
