"""Paired bootstrap and approximate randomisation of a difference in F1, over posts.

Both resample posts, the sampling unit: spans of one post depend on each other. A score of resampled posts needs only
sums of their counts, so all resamples of all seeds are one matrix product: weights (samples, P) times counts
(P, columns). Sums of whole numbers below 2^24 are exact in float32, larger ones are computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ita.significance.counts import GOLD, PREDICTED, TRUE_POSITIVES, FloatArray, IntArray, micro_f1

CONFIDENCE = 0.95
"""Of intervals."""
CHUNK = 2**21
"""Weights in floating point at a time: 8 MB in float32."""
ROUNDING = 1e-9
"""Differences in F1 (points) closer than this are equal."""


@dataclass(frozen=True)
class RandomisationResult:
    """A difference in F1 (b - a, in points) and its two-sided p: of the mean over seeds, and of each seed."""

    difference: float
    p: float
    seed_differences: FloatArray
    """(S,)"""
    seed_p: FloatArray
    """(S,)"""


@dataclass(frozen=True)
class BootstrapResult(RandomisationResult):
    """The same with 95 % percentile intervals and the bootstrap's standard error, in points."""

    low: float
    high: float
    standard_error: float
    seed_low: FloatArray
    """(S,)"""
    seed_high: FloatArray
    """(S,)"""


class Resamples:
    """Resamples of P posts, drawn once and used for any number of comparisons on them.

    Every comparison uses the same resamples, so a comparison does not depend on which others were made. Posts without
    any span are drawn like the others: the number of drawn posts with spans is itself random.

    Memory: one byte per post and sample (33 MB for 3,257 posts and 10,000 samples), one bit for the randomisation.
    """

    def __init__(self, posts: int, samples: int = 10_000, seed: int = 0) -> None:
        """Resamples are drawn on first use.

        Raises:
            ValueError: without posts or samples.
        """
        if posts < 1 or samples < 1:
            raise ValueError(f"expected posts and samples to be at least 1, got {posts} and {samples}")
        self.posts, self.samples, self.seed = posts, samples, seed

    @cached_property
    def weights(self) -> NDArray[np.uint8]:
        """(samples, P): how often each post occurs in each resample of P posts drawn with replacement.

        A weight above 255 is impossible for 255 posts or fewer, and has a probability below 1e-500 for more.
        """
        random = np.random.default_rng([self.seed, 0])
        weights = np.empty((self.samples, self.posts), dtype=np.uint8)
        for chunk in self._chunks():
            rows = len(weights[chunk])
            drawn = random.integers(0, self.posts, size=(rows, self.posts))
            drawn += np.arange(rows)[:, None] * self.posts
            weights[chunk] = np.bincount(drawn.ravel(), minlength=rows * self.posts).reshape(rows, self.posts)
        return weights

    @cached_property
    def swaps(self) -> NDArray[np.uint8]:
        """(samples, ceil(P / 8)): a bit for each post, whether the two systems swap their outputs of it."""
        random = np.random.default_rng([self.seed, 1])
        return random.integers(0, 256, size=(self.samples, math.ceil(self.posts / 8)), dtype=np.uint8)

    def bootstrap(self, a: IntArray, b: IntArray) -> BootstrapResult:
        """Paired bootstrap of F1(b) - F1(a).

        Each sample draws P posts with replacement, the same ones for both systems and all seeds. The interval is the
        2.5 and 97.5 percentile of the differences d* (Koehn, EMNLP 2004). p is that of the shift method, two-sided: the
        distribution of d* is moved to a mean difference of 0, the null hypothesis, and p is the share of samples with
        |d* - d| >= |d| (Efron and Tibshirani 1993, chapter 16; Berg-Kirkpatrick et al., EMNLP 2012), counted as
        (c + 1) / (samples + 1). It covers the variance over posts, not over seeds.

        Args:
            a: counts of a system, (S, P, 3) of S seeds or (P, 3).
            b: counts of another system on the same posts, its seeds paired with those of ``a``.

        Raises:
            ValueError: when shapes or gold counts of the two differ, or there are not P posts.
        """
        a, b = self._checked(a, b)
        scores_a, scores_b = (self._scores(self._sums(self.weights, _f1_terms(counts))) for counts in (a, b))
        differences, observed = _with_mean(scores_b - scores_a), _with_mean(micro_f1(b) - micro_f1(a))
        p = self._p(differences - observed[:, None], observed)
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(differences, [tail, 1 - tail], axis=1)
        return BootstrapResult(
            difference=float(observed[0]),
            p=p[0],
            seed_differences=observed[1:],
            seed_p=p[1:],
            low=float(low[0]),
            high=float(high[0]),
            standard_error=float(differences[0].std(ddof=1)) if self.samples > 1 else 0.0,
            seed_low=low[1:],
            seed_high=high[1:],
        )

    def interval(self, counts: IntArray) -> tuple[float, float]:
        """95 % percentile interval of F1, of the mean over seeds, over the same resamples.

        Args:
            counts: of a system, (S, P, 3) of S seeds or (P, 3).

        Raises:
            ValueError: when there are not P posts.
        """
        counts, _ = self._checked(counts, counts)
        scores = self._scores(self._sums(self.weights, _f1_terms(counts))).mean(axis=0)
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(scores, [tail, 1 - tail])
        return float(low), float(high)

    def randomise(self, a: IntArray, b: IntArray) -> RandomisationResult:
        """Approximate randomisation of F1(b) - F1(a).

        In each sample the two systems swap their outputs of each post with probability 1/2, in all seeds together
        (outputs of one post over seeds depend on each other); p = (c + 1) / (samples + 1), where c counts the samples
        whose absolute difference is at least the observed one (Noreen 1989; Yeh, COLING 2000).
        Arguments and errors as for ``bootstrap``.
        """
        a, b = self._checked(a, b)
        terms_a, terms_b = _f1_terms(a), _f1_terms(b)
        swapped = self._sums(self.swaps, terms_b - terms_a, lambda bits: np.unpackbits(bits, axis=1, count=self.posts))
        differences = self._scores(terms_b.sum(axis=0) - swapped) - self._scores(terms_a.sum(axis=0) + swapped)
        observed = _with_mean(micro_f1(b) - micro_f1(a))
        p = self._p(_with_mean(differences), observed)
        return RandomisationResult(float(observed[0]), p[0], observed[1:], p[1:])

    def _checked(self, a: IntArray, b: IntArray) -> tuple[IntArray, IntArray]:
        """Both as (S, P, 3)."""
        counts_a, counts_b = (
            np.asarray(counts)[None] if np.ndim(counts) == 2 else np.asarray(counts) for counts in (a, b)
        )
        shape = counts_a.shape
        if counts_b.shape != shape or len(shape) != 3 or shape[0] == 0 or shape[1:] != (self.posts, 3):
            expected = f"(S, {self.posts}, 3) or ({self.posts}, 3)"
            raise ValueError(f"expected counts of shape {expected} of both systems, got {np.shape(a)}, {np.shape(b)}")
        if not np.array_equal(counts_a[..., GOLD], counts_b[..., GOLD]):
            raise ValueError("the two systems were counted against different gold spans")
        return counts_a, counts_b

    def _chunks(self) -> list[slice]:
        rows = max(1, CHUNK // self.posts)
        return [slice(start, start + rows) for start in range(0, self.samples, rows)]

    def _sums(
        self,
        weights: NDArray[np.uint8],
        columns: IntArray,
        unpack: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = lambda rows: rows,
    ) -> FloatArray:
        """Weights (samples, P) @ columns (P, C) -> (samples, C), exactly."""
        small = int(np.abs(columns).max()) * self.posts < 2**24
        dtype: Any = np.float32 if small else np.float64
        factor = np.ascontiguousarray(columns, dtype=dtype)
        sums = np.empty((self.samples, factor.shape[1]))
        for chunk in self._chunks():
            sums[chunk] = unpack(weights[chunk]).astype(dtype) @ factor
        return sums

    def _scores(self, sums: FloatArray) -> FloatArray:
        """F1 in percent (S, samples) of sums (samples, 2 S)."""
        true_positives, sizes = sums.T.reshape(2, -1, len(sums))
        return np.divide(200.0 * true_positives, sizes, out=np.zeros_like(true_positives), where=sizes > 0)

    def _p(self, differences: FloatArray, observed: FloatArray) -> FloatArray:
        """Two-sided p, (S + 1,), of differences (S + 1, samples) under the null hypothesis."""
        extreme = np.abs(differences) >= np.abs(observed)[:, None] - ROUNDING
        return (extreme.sum(axis=1) + 1.0) / (self.samples + 1.0)


def _f1_terms(counts: IntArray) -> IntArray:
    """Numerator and denominator of F1 from counts (S, P, 3): true positives and predicted + gold spans, (P, 2 S)."""
    return np.concatenate([counts[..., TRUE_POSITIVES], counts[..., PREDICTED] + counts[..., GOLD]]).T


def _with_mean(values: FloatArray) -> FloatArray:
    """Values of S seeds (S, ...) with their mean before them (S + 1, ...)."""
    return np.concatenate([values.mean(axis=0, keepdims=True), values])
