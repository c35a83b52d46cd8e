"""Simulated taggers whose F1 on a large population is known."""

import numpy as np

from ita.significance.counts import micro_f1


def gold_spans(random, posts):
    """Number of gold spans (P,) of posts like tweets."""
    return random.poisson(1.5, posts)


def tagger(random, gold, recall, seeds=1, spurious=0.4, share=0.0):
    """Counts (S, P, 3) of a tagger with an expected recall and spurious spans; seeds agree on a share of the posts."""
    shape = (seeds, len(gold))
    true_positives = random.binomial(np.broadcast_to(gold, shape), recall)
    false_positives = random.poisson(spurious, shape)
    same = random.random(len(gold)) < share
    true_positives[:, same], false_positives[:, same] = true_positives[:1, same], false_positives[:1, same]
    return np.stack([true_positives, true_positives + false_positives, np.broadcast_to(gold, shape)], axis=-1)


def true_difference(random, a, b):
    """F1 of a tagger with recall b less that of one with recall a, on 400,000 posts."""
    gold = gold_spans(random, 400_000)
    return (micro_f1(tagger(random, gold, b)) - micro_f1(tagger(random, gold, a))).item()
