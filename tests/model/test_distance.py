"""The distance between the word representations of two views."""

import pytest
import torch

from ita.model.distance import RepresentationDistance


def test_distances_in_any_batches():
    """Each view comes in batches of its own; in a batch there are empty slots behind the words of shorter posts."""
    distance = RepresentationDistance([3, 1, 2])
    one, two = torch.randn(3, 3, 4), torch.randn(3, 3, 4)
    distance.store([2, 0], one[[2, 0]])
    distance.store([1], one[[1], :1])
    for posts in ([1], [0, 2]):
        distance.compare(posts, two[posts])
    words = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1)]
    expected = sum(float((one[post, word] - two[post, word]).norm()) for post, word in words) / len(words)
    assert distance.mean() == pytest.approx(expected, rel=1e-5)
