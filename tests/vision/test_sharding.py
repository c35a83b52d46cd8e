"""Shards of a data set's images."""

import math

import pytest

from ita.errors import UserError
from ita.vision.sharding import BLOCK, shard_batches, shard_items


@pytest.mark.parametrize("batch_size", [1, 24, 64])
@pytest.mark.parametrize("shards", [1, 3, 7, 50])
@pytest.mark.parametrize("count", [0, 1, 64, 65, 500])
def test_shards_are_whole_blocks_of_all_items_in_order(count, shards, batch_size):
    items = list(range(count))
    batches_of_shards = [shard_batches(items, f"{number}-of-{shards}", batch_size) for number in range(1, shards + 1)]
    batches = [batch for shard in batches_of_shards for batch in shard]
    assert [item for batch in batches for item in batch] == items
    assert all(0 < len(batch) <= batch_size for batch in batches)
    assert batches == shard_batches(items, None, batch_size), "batches are the same for any number of shards"
    blocks = [math.ceil(sum(map(len, shard)) / BLOCK) for shard in batches_of_shards]
    assert max(blocks) - min(blocks) <= 1


@pytest.mark.parametrize("shard", ["3", "0-of-3", "4-of-3", "1-of-0", "one-of-3", "../1-of-3"])
def test_a_wrong_shard_is_refused(shard):
    with pytest.raises(UserError, match="2-of-7"):
        shard_items([1, 2, 3], shard)
    assert shard_items([1, 2, 3], None) == [1, 2, 3]
