"""Simulated taggers, whose scores on a whole population are known."""

import numpy as np

from ita.significance.counts import f1


def gold_spans(random, posts):
    """Number of gold spans (P,) of posts like tweets."""
    return random.poisson(1.5, posts)


def tagger(random, gold, recall, seeds=1, spurious=0.4, share=0.0):
    """Counts (S, P, 3) of a tagger that finds each gold span with a chance, and others; seeds share that many posts."""
    shape = (seeds, len(gold))
    right = random.binomial(np.broadcast_to(gold, shape), recall)
    extra = random.poisson(spurious, shape)
    same = random.random(len(gold)) < share
    right[:, same], extra[:, same] = right[:1, same], extra[:1, same]
    return np.stack([right, right + extra, np.broadcast_to(gold, shape)], axis=-1)


def true_difference(random, a, b):
    """F1 of a tagger with recall b less that of one with recall a, on 400,000 posts."""
    gold = gold_spans(random, 400_000)
    return (f1(tagger(random, gold, b)) - f1(tagger(random, gold, a))).item()
