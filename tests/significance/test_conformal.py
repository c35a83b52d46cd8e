"""The threshold of a risk: by the definition, and its promise on simulated posts."""

import random
import statistics

import pytest

from ita.data.tags import Span
from ita.significance.conformal import highest_wrong, threshold


def test_highest_wrong_by_hand():
    gold = [Span(0, 1, "PER"), Span(3, 4, "LOC")]
    predicted = [Span(0, 1, "PER"), Span(2, 4, "LOC"), Span(5, 6, "PER")]
    assert highest_wrong(gold, predicted, [0.99, 0.4, 0.7]) == 0.7
    assert highest_wrong(gold, predicted[:1], [0.99]) == highest_wrong(gold, [], []) == 0.0


def test_the_threshold_is_the_kth_smallest():
    scores = [n / 100 for n in range(1, 100)]  # 99 posts: (99 + 1) (1 - 0.1) = 90
    random.Random(0).shuffle(scores)
    assert threshold(scores, 0.1) == 0.9
    assert threshold(scores, 0.105) == 0.9, "rounded up"
    assert threshold(scores, 0.01) == 0.99
    assert threshold([0.0] * 99, 0.1) == 0.0, "a model without errors keeps everything"


@pytest.mark.parametrize(("risk", "message"), [(0.009, "takes 111 calibration posts, got 99"), (0, "0"), (1, "1")])
def test_a_risk_that_cannot_be_had(risk, message):
    with pytest.raises(ValueError, match=message):
        threshold([0.5] * 99, risk)


@pytest.mark.parametrize("risk", [0.05, 0.2])
def test_the_promise_is_kept_by_a_model_without_calibration(risk):
    """Over many calibration sets, the share of new posts with a wrong entity above the threshold is just below r."""
    draw = random.Random(3)

    def score():  # of a bad model: overconfident, and half of the posts have errors
        return draw.random() ** 0.1 if draw.random() < 0.5 else 0.0

    n, new = 59, 40
    shares = []
    for _ in range(600):
        limit = threshold([score() for _ in range(n)], risk)
        shares.append(statistics.mean(score() > limit for _ in range(new)))
    error = statistics.stdev(shares) / len(shares) ** 0.5
    assert risk - 1 / (n + 1) - 3 * error <= statistics.mean(shares) <= risk + 3 * error
