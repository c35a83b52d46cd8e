"""Differences in F1 between systems and what they are worth, over seeds and over posts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ita.errors import UserError
from ita.reporting.runs import Run
from ita.significance import resampling, seeds
from ita.significance.counts import IntArray, count_spans

TESTS = ("welch", "paired_t", "bootstrap", "randomisation")
"""The first is the one that marks: the paper's is a t-test over seeds too."""


class Results:
    """Runs of one system with one encoder, read in one view of one split."""

    def __init__(self, runs: Sequence[Run], split: str, view: str) -> None:
        """Nothing is read before it is needed."""
        self.runs, self.split, self.view = runs, split, view

    def f1(self, mode: str = "default") -> list[float]:
        """F1 of each seed."""
        return [run.scores(self.split, self.view, mode)["f1"] for run in self.runs]

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return [run.seed for run in self.runs]

    @cached_property
    def posts(self) -> list[str]:
        """Names of the posts, the same in all seeds."""
        return self.runs[0].predictions(self.split, self.view).posts

    @cached_property
    def tables(self) -> dict[str, IntArray]:
        """Counts by type, filled on demand; '' is all types."""
        return {}

    def counts(self, kind: str = "") -> IntArray:
        """(S, P, 3): true positives, predicted and gold spans of each seed and post, of one type or (empty) all."""
        if kind not in self.tables:
            found = []
            for run in self.runs:
                tagged = run.predictions(self.split, self.view)
                if tagged.posts != self.posts:
                    raise UserError(f"{run.metrics}: evaluated on other posts than its sister runs; evaluate it again")
                found.append(count_spans(tagged.gold, tagged.predicted, kind or None))
            self.tables[kind] = np.stack(found)
        return self.tables[kind]


class Comparisons:
    """Compares systems on the same resamples of posts."""

    def __init__(self, samples: int, seed: int) -> None:
        """Resamples are drawn when the number of posts is known."""
        self.samples, self.seed = samples, seed
        self._resamples: dict[int, resampling.Resamples] = {}
        self.errors: list[float] = []
        """Standard errors of all differences so far, over posts."""

    def compare(
        self, a: Results, b: Results, values: tuple[Sequence[float], Sequence[float]] | None = None, kind: str = ""
    ) -> dict[str, Any]:
        """The difference b - a.

        Args:
            a: what is compared with.
            b: what is compared.
            values: per-seed scores of a and b; by default F1 over all types.
            kind: type whose spans are counted; empty: all.

        Returns:
            ``gain`` (difference of means, points), ``gain_low``, ``gain_high`` (95 % over posts), ``p_{test}`` for
            each of TESTS (None where it can not be made), and p of each seed as text.
        """
        left, right = values or (a.f1(), b.f1())
        shared = [seed for seed in a.seeds if seed in b.seeds]
        result: dict[str, Any] = {"gain": float(np.mean(right) - np.mean(left))}
        result["p_welch"] = seeds.welch(left, right)
        pair = [(left[a.seeds.index(seed)], right[b.seeds.index(seed)]) for seed in shared]
        result["p_paired_t"] = seeds.paired_t([x for x, _ in pair], [y for _, y in pair])
        if not shared:
            return result
        if a.posts != b.posts:
            raise UserError(
                f"{b.runs[0].metrics}: evaluated on other posts than {a.runs[0].metrics}; evaluate both again"
            )
        one = a.counts(kind)[[a.seeds.index(seed) for seed in shared]]
        other = b.counts(kind)[[b.seeds.index(seed) for seed in shared]]
        posts = len(a.posts)
        draws = self._resamples.setdefault(posts, resampling.Resamples(posts, self.samples, self.seed))
        bootstrap, swaps = draws.bootstrap(one, other), draws.randomise(one, other)
        self.errors.append(bootstrap.standard_error)
        return result | {
            "gain_low": bootstrap.low,
            "gain_high": bootstrap.high,
            "p_bootstrap": float(bootstrap.p),
            "p_randomisation": float(swaps.p),
            "p_bootstrap_seeds": " ".join(f"{p:.4g}" for p in bootstrap.seed_p),
            "p_randomisation_seeds": " ".join(f"{p:.4g}" for p in swaps.seed_p),
        }


def correct(rows: Iterable[dict[str, Any]], prefixes: Sequence[str], level: float) -> None:
    """Adds to each row, by Holm over all rows and prefixes, ``{prefix}p_{test}_holm``; and ``{prefix}mark``.

    The mark is ‡ where p of the first test stays below the level when corrected, † where it is below it uncorrected.
    """
    cells = [(row, prefix) for row in rows for prefix in prefixes]
    for test in TESTS:
        adjusted = seeds.holm([row.get(f"{prefix}p_{test}") for row, prefix in cells])
        for (row, prefix), p in zip(cells, adjusted, strict=True):
            row[f"{prefix}p_{test}_holm"] = p
    for row, prefix in cells:
        p, corrected = (row.get(f"{prefix}p_{TESTS[0]}{suffix}") for suffix in ("", "_holm"))
        row[f"{prefix}mark"] = (
            "" if p is None or p >= level else "†" if corrected is None or corrected >= level else "‡"
        )
