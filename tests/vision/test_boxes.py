"""IoU, NMS and box deltas against plain loops; batches of images of equal shape."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ita.vision import boxes
from ita.vision.batching import bucket_by_shape, map_by_shape, map_in_threads


def one_by_one(given_boxes, scores, threshold, groups=None):
    """Suppression box by box."""
    order = scores.sort(descending=True, stable=True).indices.tolist()
    stay = []
    for index in order:
        rivals = [best for best in stay if groups is None or groups[best] == groups[index]]
        overlaps = boxes.iou(given_boxes[index][None], given_boxes[rivals])[0] if rivals else torch.zeros(0)
        if not (overlaps > threshold).any():
            stay.append(index)
    return stay


def draw(count, seed, spread=60.0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * spread
    size = torch.rand(count, 2, generator=generator) * 40
    found = torch.cat([corner, corner + size], 1).round()  # whole pixels: equal overlaps and empty boxes occur
    scores = (torch.rand(count, generator=generator) * 50).round() / 50
    return found, scores, torch.randint(0, 3, (count,), generator=generator)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 60), st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]), st.booleans())
def test_suppression_in_blocks_is_suppression_one_by_one(count, seed, threshold, grouped):
    found, scores, groups = draw(count, seed)
    groups = groups if grouped else None
    expected = one_by_one(found, scores, threshold, groups)
    for block in (1, 7, boxes.NMS_BLOCK):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(boxes, "NMS_BLOCK", block)
            assert boxes.nms(found, scores, threshold, groups).tolist() == expected
            assert boxes.nms(found, scores, threshold, groups, top_n=5).tolist() == expected[:5]


def test_a_chain_of_boxes_is_settled_to_its_end():
    """Each box overlaps its neighbours only: every second one stays."""
    left = torch.arange(200.0) * 4
    found = torch.stack([left, torch.zeros(200), left + 10, torch.ones(200)], 1)
    assert boxes.nms(found, torch.linspace(1, 0, 200), 0.3).tolist() == list(range(0, 200, 2))


def test_suppression_of_many_boxes():
    """Blocks against all that stay, for far more boxes than a block holds."""
    found, scores, _ = draw(6000, 0, spread=3000.0)
    stay = boxes.nms(found, scores, 0.5)
    kept = found[stay[:300]]
    assert (boxes.iou(kept, kept).nan_to_num().fill_diagonal_(0) <= 0.5).all()
    assert (scores[stay].diff() <= 0).all()


def test_overlap():
    one = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]])
    other = torch.tensor([[0.0, 5.0, 10.0, 15.0], [20.0, 20.0, 30.0, 30.0], [40.0, 0.0, 50.0, 9.0]])
    assert torch.allclose(boxes.iou(one, other), torch.tensor([[1 / 3, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    assert boxes.iou(one[None].expand(4, 2, 4), other).shape == (4, 2, 3)


@pytest.mark.parametrize("edge", [0, 1])
def test_decoding_moves_and_scales(edge):
    box = torch.tensor([[10.0, 20.0, 30.0 - edge, 60.0 - edge]])  # 20 wide, 40 high
    still = boxes.decode_deltas(torch.zeros(1, 4), box, (10, 10, 5, 5), edge)
    assert torch.allclose(still, box)
    moved = boxes.decode_deltas(
        torch.tensor([[5.0, -2.5, 0.0, 5 * torch.log(torch.tensor(2.0))]]), box, (10, 10, 5, 5), edge
    )
    assert torch.allclose(moved, torch.tensor([[20.0, -10.0, 40.0 - edge, 70.0 - edge]]))
    huge = boxes.decode_deltas(torch.tensor([[0.0, 0.0, 99.0, 0.0]]), box, (1, 1, 1, 1), edge)
    assert torch.allclose(huge[0, 2] - huge[0, 0] + edge, torch.tensor(20 * 62.5))


def test_clipping():
    box = torch.tensor([[-5.0, 3.0, 99.0, 99.0]])
    assert boxes.clip(box, (40, 60), 0).tolist() == [[0, 3, 60, 40]]
    assert boxes.clip(box, (40, 60), 1).tolist() == [[0, 3, 59, 39]]


def test_buckets_hold_equal_shapes_and_every_item_once():
    shapes = [(3, 4), (4, 3), (3, 4), (3, 4), (5, 5), (3, 4)]
    found = list(bucket_by_shape(shapes, 3))
    assert found == [[0, 2, 3], [5], [1], [4]]


def test_threads_keep_the_order():
    assert map_in_threads(lambda x: x * x, range(20)) == [x * x for x in range(20)]
    assert map_in_threads(abs, []) == []


def test_results_of_batches_come_in_the_order_of_the_inputs():
    shapes, batches = [(3, 4), (4, 3), (3, 4), (3, 4)], []

    def forward(indices):
        batches.append(indices)
        return [10 * index for index in indices]

    assert map_by_shape(shapes, 2, forward) == [0, 10, 20, 30] and batches == [[0, 2], [3], [1]]
