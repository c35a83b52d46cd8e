"""Seconds of the paired bootstrap and of approximate randomisation, against a loop over resamples and posts.

20 comparisons of 5 seeds each on a test set of the size of Twitter-15, by simulated taggers. The Python loop is what
one writes first, the NumPy loop indexes arrays of counts once per sample. Loops make fewer samples of one comparison;
their times for all are extrapolated. The bootstrap is checked against the loop's scores on the same resamples.
"""

from __future__ import annotations

import argparse
import random
import time

import numpy as np
from tabulate import tabulate

from ita.significance.counts import IntArray, micro_f1
from ita.significance.resampling import Resamples

POSTS = 3257
"""Of Twitter-15's test split."""
SEEDS = 5
Rows = list[tuple[int, int, int]]


def tagger(generator: np.random.Generator, gold: IntArray, recall: float) -> IntArray:
    """Counts (S, P, 3) of a simulated system."""
    shape = (SEEDS, len(gold))
    true_positives = generator.binomial(np.broadcast_to(gold, shape), recall)
    predicted = true_positives + generator.poisson(0.4, shape)
    return np.stack([true_positives, predicted, np.broadcast_to(gold, shape)], axis=-1)


def f1(rows: Rows, posts: list[int]) -> float:
    """F1 of a list of posts."""
    true_positives = predicted = gold = 0
    for post in posts:
        row = rows[post]
        true_positives += row[0]
        predicted += row[1]
        gold += row[2]
    return 200.0 * true_positives / (predicted + gold) if true_positives else 0.0


def loop_bootstrap(a: list[Rows], b: list[Rows], samples: int) -> list[float]:
    """Differences of the mean over seeds."""
    differences = []
    posts = range(len(a[0]))
    for _ in range(samples):
        drawn = random.choices(posts, k=len(posts))
        differences.append(sum(f1(y, drawn) - f1(x, drawn) for x, y in zip(a, b, strict=True)) / len(a))
    return differences


def loop_randomise(a: list[Rows], b: list[Rows], samples: int) -> list[float]:
    """Differences of the mean over seeds after swaps."""
    differences = []
    posts = list(range(len(a[0])))
    for _ in range(samples):
        swap = [random.random() < 0.5 for _ in posts]
        total = 0.0
        for x, y in zip(a, b, strict=True):
            swapped_x = [y[post] if swapped else x[post] for post, swapped in enumerate(swap)]
            swapped_y = [x[post] if swapped else y[post] for post, swapped in enumerate(swap)]
            total += f1(swapped_y, posts) - f1(swapped_x, posts)
        differences.append(total / len(a))
    return differences


def numpy_bootstrap(a: IntArray, b: IntArray, samples: int) -> list[float]:
    """The same with one array of indices per sample."""
    generator = np.random.default_rng(0)
    differences = []
    for _ in range(samples):
        drawn = generator.integers(0, a.shape[1], a.shape[1])
        differences.append(float((micro_f1(b[:, drawn]) - micro_f1(a[:, drawn])).mean()))
    return differences


def numpy_randomise(a: IntArray, b: IntArray, samples: int) -> list[float]:
    """The same with one array of swaps per sample."""
    generator = np.random.default_rng(0)
    differences = []
    for _ in range(samples):
        swap = generator.random(a.shape[1])[:, None] < 0.5
        differences.append(float((micro_f1(np.where(swap, a, b)) - micro_f1(np.where(swap, b, a))).mean()))
    return differences


def check(resamples: Resamples, a: IntArray, b: IntArray, lists: tuple[list[Rows], list[Rows]]) -> None:
    """Fails unless matrix products and loop give the same on the first resamples."""
    few = Resamples(resamples.posts, 20, resamples.seed)
    few.weights = resamples.weights[:20]
    drawn = [np.repeat(np.arange(few.posts), weights).tolist() for weights in few.weights]
    loop = [np.mean([f1(y, d) - f1(x, d) for x, y in zip(*lists, strict=True)]) for d in drawn]
    result = few.bootstrap(a, b)
    np.testing.assert_allclose([result.low, result.high], np.percentile(loop, [2.5, 97.5]))


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=20)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--loop-samples", type=int, default=50, help="of one comparison, from which the rest follows")
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    gold = generator.poisson(1.56, POSTS)
    base = tagger(generator, gold, 0.75)
    systems = [tagger(generator, gold, 0.75 + 0.001 * n) for n in range(arguments.comparisons)]
    lists = tuple([[tuple(row) for row in seed] for seed in counts.tolist()] for counts in (base, systems[-1]))
    rows = []
    for name, attribute, loop, array_loop in (
        ("paired bootstrap", "weights", loop_bootstrap, numpy_bootstrap),
        ("approximate randomisation", "swaps", loop_randomise, numpy_randomise),
    ):
        resamples = Resamples(POSTS, arguments.samples)
        begin = time.perf_counter()
        getattr(resamples, attribute)
        drawn = time.perf_counter() - begin
        test = resamples.bootstrap if attribute == "weights" else resamples.randomise
        for system in systems:
            test(base, system)
        ours = time.perf_counter() - begin
        if attribute == "weights":
            check(resamples, base, systems[-1], lists)
        peers = []
        scale = arguments.samples / arguments.loop_samples * arguments.comparisons
        for peer, pair in ((loop, lists), (array_loop, (base, systems[-1]))):
            begin = time.perf_counter()
            peer(*pair, arguments.loop_samples)
            peers.append((time.perf_counter() - begin) * scale)
        rows.append([name, ours, drawn, *(value for taken in peers for value in (taken, taken / ours))])
    print(f"{arguments.comparisons} comparisons, {SEEDS} seeds, {POSTS} posts, {arguments.samples} samples")
    print(f"loops: 1 comparison, {arguments.loop_samples} samples, times extrapolated")
    headers = ["test", "s", "of it drawing", "Python loop s", "ratio", "NumPy loop s", "ratio"]
    print(tabulate(rows, headers, tablefmt="github", floatfmt=".2f"))


if __name__ == "__main__":
    main()
