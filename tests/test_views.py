"""Views as word pieces, and batches of them."""

import pytest
import torch

from ita.corpus.batches import bucketed, collate, in_order, padded_tags
from ita.corpus.linearise import SEP
from ita.corpus.views import Encoded, ViewEncoder
from ita.model.folder import load_encoder, longest_input
from ita.settings import Encoder

NOTHING = ([], [])


@pytest.fixture(scope="module")
def loaded(tiny_encoder):
    return load_encoder(Encoder(model=str(tiny_encoder)))


@pytest.fixture
def tokenizer(loaded):
    return loaded[2]


def pieces(tokenizer, row):
    return tokenizer.convert_ids_to_tokens(row)


def test_text_view(tokenizer):
    (post,) = ViewEncoder(tokenizer, 64).encode([["ab", "\ufe0f", "c"]])
    assert pieces(tokenizer, post.rows[0]) == ["[CLS]", "a", "##b", "c", "[SEP]"]
    assert post.first == [(0, 1), (0, -1), (0, 3)], "a word without pieces has no place"
    assert post.cut == 0


def test_image_text_view_has_the_encoders_separator(tokenizer):
    context = (["x", "<EOS>", "yz"], ["ga", SEP, "ga"])
    (post,) = ViewEncoder(tokenizer, 64).encode([["a"]], [context])
    assert pieces(tokenizer, post.rows[0]) == ["[CLS]", "a", "[SEP]", "x", "[SEP]", "y", "##z", "[SEP]"]
    assert post.first == [(0, 1)], "words of the context are read, not tagged"


def test_a_separator_spelt_out_by_somebody_is_a_word(tokenizer):
    (post,) = ViewEncoder(tokenizer, 64).encode([["a"]], [(["<EOS>"], ["ga"])])
    assert pieces(tokenizer, post.rows[0]).count("[SEP]") == 2


def test_without_context_both_views_are_equal(tokenizer):
    encoder = ViewEncoder(tokenizer, 64)
    assert encoder.encode([["ab", "c"]], [NOTHING]) == encoder.encode([["ab", "c"]])


@pytest.mark.parametrize("length", range(8, 20))
def test_cut_comes_from_the_end_of_the_context(tokenizer, length):
    words = ["ab", "cd", "ef", "gh"]
    (post,) = ViewEncoder(tokenizer, length).encode([["abc", "d"]], [(words, ["ga"] * 4)])
    (row,) = post.rows
    assert len(row) <= length
    kept = 4 - post.cut
    text = "".join(pieces(tokenizer, row)).replace("##", "")
    assert text == "[CLS]abcd[SEP]" + ("".join(words[:kept]) + "[SEP]" if kept else "")
    assert kept == min(4, max(0, (length - 7) // 2))


def test_a_very_long_post_is_read_in_windows(tokenizer):
    post = ["abc"] * 9 + ["\ufe0f"] + ["de"] * 9
    alone, with_context = ViewEncoder(tokenizer, 16).encode([post, post], [NOTHING, (["x"], ["ga"])])
    assert with_context.rows == alone.rows
    assert with_context.cut == 1
    assert all(len(row) <= 16 for row in alone.rows)
    for word, (row, position) in zip(post, alone.first, strict=True):
        assert position == -1 if word == "\ufe0f" else pieces(tokenizer, alone.rows[row])[position] == word[0]
    assert len(alone.first) == len(post)
    assert {row for row, _ in alone.first} == set(range(len(alone.rows)))


def test_batch_points_at_first_pieces(tokenizer):
    posts = ViewEncoder(tokenizer, 16).encode([["ab", "c"], ["abcdefghijkl"] * 3, ["d"]])
    batch = collate(posts, pad=0)
    assert batch.input_ids.shape == batch.attention_mask.shape
    assert len(batch.input_ids) == sum(len(post.rows) for post in posts) > 3
    flat = batch.input_ids.reshape(-1)
    assert pieces(tokenizer, flat[batch.first[0]].tolist()) == ["a", "c", pieces(tokenizer, [flat[-1]])[0]]
    assert batch.first[0].tolist()[2] == -1
    assert pieces(tokenizer, flat[batch.first[1]].tolist()) == ["a"] * 3
    assert batch.lengths.tolist() == [2, 3, 1]
    assert batch.pieces == int(batch.attention_mask.sum()) == sum(post.length for post in posts)


def test_buckets_hold_every_post_once_with_little_padding():
    lengths = torch.randint(5, 100, (1000,), generator=torch.Generator().manual_seed(0)).tolist()
    batches = list(bucketed(lengths, 8, (1, 0)))
    assert sorted(index for batch in batches for index in batch) == list(range(1000))
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)
    assert batches == list(bucketed(lengths, 8, (1, 0)))
    assert batches != list(bucketed(lengths, 8, (1, 1)))
    assert sorted(i for batch in in_order(lengths, 7) for i in batch) == list(range(1000))


def test_tags_are_padded_with_a_valid_index():
    assert padded_tags([[3], [1, 2]]).tolist() == [[3, 0], [1, 2]]


@pytest.mark.parametrize(
    ("model_type", "positions", "expected"), [("bert", 64, 64), ("xlm-roberta", 66, 64), ("bert", 30, 30)]
)
def test_longest_input_is_bounded_by_positions(loaded, tokenizer, model_type, positions, expected):
    config = type("Config", (), {"model_type": model_type, "max_position_embeddings": positions, "pad_token_id": 1})
    assert longest_input(config, tokenizer, 512) == expected
    assert longest_input(config, tokenizer, 16) == 16


def test_encoded_length_counts_all_windows():
    assert Encoded([[1, 2], [3]], [(0, 1)], 0).length == 3
