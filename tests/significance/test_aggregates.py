"""Aggregates over seeds and data sets, by hand and by trying all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ita.significance.aggregates import (
    gains,
    interquartile_mean,
    interval,
    performance_profile,
    probability_of_improvement,
    resampled,
)

SEEDS = st.lists(st.integers(0, 8), min_size=1, max_size=6)


def test_interquartile_mean_by_hand():
    assert interquartile_mean([9, 1, 2, 3, 100]) == pytest.approx(14 / 3), "one of five at each end"
    assert interquartile_mean([1, 2, 3]) == 2, "nothing of three"
    assert interquartile_mean([[0, 0, 4, 8, 8, 8, 8, 99], [1] * 8]).tolist() == [7.0, 1.0]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_interquartile_mean_is_scipys_trimmed_mean(values):
    from scipy.stats import trim_mean

    assert interquartile_mean(values) == pytest.approx(trim_mean(values, 0.25))


@given(st.lists(st.tuples(SEEDS, SEEDS), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_probability_of_improvement_by_all_pairs(sets):
    shares = []
    for baseline, system in sets:
        wins = [1.0 if b > a else 0.5 if b == a else 0.0 for a in baseline for b in system]
        shares.append(sum(wins) / len(wins))
    first, second = zip(*[(np.array(a), np.array(b)) for a, b in sets], strict=True)
    assert probability_of_improvement(first, second) == pytest.approx(sum(shares) / len(shares))
    assert probability_of_improvement(second, first) == pytest.approx(1 - sum(shares) / len(shares))
    assert probability_of_improvement(first, first) == pytest.approx(0.5)


def test_probability_of_improvement_agrees_with_mann_whitney():
    from scipy.stats import mannwhitneyu

    draw = np.random.default_rng(0)
    a, b = draw.normal(80, 1, 7), draw.normal(80.5, 1, 5)
    assert probability_of_improvement([a], [b]) == pytest.approx(mannwhitneyu(b, a).statistic / 35)


def test_gains_and_profiles_by_hand():
    baseline, system = [np.array([1.0, 3.0]), np.array([10.0])], [np.array([4.0, 2.0]), np.array([11.0, 9.0, 12.0])]
    assert gains(baseline, system).tolist() == [2.0, 0.0, 1.0, -1.0, 2.0]
    assert performance_profile(gains(baseline, system), [-2, -1, 0, 1.5, 2]).tolist() == [1.0, 0.8, 0.6, 0.4, 0.0]


def test_resamples_stay_in_their_data_set_and_agree_with_the_scores():
    scores = [np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0])]
    drawn = resampled(scores, 4000, [1, 2])
    assert [of_set.shape for of_set in drawn] == [(4000, 3), (4000, 2)]
    assert set(drawn[0].ravel()) == {1.0, 2.0, 3.0} and set(drawn[1].ravel()) == {10.0, 20.0}
    assert np.concatenate(drawn, axis=1).mean() == pytest.approx(36 / 5, abs=0.15)
    np.testing.assert_array_equal(drawn[0], resampled(scores, 4000, [1, 2])[0])
    assert not np.array_equal(drawn[0], resampled(scores, 4000, [1, 3])[0])
    # A statistic of all resamples at once is that of each alone.
    at_once = probability_of_improvement(drawn, drawn[::-1])
    assert at_once[7] == probability_of_improvement(
        [of_set[7] for of_set in drawn], [of_set[7] for of_set in drawn[::-1]]
    )
    low, high = interval(np.arange(1001.0))
    assert (low, high) == pytest.approx((25, 975))
