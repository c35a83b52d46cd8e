"""Training examples: splits do not share scenes, and batches cover all examples."""

from __future__ import annotations

from itertools import islice

from ita.demo.ground_truth import CAPTIONS
from ita.demo.training.dataset import batches, render_scenes


def test_splits_do_not_share_scenes() -> None:
    train, test = render_scenes("train", 5), render_scenes("test", 5)
    assert all(first.scene != second.scene for first in train for second in test)
    assert {example.scene.kind for example in train} == set(CAPTIONS)
    assert len({example.image.image_id for example in (*train, *test)}) == 10


def test_examples_do_not_depend_on_their_number() -> None:
    (first,) = render_scenes("train", 1)
    again = render_scenes("train", 3)[0]
    assert again.scene == first.scene
    assert again.image.image.tobytes() == first.image.image.tobytes()


def test_batches() -> None:
    permutations = iter([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [0, 1, 2, 3, 4]])
    drawn = list(islice(batches(lambda: next(permutations), 2), 4))
    assert drawn == [[4, 3], [2, 1], [0, 1], [2, 3]], "an incomplete batch is not used"
    assert list(islice(batches(lambda: [0, 1, 2], 5), 2)) == [[2, 1, 0], [2, 1, 0]], "fewer examples than a batch"
