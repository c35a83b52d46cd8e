"""Calibration of span posteriors: whether predicted spans with posterior 0.8 are correct in 80 of 100 cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ROUNDING = 1e-5
"""Posteriors computed in single precision may exceed 1 by this."""


@dataclass(frozen=True)
class Bin:
    """Spans whose confidence lies in (low, high], the first bin with 0; shares 0 to 1, NaN where it is empty."""

    low: float
    high: float
    count: int
    confidence: float
    """Mean confidence."""
    accuracy: float
    """Share of correct spans."""


def reliability(confidences: Sequence[float], correct: Sequence[bool], bins: int = 10) -> list[Bin]:
    """Confidence and accuracy in bins of equal width, empty ones included.

    Args:
        confidences: posterior of each predicted span, 0 to 1.
        correct: whether that span is a gold span.
        bins: number of bins over [0, 1].

    Raises:
        ValueError: for lists of different lengths, a confidence outside [0, 1], or no bins.
    """
    posteriors, hits = np.asarray(confidences, dtype=float), np.asarray(correct, dtype=float)
    if posteriors.shape != hits.shape or posteriors.ndim != 1:
        raise ValueError(f"expected two lists of one length, got shapes {posteriors.shape} and {hits.shape}")
    if bins < 1:
        raise ValueError(f"expected at least one bin, got {bins}")
    if not np.all((posteriors >= -ROUNDING) & (posteriors <= 1 + ROUNDING)):
        raise ValueError("confidences lie in [0, 1]")
    posteriors = posteriors.clip(0.0, 1.0)
    edges = np.arange(bins + 1) / bins
    indices = np.searchsorted(edges, posteriors, side="left").clip(1) - 1
    sizes, confidence_sums, hit_sums = (
        np.bincount(indices, weights, bins).tolist() for weights in (None, posteriors, hits)
    )
    return [
        Bin(
            low=float(edges[index]),
            high=float(edges[index + 1]),
            count=int(size),
            confidence=confidence_sums[index] / size if size else math.nan,
            accuracy=hit_sums[index] / size if size else math.nan,
        )
        for index, size in enumerate(sizes)
    ]


def expected_calibration_error(confidences: Sequence[float], correct: Sequence[bool], bins: int = 10) -> float:
    """Mean distance in percent between confidence and accuracy of the bins, weighted by size (Guo et al., ICML 2017).

    NaN without any span. Arguments and errors as for ``reliability``.
    """
    filled = [row for row in reliability(confidences, correct, bins) if row.count]
    total = sum(row.count for row in filled)
    if not total:
        return math.nan
    return 100.0 * sum(row.count * abs(row.accuracy - row.confidence) for row in filled) / total
