"""Views as subwords, and batches of them."""

import numpy as np
import pytest
import torch

from ita.config import Encoder
from ita.data.visual_context import SEPARATOR, VisualContext
from ita.model.batching import bucketed_batches, collate, longest_first, pad_tags, split_by_budget
from ita.model.checkpoint import load_encoder, max_input_length
from ita.model.inputs import ViewEncoder

NOTHING = ([], [])


@pytest.fixture(scope="module")
def loaded(tiny_encoder):
    return load_encoder(Encoder(model=str(tiny_encoder)))


@pytest.fixture
def tokenizer(loaded):
    return loaded[1]


def subwords(tokenizer, ids):
    return [tokenizer.tokenizer.id_to_token(int(number)) for number in ids]


def rows(post):
    """The encoder inputs of a post."""
    return [row.tolist() for row in np.split(post.ids, np.cumsum(post.row_lengths)[:-1])]


def same(one, other):
    return [x.tolist() if isinstance(x, np.ndarray) else x for x in one] == [
        x.tolist() if isinstance(x, np.ndarray) else x for x in other
    ]


def test_text_view(tokenizer):
    (post,) = ViewEncoder(tokenizer, 64).encode([["ab", "\ufe0f", "c"]])
    assert subwords(tokenizer, post.ids) == ["[CLS]", "a", "##b", "c", "[SEP]"]
    assert post.first_subword.tolist() == [1, -1, 3], "a word without subwords has no index"
    assert post.truncated == 0


def test_image_text_view_has_the_encoders_separator(tokenizer):
    context = VisualContext(["x", "<EOS>", "yz"], ["ga", SEPARATOR, "ga"])
    (post,) = ViewEncoder(tokenizer, 64).encode([["a"]], [context])
    assert subwords(tokenizer, post.ids) == ["[CLS]", "a", "[SEP]", "x", "[SEP]", "y", "##z", "[SEP]"]
    assert post.first_subword.tolist() == [1], "words of the context are read, not tagged"


def test_a_separator_spelt_out_by_somebody_is_a_word(tokenizer):
    (post,) = ViewEncoder(tokenizer, 64).encode([["a"]], [(["<EOS>"], ["ga"])])
    assert subwords(tokenizer, post.ids).count("[SEP]") == 2


def test_without_context_both_views_are_equal(tokenizer):
    encoder = ViewEncoder(tokenizer, 64)
    assert same(*encoder.encode([["ab", "c"]], [NOTHING]), *encoder.encode([["ab", "c"]]))


@pytest.mark.parametrize("length", range(8, 20))
def test_the_context_is_truncated_at_its_end(tokenizer, length):
    words = ["ab", "cd", "ef", "gh"]
    (post,) = ViewEncoder(tokenizer, length).encode([["abc", "d"]], [(words, ["ga"] * 4)])
    (row,) = rows(post)
    assert len(row) == post.length <= length
    kept = 4 - post.truncated
    text = "".join(subwords(tokenizer, row)).replace("##", "")
    assert text == "[CLS]abcd[SEP]" + ("".join(words[:kept]) + "[SEP]" if kept else "")
    assert kept == min(4, max(0, (length - 7) // 2))


def test_a_very_long_post_is_read_in_windows(tokenizer):
    post = ["abc"] * 9 + ["\ufe0f"] + ["de"] * 9
    alone, with_context = ViewEncoder(tokenizer, 16).encode([post, post], [NOTHING, (["x"], ["ga"])])
    assert same(with_context._replace(truncated=0), alone)
    assert with_context.truncated == 1
    assert max(alone.row_lengths) == 16
    row_of = np.repeat(np.arange(len(alone.row_lengths)), alone.row_lengths)
    for word, place in zip(post, alone.first_subword, strict=True):
        assert place == -1 if word == "\ufe0f" else subwords(tokenizer, [alone.ids[place]]) == [word[0]]
    assert len(alone.first_subword) == len(post)
    assert {row_of[place] for place in alone.first_subword if place >= 0} == set(range(len(alone.row_lengths)))


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


@pytest.mark.parametrize(
    ("model_type", "positions", "expected"), [("bert", 64, 64), ("xlm-roberta", 66, 64), ("bert", 30, 30)]
)
def test_longest_input_is_bounded_by_positions(loaded, tokenizer, model_type, positions, expected):
    config = type("Config", (), {"model_type": model_type, "max_position_embeddings": positions, "pad_token_id": 1})
    assert max_input_length(config, tokenizer, 512) == expected
    assert max_input_length(config, tokenizer, 16) == 16


def test_batches_keep_to_their_budget():
    lengths = [5, 5, 30, 2, 2, 2, 2]
    assert split_by_budget(range(7), lengths, 3, 10) == [[0, 1], [2], [3, 4, 5], [6]]
    assert split_by_budget([], lengths, 3, 10) == []
    assert longest_first(lengths, 3, 12) == [[2], [0, 1, 3], [4, 5, 6]]
