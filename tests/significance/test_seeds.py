"""Tests over seeds against scipy and brute force."""

import math
import warnings
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ita.significance.seeds import holm, paired_t, welch

F1 = st.lists(st.integers(6000, 9000).map(lambda n: n / 100), min_size=2, max_size=6)


@given(F1, F1)
@settings(max_examples=100, deadline=None)
def test_welch_is_scipys(a, b):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p = welch(a, b)
    if len(set(a)) == len(set(b)) == 1:
        assert p == float(a[0] == b[0])
    elif len(set(a)) > 1 and len(set(b)) > 1:
        assert p == pytest.approx(float(stats.ttest_ind(a, b, equal_var=False).pvalue))
    else:
        # One side is constant: a one-sample t-test against its value, with the degrees of freedom of the other side.
        varying, constant = (a, b) if len(set(a)) > 1 else (b, a)
        assert p == pytest.approx(float(stats.ttest_1samp(varying, constant[0]).pvalue))


@given(st.lists(st.tuples(st.integers(600, 900), st.integers(600, 900)), min_size=2, max_size=6))
@settings(max_examples=100, deadline=None)
def test_paired_t_is_scipys(pairs):
    a, b = ([first / 10 for first, _ in pairs], [second / 10 for _, second in pairs])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p = paired_t(a, b)
    differences = {second - first for first, second in pairs}
    if len(differences) == 1:
        assert p == float(differences == {0})
    else:
        assert p == pytest.approx(float(stats.ttest_rel(a, b).pvalue))


def test_welch_by_hand_with_one_side_constant():
    # t = 1 / sqrt(1 / 3) with 2 degrees of freedom.
    assert welch([80.0, 81.0, 82.0], [82.0] * 3) == pytest.approx(2 * stats.t.sf(3**0.5, 2))


def test_too_few_seeds():
    assert welch([80.0], [81.0, 82.0]) is None
    assert welch([80.0, 81.0], []) is None
    assert paired_t([80.0], [81.0]) is None
    with pytest.raises(ValueError, match="pairs of seeds, got 2 values and 3"):
        paired_t([1.0, 2.0], [1.0, 2.0, 3.0])


def closed(p):
    """Adjusted p of the closed test whose intersections are tested by Bonferroni, by definition of both."""
    indices = range(len(p))
    subsets = [s for size in range(1, len(p) + 1) for s in combinations(indices, size)]
    return [max(min(1.0, len(s) * min(p[j] for j in s)) for s in subsets if i in s) for i in indices]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
@settings(max_examples=100, deadline=None)
def test_holm_is_the_closed_bonferroni_test(p):
    assert holm(p) == pytest.approx(closed(p))


def test_holm_leaves_out_what_was_not_tested():
    assert holm([0.04, None, 0.01, math.nan, 0.03]) == [pytest.approx(0.06), None, pytest.approx(0.03), None, 0.06]
    assert holm([]) == [] and holm([None]) == [None]
    with pytest.raises(ValueError, match="lie in"):
        holm([0.5, 1.5])


def test_holm_keeps_the_chance_of_any_false_rejection():
    p = np.random.default_rng(0).random((2000, 18))
    rejected = sum(min(holm(list(row))) <= 0.05 for row in p)
    assert rejected / 2000 == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / 2000) ** 0.5)
