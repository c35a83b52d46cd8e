"""Differences in F1 between systems and their significance, over seeds and over posts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ita.errors import UserError
from ita.reporting.runs import Run
from ita.significance import resampling, seeds
from ita.significance.counts import IntArray, count_spans

TESTS = ("welch", "paired_t", "bootstrap", "randomisation")
"""The first decides the marks: the paper's is a t-test over seeds too."""
TEST_COLUMNS = (
    *("gain", "gain_low", "gain_high"),
    *(f"p_{test}{suffix}" for test in TESTS for suffix in ("", "_holm")),
)
"""Columns of a comparison in a CSV, beside its mark and p of each seed."""


class ViewResults:
    """Runs of one system with one encoder, read in one view of one split. Predictions are read on demand."""

    def __init__(self, runs: Sequence[Run], split: str, view: str) -> None:
        self.runs, self.split, self.view = runs, split, view
        self._counts: dict[str | None, IntArray] = {}

    def f1(self, mode: str = "default") -> list[float]:
        """F1 of each seed."""
        return [run.scores(self.split, self.view, mode)["f1"] for run in self.runs]

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return [run.seed for run in self.runs]

    @property
    def posts(self) -> list[str]:
        """Names of the posts, the same in all seeds."""
        return self.runs[0].predictions(self.split, self.view).posts

    def counts(self, entity_type: str | None = None) -> IntArray:
        """(S, P, 3): true positives, predicted and gold spans of each seed and post, of one type or of all (None)."""
        if entity_type not in self._counts:
            posts = self.posts
            per_seed = []
            for run in self.runs:
                predictions = run.predictions(self.split, self.view)
                if predictions.posts != posts:
                    raise UserError(
                        f"{run.metrics_file}: evaluated on different posts than its other seeds; evaluate it again"
                    )
                per_seed.append(count_spans(predictions.gold, predictions.predicted, entity_type))
            self._counts[entity_type] = np.stack(per_seed)
        return self._counts[entity_type]


class Comparisons:
    """Compares systems on the same resamples of posts."""

    def __init__(self, samples: int, seed: int) -> None:
        """Resamples are drawn when the number of posts is known."""
        self.samples, self.seed = samples, seed
        self._resamples: dict[int, resampling.Resamples] = {}
        self.standard_errors: list[float] = []
        """Of all differences so far, over posts."""

    def compare(
        self,
        baseline: ViewResults,
        results: ViewResults,
        scores: tuple[Sequence[float], Sequence[float]] | None = None,
        entity_type: str | None = None,
    ) -> dict[str, Any]:
        """The difference of a system to a baseline.

        Args:
            baseline: results of the baseline.
            results: results of the system.
            scores: per-seed scores of baseline and system; by default F1 over all types.
            entity_type: type whose spans are counted; None counts all.

        Returns:
            ``gain`` (difference of means, points), ``gain_low``, ``gain_high`` (95 % over posts), ``p_{test}`` for
            each of TESTS (None or absent where it cannot be computed), and p of each seed as text.
        """
        baseline_scores, system_scores = scores or (baseline.f1(), results.f1())
        shared = [seed for seed in baseline.seeds if seed in results.seeds]
        baseline_at = [baseline.seeds.index(seed) for seed in shared]
        system_at = [results.seeds.index(seed) for seed in shared]
        over_seeds = {
            "gain": float(np.mean(system_scores) - np.mean(baseline_scores)),
            "p_welch": seeds.welch(baseline_scores, system_scores),
            "p_paired_t": seeds.paired_t(
                [baseline_scores[index] for index in baseline_at], [system_scores[index] for index in system_at]
            ),
        }
        if not shared:
            return over_seeds
        if baseline.posts != results.posts:
            raise UserError(
                f"{results.runs[0].metrics_file}: evaluated on different posts than {baseline.runs[0].metrics_file}; "
                "evaluate both again"
            )
        counts = baseline.counts(entity_type)[baseline_at], results.counts(entity_type)[system_at]
        return over_seeds | self._over_posts(*counts)

    def _over_posts(self, baseline: IntArray, system: IntArray) -> dict[str, Any]:
        """Bootstrap and randomisation of counts (S, P, 3)."""
        posts = baseline.shape[1]
        resamples = self._resamples.setdefault(posts, resampling.Resamples(posts, self.samples, self.seed))
        bootstrap, randomisation = resamples.bootstrap(baseline, system), resamples.randomise(baseline, system)
        self.standard_errors.append(bootstrap.standard_error)
        return {
            "gain_low": bootstrap.low,
            "gain_high": bootstrap.high,
            "p_bootstrap": float(bootstrap.p),
            "p_randomisation": float(randomisation.p),
            "p_bootstrap_seeds": " ".join(f"{p:.4g}" for p in bootstrap.seed_p),
            "p_randomisation_seeds": " ".join(f"{p:.4g}" for p in randomisation.seed_p),
        }


def add_corrected_p(rows: Iterable[dict[str, Any]], prefixes: Sequence[str], alpha: float) -> None:
    """Adds to each row ``{prefix}p_{test}_holm``, by Holm over all rows and prefixes, and ``{prefix}mark``.

    The mark is ‡ where the corrected p of the first test is below ``alpha``, † where only the uncorrected one is.
    """
    cells = [(row, prefix) for row in rows for prefix in prefixes]
    for test in TESTS:
        corrected = seeds.holm([row.get(f"{prefix}p_{test}") for row, prefix in cells])
        for (row, prefix), p in zip(cells, corrected, strict=True):
            row[f"{prefix}p_{test}_holm"] = p
    for row, prefix in cells:
        row[f"{prefix}mark"] = significance_mark(
            row.get(f"{prefix}p_{TESTS[0]}"), row[f"{prefix}p_{TESTS[0]}_holm"], alpha
        )


def significance_mark(p: float | None, corrected: float | None, alpha: float) -> str:
    """‡ for a corrected p below ``alpha``, † for an uncorrected one only, else nothing."""
    if p is None or p >= alpha:
        return ""
    return "†" if corrected is None or corrected >= alpha else "‡"
