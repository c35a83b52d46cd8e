"""Scores of runs over seeds and data sets as one: interquartile mean, probability of improvement, performance profile.

What Agarwal et al. (NeurIPS 2021) recommend for few runs of many tasks; a data set is a task here. Intervals come from
a stratified bootstrap: seeds are drawn with replacement within each data set, so they say what other seeds would give,
and nothing about other data sets. Of five seeds they are rather narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ita.significance.counts import FloatArray

CONFIDENCE = 0.95
"""Of intervals."""
TRIMMED = 0.25
"""Share of the runs that is left out at each end."""

Scores = Sequence[FloatArray]
"""Of each data set the scores of its seeds, (..., S)."""


def interquartile_mean(scores: Any) -> Any:
    """Mean of the middle half of the runs along the last axis: less bound to single runs than the mean.

    int(n / 4) runs are left out at each end. (..., N) -> (...).
    """
    ordered = np.sort(np.asarray(scores, dtype=float), axis=-1)
    runs = ordered.shape[-1]
    cut = int(TRIMMED * runs)
    return ordered[..., cut : runs - cut].mean(axis=-1)


def probability_of_improvement(baseline: Scores, system: Scores) -> Any:
    """Probability that a run of the system scores higher than one of the baseline, mean over data sets, ties half.

    Args:
        baseline: scores by data set, (..., S) each.
        system: likewise; the numbers of seeds may differ.

    Returns:
        (...), 0 to 1.
    """
    shares = []
    for of_baseline, of_system in zip(baseline, system, strict=True):
        differences = np.asarray(of_system)[..., :, None] - np.asarray(of_baseline)[..., None, :]
        shares.append(((differences > 0) + 0.5 * (differences == 0)).mean(axis=(-2, -1)))
    return np.mean(shares, axis=0)


def gains(baseline: Scores, system: Scores) -> Any:
    """Score of every run minus the baseline's mean on the same data set: (..., N) of all N runs of the system."""
    pairs = zip(baseline, system, strict=True)
    return np.concatenate(
        [
            np.asarray(of_system) - np.asarray(of_baseline).mean(axis=-1, keepdims=True)
            for of_baseline, of_system in pairs
        ],
        axis=-1,
    )


def performance_profile(scores: Any, thresholds: Sequence[float]) -> Any:
    """Share of the runs that score above each threshold: (..., N) -> (..., T)."""
    return (np.asarray(scores)[..., None, :] > np.asarray(thresholds)[:, None]).mean(axis=-1)


def resampled(scores: Scores, samples: int, seed: Sequence[int]) -> list[FloatArray]:
    """Seeds drawn with replacement within each data set: (samples, S) of each.

    Args:
        scores: (S,) of each data set.
        samples: how many.
        seed: of the draws; another for each system.
    """
    random = np.random.default_rng(list(seed))
    return [
        np.asarray(of_set, dtype=float)[random.integers(0, len(of_set), size=(samples, len(of_set)))]
        for of_set in scores
    ]


def interval(values: Any) -> tuple[Any, Any]:
    """Percentile interval over the first axis: (samples, ...) -> twice (...)."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return low, high
