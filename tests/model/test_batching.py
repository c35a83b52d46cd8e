"""Batches of encoded posts."""

import numpy as np
import pytest
import torch

from ita.config import Encoder
from ita.model.batching import bucketed_batches, collate, longest_first, pad_tags, split_by_budget
from ita.model.checkpoint import load_encoder
from ita.model.inputs import ViewEncoder


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder):
    return load_encoder(Encoder(model=str(tiny_encoder)))[1]


def subwords(tokenizer, ids):
    return [tokenizer.tokenizer.id_to_token(int(number)) for number in ids]


def rows(post):
    """The encoder inputs of a post."""
    return [row.tolist() for row in np.split(post.ids, np.cumsum(post.row_lengths)[:-1])]


def test_a_batch_indexes_first_subwords(tokenizer):
    encoder = ViewEncoder(tokenizer, 16)
    posts = [["ab", "c"], ["abcdefghijkl"] * 3, ["d", "\ufe0f"]]
    views = [encoder.encode(posts), encoder.encode(posts, [(["x"], ["ga"])] * 3)]
    batch = collate(views)
    every = [post for view in views for post in view]
    assert batch.size == sum(post.length for post in every) == len(batch.positions)
    assert batch.lengths.tolist() == [2, 3, 2] * 2
    for number, words in enumerate(posts * 2):
        for word, place in zip(words, batch.word_index[number].tolist(), strict=False):
            if word == "\ufe0f":
                assert place == -1
            else:
                assert subwords(tokenizer, [batch.ids[batch.first_subwords[place]]]) == [word[0]]
        assert (batch.word_index[number, len(words) :] == -1).all()
    assert batch.first_subwords.tolist() == sorted(batch.first_subwords.tolist())
    assert len(batch.first_subwords) == 2 * 6


def test_rows_and_buckets_hold_the_packed_inputs(tokenizer):
    encoder = ViewEncoder(tokenizer, 16)
    posts = [["ab", "c"], ["abcdefghijkl"] * 3, ["d"]]
    views = [encoder.encode(posts), encoder.encode(posts, [(["x"], ["ga"])] * 3)]
    batch = collate(views)
    expected = [row for view in views for post in view for row in rows(post)]
    bounds = batch.input_bounds
    assert [len(row) for row in expected] == bounds.cumulative.diff().tolist()
    assert bounds.longest == max(map(len, expected))
    assert batch.positions.tolist() == [place for row in expected for place in range(len(row))]
    assert batch.first_subword_bounds.cumulative[-1] == len(batch.first_subwords)
    at = first_at = 0
    for bucket, view in zip(batch.buckets, views, strict=True):
        for padding, items in (
            (bucket.inputs, batch.ids[at:]),
            (bucket.first_subwords, batch.first_subwords[first_at:]),
        ):
            count = int(padding.mask.sum())
            assert torch.equal(items[padding.pad_index][padding.mask], items[:count])
            assert torch.equal(items[padding.pad_index].flatten()[padding.unpad_index], items[:count])
            assert padding.unpadded == bool(padding.mask.all())
        lengths = [len(row) for post in view for row in rows(post)]
        assert bucket.inputs.mask.sum(1).tolist() == lengths
        at, first_at = at + sum(lengths), first_at + len(bucket.first_subwords.unpad_index)


def test_buckets_hold_every_post_once_with_little_padding():
    lengths = torch.randint(5, 100, (1000,), generator=torch.Generator().manual_seed(0)).tolist()
    batches = list(bucketed_batches(lengths, 8, (1, 0)))
    assert sorted(index for batch in batches for index in batch) == list(range(1000))
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)
    assert batches == list(bucketed_batches(lengths, 8, (1, 0)))
    assert batches != list(bucketed_batches(lengths, 8, (1, 1)))
    assert sorted(i for batch in longest_first(lengths, 7, 10_000) for i in batch) == list(range(1000))


def test_tags_are_padded_with_a_valid_index():
    assert pad_tags([[3], [1, 2]]).tolist() == [[3, 0], [1, 2]]


def test_batches_keep_to_their_budget():
    lengths = [5, 5, 30, 2, 2, 2, 2]
    assert split_by_budget(range(7), lengths, 3, 10) == [[0, 1], [2], [3, 4, 5], [6]]
    assert split_by_budget([], lengths, 3, 10) == []
    assert longest_first(lengths, 3, 12) == [[2], [0, 1, 3], [4, 5, 6]]
