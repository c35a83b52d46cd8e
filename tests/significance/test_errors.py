"""Kinds of error: what each is, that they add up, and the best pairing by trying all."""

import random
from itertools import combinations, permutations

import numpy as np
import pytest

from ita.data.tags import Span, spans
from ita.significance import errors
from ita.significance.counts import GOLD, PREDICTED, TRUE_POSITIVES, count_spans
from ita.significance.errors import KINDS, count_kinds, pair_spans, span_kinds

EXAMPLES = [
    ("B-PER I-PER O", "B-PER I-PER O", {"right": 1}),
    ("B-PER I-PER O", "B-PER O O", {"boundary": 1}),
    ("B-PER I-PER O", "B-LOC I-LOC O", {"type": 1}),
    ("B-PER I-PER O", "O B-LOC I-LOC", {"both": 1}),
    ("B-PER I-PER O", "O O O", {"missed": 1}),
    ("O O O", "O O B-ORG", {"invented": 1}),
    ("O O O", "O O O", {}),
    # An entity in two pieces is one error of the boundary and one too many; so is one beside words of its own.
    ("B-LOC I-LOC I-LOC", "B-LOC B-LOC I-LOC", {"boundary": 1, "invented": 1}),
    ("B-LOC B-LOC I-LOC", "B-LOC I-LOC I-LOC", {"boundary": 1, "missed": 1}),
    # The piece of the right type is the partner, however short.
    ("B-LOC I-LOC I-LOC", "B-PER I-PER B-LOC", {"boundary": 1, "invented": 1}),
    # Two pairs rather than one of the right type.
    ("B-PER B-LOC I-LOC", "B-LOC I-LOC B-ORG", {"both": 2}),
]


@pytest.mark.parametrize(("gold", "predicted", "expected"), EXAMPLES)
def test_kinds_of_known_posts(gold, predicted, expected):
    (counts,) = count_kinds([(spans(gold.split()), spans(predicted.split()))])
    assert {name: count for name, count in zip(KINDS, counts, strict=True) if count} == expected


def draw_tags(draw, length):
    return [draw.choice(["O", "B-A", "I-A", "B-B", "I-B"]) for _ in range(length)]


def draw_posts(count, seed=0):
    draw = random.Random(seed)
    lengths = [draw.randrange(8) for _ in range(count)]
    return [(draw_tags(draw, length), draw_tags(draw, length)) for length in lengths]


def overlap(one: Span, other: Span) -> int:
    return len(set(range(one.start, one.end)) & set(range(other.start, other.end)))


def worth(gold, predicted, pairs):
    same_type = sum(gold[i].type == predicted[j].type for i, j in pairs)
    return len(pairs), same_type, sum(overlap(gold[i], predicted[j]) for i, j in pairs)


def best_worth(gold, predicted):
    """Worth of the best pairing, by trying all."""
    best = (0, 0, 0)
    for count in range(1, min(len(gold), len(predicted)) + 1):
        for chosen in combinations(range(len(gold)), count):
            for partners in permutations(range(len(predicted)), count):
                pairs = list(zip(chosen, partners, strict=True))
                if all(overlap(gold[i], predicted[j]) for i, j in pairs):
                    best = max(best, worth(gold, predicted, pairs))
    return best


def test_the_pairing_is_the_best_of_all():
    for gold_tags, predicted_tags in draw_posts(250):
        gold, predicted = spans(gold_tags), spans(predicted_tags)
        paired = pair_spans(gold, predicted)
        assert all(overlap(gold[i], predicted[j]) for i, j in paired.pairs)
        assert worth(gold, predicted, paired.pairs) == best_worth(gold, predicted), (gold, predicted)
        assert sorted([i for i, _ in paired.pairs] + paired.missed) == list(range(len(gold)))
        assert sorted([j for _, j in paired.pairs] + paired.invented) == list(range(len(predicted)))


def test_kinds_add_up_to_all_errors():
    posts = draw_posts(2000, seed=1)
    gold_tags, predicted_tags = zip(*posts, strict=True)
    counts = count_spans(gold_tags, predicted_tags)
    kinds = count_kinds((spans(gold), spans(predicted)) for gold, predicted in posts)
    right = kinds[:, errors.RIGHT]
    differing = kinds[:, [errors.BOUNDARY, errors.TYPE, errors.BOTH]].sum(axis=1)
    assert np.array_equal(right, counts[:, TRUE_POSITIVES])
    assert np.array_equal(differing + kinds[:, errors.MISSED], counts[:, GOLD] - right)
    assert np.array_equal(differing + kinds[:, errors.INVENTED], counts[:, PREDICTED] - right)
    assert (kinds.sum(axis=0) > 50).all(), "every kind occurs"


def test_every_span_has_a_kind():
    gold, predicted = spans(["B-A", "I-A", "O", "B-B", "O"]), spans(["B-A", "O", "O", "B-A", "B-A"])
    assert span_kinds(gold, predicted) == (
        [errors.BOUNDARY, errors.TYPE],
        [errors.BOUNDARY, errors.TYPE, errors.INVENTED],
    )
    assert count_kinds([]).shape == (0, len(KINDS))
