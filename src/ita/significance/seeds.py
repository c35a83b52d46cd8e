"""Significance tests over training seeds, and Holm's correction for multiple comparisons."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ita.significance.counts import FloatArray

ROUNDING = 1e-9
"""Values that all lie within this (points of F1) do not vary."""


def welch(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Two-sided p of Welch's t-test: the means of two systems over their seeds, with unequal variances.

    Args:
        a: F1 of one system by seed.
        b: F1 of the other; seeds and their number may differ.

    Returns:
        p; None with fewer than two values on a side. Where neither side varies: 1 for equal means, else 0.
    """
    scores_a, scores_b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if len(scores_a) < 2 or len(scores_b) < 2:
        return None
    if _is_constant(scores_a) and _is_constant(scores_b):
        return _p_without_variance(scores_a.mean() - scores_b.mean())
    from scipy.stats import ttest_ind_from_stats

    # From moments: on values that do not vary on one side, ttest_ind warns.
    moments = [
        (scores.mean(), 0.0 if _is_constant(scores) else scores.std(ddof=1), len(scores))
        for scores in (scores_a, scores_b)
    ]
    return float(ttest_ind_from_stats(*moments[0], *moments[1], equal_var=False).pvalue)


def paired_t(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Two-sided p of the paired t-test: seed by seed differences of two systems.

    Runs of one seed share the order of posts and the initial weights of common layers, so their scores are pairs.

    Args:
        a: F1 of one system by seed.
        b: F1 of the other for the same seeds in the same order.

    Returns:
        p; None with fewer than two seeds. Where differences do not vary: 1 if they are 0, else 0.

    Raises:
        ValueError: when the two differ in length.
    """
    if len(a) != len(b):
        raise ValueError(f"expected pairs of seeds, got {len(a)} values and {len(b)}")
    if len(a) < 2:
        return None
    differences = np.asarray(b, dtype=float) - np.asarray(a, dtype=float)
    if _is_constant(differences):
        return _p_without_variance(differences.mean())
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(differences, 0.0).pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm-Bonferroni adjusted p (Holm 1979), in the order of the arguments.

    The i-th smallest of m is multiplied by m - i + 1, then made no smaller than the one before it and at most 1.
    Rejecting where the result is <= alpha keeps the family-wise error rate at alpha under any dependence of the tests.
    None (or NaN) stays None and does not count.

    Raises:
        ValueError: for a value outside [0, 1].
    """
    tested = [(p, index) for index, p in enumerate(p_values) if p is not None and not math.isnan(p)]
    if any(not 0 <= p <= 1 for p, _ in tested):
        raise ValueError("p values lie in [0, 1]")
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(sorted(tested)):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        adjusted[index] = largest
    return adjusted


def _is_constant(values: FloatArray) -> bool:
    return float(np.ptp(values)) <= ROUNDING


def _p_without_variance(difference: float) -> float:
    return 1.0 if abs(difference) <= ROUNDING else 0.0
