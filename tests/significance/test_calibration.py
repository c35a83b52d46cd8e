"""Calibration of confidences whose truth is known."""

import math

import numpy as np
import pytest

from ita.significance.calibration import expected_calibration_error, reliability


def loop(confidences, correct, bins):
    """The definition, bin by bin."""
    total = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        members = [(c, r) for c, r in zip(confidences, correct, strict=True) if low < c <= high or (c == 0 == number)]
        if members:
            gap = sum(c for c, _ in members) / len(members) - sum(r for _, r in members) / len(members)
            total += abs(gap) * len(members)
    return 100 * total / len(confidences)


@pytest.mark.parametrize("bins", [1, 7, 10, 15])
def test_equals_the_definition(bins):
    random = np.random.default_rng(bins)
    confidences = np.concatenate([random.random(300), np.arange(11) / 10])
    correct = random.random(311) < 0.6
    assert expected_calibration_error(confidences, correct, bins) == pytest.approx(loop(confidences, correct, bins))


def test_calibrated_confidences_have_no_error():
    random = np.random.default_rng(0)
    confidences = random.random(200_000)
    calibrated, overconfident = (random.random(200_000) < confidences**power for power in (1, 2))
    assert expected_calibration_error(confidences, calibrated) < 0.6
    # Mean of c - c^2 over [0, 1] is 1/6.
    assert expected_calibration_error(confidences, overconfident) == pytest.approx(100 / 6, abs=0.6)


def test_reliability_by_hand():
    rows = reliability([0.0, 0.1, 0.95, 1.0, 1.000001], [False, True, True, True, False])
    assert [row.count for row in rows] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 3]
    assert (rows[0].low, rows[0].high, rows[9].high) == (0.0, 0.1, 1.0)
    assert (rows[0].confidence, rows[0].accuracy) == (pytest.approx(0.05), 0.5)
    assert (rows[9].confidence, rows[9].accuracy) == (pytest.approx(2.95 / 3), pytest.approx(2 / 3))
    assert math.isnan(rows[5].confidence) and math.isnan(rows[5].accuracy)
    error = expected_calibration_error([0.0, 0.1, 0.95, 1.0, 1.0], [False, True, True, True, False])
    assert error == pytest.approx(100 * (2 * 0.45 + 3 * (0.95 / 3)) / 5)


def test_nothing_and_nonsense():
    assert math.isnan(expected_calibration_error([], []))
    with pytest.raises(ValueError, match="lie in"):
        reliability([1.5], [True])
    with pytest.raises(ValueError, match="lie in"):
        reliability([math.nan], [True])
    with pytest.raises(ValueError, match="one length"):
        reliability([0.5], [True, False])
    with pytest.raises(ValueError, match="at least one bin"):
        reliability([0.5], [True], 0)
