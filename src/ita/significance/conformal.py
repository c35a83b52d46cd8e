"""A threshold of the posteriors below which predicted entities are left out, with a guarantee: split conformal.

The unit is the post, since entities of one post depend on each other. Of each calibration post the score is the highest
posterior of its wrong predicted entities, 0 without any; the threshold for a risk r is the k-th smallest of the n
scores, k = ceil((n + 1) (1 - r)) (Vovk et al. 2005; Angelopoulos and Bates 2023, section 1). For a new post that is
exchangeable with the calibration posts, the probability that a wrong entity lies above it is at most r, whatever the
model is. It is an average over calibration sets and posts, not a promise for each kind of post.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ita.data.tags import Span

ROUNDING = 1e-9
"""Of (n + 1) (1 - r), which is no whole number in floating point where it should be one."""


def highest_wrong(gold: Iterable[Span], predicted: Iterable[Span], posteriors: Iterable[float]) -> float:
    """The highest posterior of the predicted spans of a post that are no gold spans; 0 without any."""
    right = set(gold)
    pairs = zip(predicted, posteriors, strict=True)
    return max((posterior for span, posterior in pairs if span not in right), default=0.0)


def threshold(scores: Sequence[float], risk: float) -> float:
    """Entities with a higher posterior than this are kept.

    Args:
        scores: ``highest_wrong`` of every calibration post.
        risk: highest share of posts with a wrong entity among those kept, between 0 and 1.

    Raises:
        ValueError: for a risk outside (0, 1), or one that takes more calibration posts.
    """
    if not 0 < risk < 1:
        raise ValueError(f"expected a risk between 0 and 1, got {risk}")
    rank = math.ceil((len(scores) + 1) * (1 - risk) - ROUNDING)
    if rank > len(scores):
        needed = math.ceil(1 / risk - ROUNDING) - 1
        raise ValueError(f"a risk of {risk} takes {needed} calibration posts, got {len(scores)}")
    return sorted(scores)[rank - 1]
