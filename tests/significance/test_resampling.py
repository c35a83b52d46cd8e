"""Resampling against explicit loops, exact enumeration, and simulated taggers whose difference is known."""

from itertools import product

import numpy as np
import pytest

from ita.significance import resampling
from ita.significance.counts import micro_f1
from ita.significance.resampling import Resamples
from tests.support.simulated import gold_spans, tagger, true_difference


def two_systems(posts=12, seeds=2, seed=0):
    random = np.random.default_rng(seed)
    gold = gold_spans(random, posts)
    return tagger(random, gold, 0.5, seeds), tagger(random, gold, 0.8, seeds)


def test_bootstrap_equals_a_loop_over_its_resamples(monkeypatch):
    a, b = two_systems()
    resamples = Resamples(12, samples=50, seed=3)
    assert (resamples.weights.sum(axis=1) == 12).all()
    loop = []
    for weights in resamples.weights:
        posts = np.repeat(np.arange(12), weights)
        loop.append(micro_f1(b[:, posts]) - micro_f1(a[:, posts]))
    result, observed = resamples.bootstrap(a, b), micro_f1(b) - micro_f1(a)
    means = np.mean(loop, axis=1)
    assert result.difference == pytest.approx(observed.mean())
    assert result.seed_differences == pytest.approx(observed)
    assert (result.low, result.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))
    assert np.array([result.seed_low, result.seed_high]) == pytest.approx(np.percentile(loop, [2.5, 97.5], axis=0))
    assert result.standard_error == pytest.approx(means.std(ddof=1))
    shifted = np.abs(means - observed.mean())
    assert result.p == (np.sum(shifted >= abs(observed.mean()) - 1e-9) + 1) / 51
    monkeypatch.setattr(resampling, "CHUNK", 30)  # memory does not decide what is drawn
    again = Resamples(12, samples=50, seed=3).bootstrap(a, b)
    assert (again.low, again.high, again.p) == (result.low, result.high, result.p)


def test_bootstrap_of_three_posts_equals_all_27_resamples():
    a, b = two_systems(posts=3, seeds=1, seed=5)
    every = []
    for posts in product(range(3), repeat=3):
        every.append(float(micro_f1(b[0, list(posts)]) - micro_f1(a[0, list(posts)])))
    result = Resamples(3, 20_000).bootstrap(a[0], b[0])
    observed = float(micro_f1(b[0]) - micro_f1(a[0]))
    exact = np.mean(np.abs(np.array(every) - observed) >= abs(observed) - 1e-9)
    assert result.p == pytest.approx(exact, abs=0.015)
    assert result.standard_error == pytest.approx(np.std(every), rel=0.03)


@pytest.mark.parametrize("seed", range(4))
def test_randomisation_equals_all_swaps(seed):
    a, b = two_systems(posts=9, seeds=2, seed=seed)
    observed, every = micro_f1(b) - micro_f1(a), []
    for swap in product([False, True], repeat=9):
        swapped = np.array(swap)[None, :, None]
        every.append(micro_f1(np.where(swapped, a, b)) - micro_f1(np.where(swapped, b, a)))
    result = Resamples(9, 20_000, seed).randomise(a, b)
    exact = np.mean(np.abs(np.mean(every, axis=1)) >= abs(observed.mean()) - 1e-9)
    by_seed = np.mean(np.abs(every) >= np.abs(observed) - 1e-9, axis=0)
    assert result.p == pytest.approx(exact, abs=4 * 0.5 / 20_000**0.5)
    assert result.seed_p == pytest.approx(by_seed, abs=4 * 0.5 / 20_000**0.5)
    assert result.difference == pytest.approx(observed.mean())


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
    for alpha in (0.05, 0.2, 0.5):
        rejected = np.mean(np.array(p) <= alpha)
        assert abs(rejected - alpha) < 3.3 * (alpha * (1 - alpha) / 400) ** 0.5


def test_intervals_hold_the_true_difference():
    random = np.random.default_rng(2)
    truth = true_difference(random, 0.7, 0.76)
    covered = rejected = 0
    for number in range(300):
        gold = gold_spans(random, 250)
        result = Resamples(250, 400, number).bootstrap(tagger(random, gold, 0.7), tagger(random, gold, 0.76))
        covered += result.low <= truth <= result.high
        rejected += result.p <= 0.05
    assert 271 <= covered <= 297  # 285 expected, standard deviation 3.8
    assert rejected > 60


def test_results_are_those_of_a_single_use_and_of_a_seed():
    a, b = two_systems(posts=40)
    shared = Resamples(40, 500, seed=7)
    shared.bootstrap(b, a), shared.randomise(b, a)
    first, second = shared.bootstrap(a, b), Resamples(40, 500, seed=7).bootstrap(a, b)
    assert (first.low, first.high, first.p) == (second.low, second.high, second.p)
    assert shared.randomise(a, b).p == Resamples(40, 500, seed=7).randomise(a, b).p
    assert first.low != Resamples(40, 500, seed=8).bootstrap(a, b).low
    reversed_result = shared.bootstrap(b, a)
    assert (reversed_result.low, reversed_result.high, reversed_result.p) == pytest.approx(
        (-first.high, -first.low, first.p)
    )


def test_equal_systems_and_empty_posts():
    a, _ = two_systems()
    for counts in (a, np.zeros_like(a)):
        result = Resamples(12, 100).bootstrap(counts, counts)
        assert (result.difference, result.low, result.high, result.p, result.standard_error) == (
            0.0,
            0.0,
            0.0,
            1.0,
            0.0,
        )
        assert Resamples(12, 100).randomise(counts, counts).p == 1.0


def test_large_counts_stay_exact():
    a, b = two_systems()
    small = Resamples(12, 200).bootstrap(a, b)
    large = Resamples(12, 200).bootstrap(a * 10_000_019, b * 10_000_019)
    assert (large.low, large.high, large.p) == pytest.approx((small.low, small.high, small.p), rel=1e-12)


def test_counts_that_do_not_fit_are_refused():
    a, b = two_systems()
    with pytest.raises(ValueError, match="expected counts of shape"):
        Resamples(12).bootstrap(a, b[:1])
    with pytest.raises(ValueError, match="expected counts of shape"):
        Resamples(11).randomise(a, b)
    with pytest.raises(ValueError, match="different gold"):
        Resamples(12).bootstrap(a, b + 1)
    with pytest.raises(ValueError, match="at least 1"):
        Resamples(0)


def test_an_interval_of_one_system_is_that_of_its_resampled_scores():
    random = np.random.default_rng(3)
    gold = random.integers(0, 4, (1, 50))
    predicted = random.integers(0, 4, (2, 50))
    counts = np.stack([np.minimum(gold, predicted), predicted, np.broadcast_to(gold, (2, 50))], axis=-1)
    resamples = Resamples(50, 400, seed=1)
    scores = [np.mean([micro_f1(counts[s][np.repeat(np.arange(50), w)]) for s in (0, 1)]) for w in resamples.weights]
    assert resamples.interval(counts) == pytest.approx(tuple(np.quantile(scores, [0.025, 0.975])))
