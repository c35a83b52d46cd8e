"""Minimum detectable differences by simulation: at that difference, the test has the power it is computed for."""

import numpy as np
import pytest
from scipy import stats

from ita.significance.power import detectable_on_test, detectable_over_seeds
from ita.significance.resampling import Resamples
from tests.support.simulated import gold_spans, tagger, true_difference


@pytest.mark.parametrize(("n", "known"), [(5, 2.0244), (10, 1.3249), (100, 0.3981)])
def test_over_seeds_as_in_published_tables(n, known):
    assert detectable_over_seeds(1.0, n) == pytest.approx(known, abs=1e-4)
    assert detectable_over_seeds(0.4, n) == pytest.approx(0.4 * known, abs=1e-4)


@pytest.mark.parametrize(("n", "alpha", "power"), [(3, 0.05, 0.8), (5, 0.01, 0.9), (20, 0.05, 0.5)])
def test_over_seeds_is_the_noncentral_t(n, alpha, power):
    shift = detectable_over_seeds(1.0, n, alpha, power) * (n / 2) ** 0.5
    critical = stats.t.ppf(1 - alpha / 2, 2 * n - 2)
    assert stats.nct.sf(critical, 2 * n - 2, shift) == pytest.approx(power, abs=1e-4)


def test_over_seeds_by_simulation():
    random = np.random.default_rng(0)
    shift = detectable_over_seeds(0.3, 5)
    a, b = random.normal(80, 0.3, (20_000, 5)), random.normal(80 + shift, 0.3, (20_000, 5))
    assert np.mean(stats.ttest_ind(a, b, axis=1).pvalue <= 0.05) == pytest.approx(0.8, abs=0.01)
    assert np.mean(stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue <= 0.05) == pytest.approx(0.777, abs=0.01)


def test_extremes_over_seeds():
    assert detectable_over_seeds(1.0, 1) is None
    assert detectable_over_seeds(0.0, 5) == 0.0
    assert detectable_over_seeds(1.0, 2, 0.001, 0.99) > detectable_over_seeds(1.0, 2) > detectable_over_seeds(1.0, 3)
    with pytest.raises(ValueError, match="deviation"):
        detectable_over_seeds(-1.0, 5)
    with pytest.raises(ValueError, match="alpha < power"):
        detectable_over_seeds(1.0, 5, power=1.0)


def test_on_a_test_set_by_simulation():
    random = np.random.default_rng(1)
    truth = true_difference(random, 0.7, 0.75)
    # As many posts as make the true difference the detectable one.
    gold = gold_spans(random, 5000)
    pilot = Resamples(5000, 1000).bootstrap(tagger(random, gold, 0.7), tagger(random, gold, 0.75))
    posts = round(5000 * (detectable_on_test(pilot.standard_error) / truth) ** 2)
    detected = 0
    for number in range(300):
        gold = gold_spans(random, posts)
        detected += (
            Resamples(posts, 300, number).randomise(tagger(random, gold, 0.7), tagger(random, gold, 0.75)).p < 0.05
        )
    assert detected / 300 == pytest.approx(0.8, abs=3.3 * 0.4 / 300**0.5)


def test_on_a_test_set_by_hand():
    assert detectable_on_test(0.5) == pytest.approx(0.5 * (1.959964 + 0.841621), abs=1e-5)
    with pytest.raises(ValueError, match="deviation"):
        detectable_on_test(-0.5)
