"""Whether spans found with posterior 0.8 are right in 80 of 100 cases."""

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
    """Share that is right."""


def reliability(confidences: Sequence[float], right: Sequence[bool], bins: int = 10) -> list[Bin]:
    """Confidence and accuracy in bins of equal width, empty ones included.

    Args:
        confidences: posterior of each predicted span, 0 to 1.
        right: whether that span is a gold span.
        bins: number of bins over [0, 1].

    Raises:
        ValueError: for lists of different lengths, a confidence outside [0, 1], or no bins.
    """
    sure, hits = np.asarray(confidences, dtype=float), np.asarray(right, dtype=float)
    if sure.shape != hits.shape or sure.ndim != 1:
        raise ValueError(f"expected two lists of one length, got shapes {sure.shape} and {hits.shape}")
    if bins < 1:
        raise ValueError(f"expected at least one bin, got {bins}")
    if not np.all((sure >= -ROUNDING) & (sure <= 1 + ROUNDING)):
        raise ValueError("confidences lie in [0, 1]")
    sure = sure.clip(0.0, 1.0)
    edges = np.arange(bins + 1) / bins
    place = np.searchsorted(edges, sure, side="left").clip(1) - 1
    sizes, sums, rights = (np.bincount(place, weights, bins) for weights in (None, sure, hits))
    return [
        Bin(float(low), float(high), int(n), total / n if n else math.nan, good / n if n else math.nan)
        for low, high, n, total, good in zip(
            edges, edges[1:], sizes.tolist(), sums.tolist(), rights.tolist(), strict=False
        )
    ]


def expected_calibration_error(confidences: Sequence[float], right: Sequence[bool], bins: int = 10) -> float:
    """Mean distance in percent between confidence and accuracy of the bins, weighted by size (Guo et al., ICML 2017).

    NaN without any span. Arguments and errors as for ``reliability``.
    """
    rows = [row for row in reliability(confidences, right, bins) if row.count]
    total = sum(row.count for row in rows)
    return 100.0 * sum(row.count * abs(row.accuracy - row.confidence) for row in rows) / total if total else math.nan
