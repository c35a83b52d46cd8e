"""Resampling against explicit loops, exact enumeration, and simulated taggers whose difference is known."""

from itertools import product

import numpy as np
import pytest

from ita.significance import resampling
from ita.significance.counts import f1
from ita.significance.resampling import Resamples, approximate_randomisation, paired_bootstrap
from tests.support.simulated import gold_spans, tagger, true_difference


def two(posts=12, seeds=2, seed=0):
    random = np.random.default_rng(seed)
    gold = gold_spans(random, posts)
    return tagger(random, gold, 0.5, seeds), tagger(random, gold, 0.8, seeds)


def test_bootstrap_equals_a_loop_over_its_resamples(monkeypatch):
    a, b = two()
    resamples = Resamples(12, samples=50, seed=3)
    assert (resamples.weights.sum(axis=1) == 12).all()
    loop = []
    for weights in resamples.weights:
        posts = np.repeat(np.arange(12), weights)
        loop.append(f1(b[:, posts]) - f1(a[:, posts]))
    found, observed = resamples.bootstrap(a, b), f1(b) - f1(a)
    means = np.mean(loop, axis=1)
    assert found.difference == pytest.approx(observed.mean())
    assert found.seed_differences == pytest.approx(observed)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))
    assert np.array([found.seed_low, found.seed_high]) == pytest.approx(np.percentile(loop, [2.5, 97.5], axis=0))
    assert found.error == pytest.approx(means.std(ddof=1))
    shifted = np.abs(means - observed.mean())
    assert found.p == (np.sum(shifted >= abs(observed.mean()) - 1e-9) + 1) / 51
    monkeypatch.setattr(resampling, "CHUNK", 30)  # memory does not decide what is drawn
    again = Resamples(12, samples=50, seed=3).bootstrap(a, b)
    assert (again.low, again.high, again.p) == (found.low, found.high, found.p)


def test_bootstrap_of_three_posts_equals_all_27_resamples():
    a, b = two(posts=3, seeds=1, seed=5)
    every = []
    for posts in product(range(3), repeat=3):
        every.append(float(f1(b[0, list(posts)]) - f1(a[0, list(posts)])))
    found = paired_bootstrap(a[0], b[0], samples=20_000)
    observed = float(f1(b[0]) - f1(a[0]))
    exact = np.mean(np.abs(np.array(every) - observed) >= abs(observed) - 1e-9)
    assert found.p == pytest.approx(exact, abs=0.015)
    assert found.error == pytest.approx(np.std(every), rel=0.03)


@pytest.mark.parametrize("seed", range(4))
def test_randomisation_equals_all_swaps(seed):
    a, b = two(posts=9, seeds=2, seed=seed)
    observed, every = f1(b) - f1(a), []
    for swap in product([False, True], repeat=9):
        where = np.array(swap)[None, :, None]
        every.append(f1(np.where(where, a, b)) - f1(np.where(where, b, a)))
    found = approximate_randomisation(a, b, samples=20_000, seed=seed)
    exact = np.mean(np.abs(np.mean(every, axis=1)) >= abs(observed.mean()) - 1e-9)
    by_seed = np.mean(np.abs(every) >= np.abs(observed) - 1e-9, axis=0)
    assert found.p == pytest.approx(exact, abs=4 * 0.5 / 20_000**0.5)
    assert found.seed_p == pytest.approx(by_seed, abs=4 * 0.5 / 20_000**0.5)
    assert found.difference == pytest.approx(observed.mean())


@pytest.mark.parametrize("method", ["bootstrap", "randomise"])
@pytest.mark.parametrize("seeds", [1, 3])
def test_without_a_difference_one_test_in_twenty_rejects(method, seeds):
    random = np.random.default_rng(1)
    p = []
    for number in range(400):
        gold = gold_spans(random, 200)
        # Seeds agree on most posts, as those of real systems do.
        a, b = (tagger(random, gold, 0.7, seeds, share=0.8) for _ in range(2))
        p.append(getattr(Resamples(200, 400, number), method)(a, b).p)
    for level in (0.05, 0.2, 0.5):
        rejected = np.mean(np.array(p) <= level)
        assert abs(rejected - level) < 3.3 * (level * (1 - level) / 400) ** 0.5


def test_intervals_hold_the_true_difference():
    random = np.random.default_rng(2)
    truth = true_difference(random, 0.7, 0.76)
    held = shown = 0
    for number in range(300):
        gold = gold_spans(random, 250)
        found = Resamples(250, 400, number).bootstrap(tagger(random, gold, 0.7), tagger(random, gold, 0.76))
        held += found.low <= truth <= found.high
        shown += found.p <= 0.05
    assert 271 <= held <= 297  # 285 expected, standard deviation 3.8
    assert shown > 60


def test_results_are_those_of_a_single_use_and_of_a_seed():
    a, b = two(posts=40)
    shared = Resamples(40, 500, seed=7)
    shared.bootstrap(b, a), shared.randomise(b, a)
    one, other = shared.bootstrap(a, b), paired_bootstrap(a, b, 500, seed=7)
    assert (one.low, one.high, one.p) == (other.low, other.high, other.p)
    assert shared.randomise(a, b).p == approximate_randomisation(a, b, 500, seed=7).p
    assert one.low != paired_bootstrap(a, b, 500, seed=8).low
    turned = shared.bootstrap(b, a)
    assert (turned.low, turned.high, turned.p) == pytest.approx((-one.high, -one.low, one.p))


def test_equal_systems_and_empty_posts():
    a, _ = two()
    for counts in (a, np.zeros_like(a)):
        found = paired_bootstrap(counts, counts, samples=100)
        assert (found.difference, found.low, found.high, found.p, found.error) == (0.0, 0.0, 0.0, 1.0, 0.0)
        assert approximate_randomisation(counts, counts, samples=100).p == 1.0


def test_large_counts_stay_exact():
    a, b = two()
    small, large = paired_bootstrap(a, b, 200), paired_bootstrap(a * 10_000_019, b * 10_000_019, 200)
    assert (large.low, large.high, large.p) == pytest.approx((small.low, small.high, small.p), rel=1e-12)


def test_counts_that_do_not_fit_are_refused():
    a, b = two()
    with pytest.raises(ValueError, match="expected counts of shape"):
        paired_bootstrap(a, b[:1])
    with pytest.raises(ValueError, match="expected counts of shape"):
        Resamples(11).randomise(a, b)
    with pytest.raises(ValueError, match="different gold"):
        paired_bootstrap(a, b + 1)
    with pytest.raises(ValueError, match="at least 1"):
        Resamples(0)
