"""Tests over training seeds, and the correction for making many of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ita.significance.counts import FloatArray

ROUNDING = 1e-9
"""Values that all lie within this (points of F1) do not vary."""


def welch(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Two-sided p of Welch's t-test: the means of two systems over their seeds, variances not taken as equal.

    Args:
        a: F1 of one system by seed.
        b: F1 of the other; its seeds may be others and of another number.

    Returns:
        p; None with fewer than two values on a side. Where neither varies: 1 for equal means, 0 for others.
    """
    one, other = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if len(one) < 2 or len(other) < 2:
        return None
    if _constant(one) and _constant(other):
        return _settled(one.mean() - other.mean())
    from scipy.stats import ttest_ind_from_stats

    # From moments: on values that do not vary on one side, ttest_ind warns.
    moments = [(x.mean(), 0.0 if _constant(x) else x.std(ddof=1), len(x)) for x in (one, other)]
    return float(ttest_ind_from_stats(*moments[0], *moments[1], equal_var=False).pvalue)


def paired_t(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Two-sided p of the paired t-test: seed by seed differences of two systems.

    Pairs mean something only where a seed is shared, as the order of posts and the start of the same layers are.

    Args:
        a: F1 of one system by seed.
        b: F1 of the other for the same seeds in the same order.

    Returns:
        p; None with fewer than two seeds. Where differences do not vary: 1 if they are 0, else 0.

    Raises:
        ValueError: when the two are not of one length.
    """
    if len(a) != len(b):
        raise ValueError(f"expected pairs of seeds, got {len(a)} values and {len(b)}")
    if len(a) < 2:
        return None
    differences = np.asarray(b, dtype=float) - np.asarray(a, dtype=float)
    if _constant(differences):
        return _settled(differences.mean())
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(differences, 0.0).pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm-Bonferroni adjusted p (Holm 1979), in the order given.

    The i-th smallest of m is multiplied by m - i + 1, then made no smaller than the one before it and at most 1:
    rejecting where the result is <= alpha keeps the chance of any false rejection at alpha, however tests depend on
    each other. None (or NaN) stays None and does not count.

    Raises:
        ValueError: for a value outside [0, 1].
    """
    given = [(p, place) for place, p in enumerate(p_values) if p is not None and not math.isnan(p)]
    if any(not 0 <= p <= 1 for p, _ in given):
        raise ValueError("p values lie in [0, 1]")
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(sorted(given)):
        largest = max(largest, min(1.0, (len(given) - rank) * p))
        adjusted[place] = largest
    return adjusted


def _constant(values: FloatArray) -> bool:
    return float(np.ptp(values)) <= ROUNDING


def _settled(difference: float) -> float:
    return 1.0 if abs(difference) <= ROUNDING else 0.0
