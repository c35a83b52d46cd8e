"""Views as subwords."""

import numpy as np
import pytest

from ita.config import Encoder
from ita.data.visual_context import SEPARATOR, VisualContext
from ita.model.bert import Bert, EncoderConfig
from ita.model.checkpoint import load_encoder, max_input_length
from ita.model.inputs import ViewEncoder, widest_margins
from tests.support.letters import SIZES

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


@pytest.mark.parametrize(
    ("model_type", "positions", "expected"), [("bert", 64, 64), ("xlm-roberta", 66, 64), ("bert", 30, 30)]
)
def test_longest_input_is_bounded_by_positions(loaded, tokenizer, model_type, positions, expected):
    config = {"model_type": model_type, "max_position_embeddings": positions, "pad_token_id": 1}
    encoder = Bert(EncoderConfig(**SIZES, **config))
    assert max_input_length(encoder, tokenizer, 512) == expected
    assert max_input_length(encoder, tokenizer, 16) == 16


@pytest.mark.parametrize("size", [2, 3, 5, 8, 13, 62])
def test_windows_are_those_of_a_search_through_all(size):
    for length in range(size + 1, 5 * size + 3):
        starts = np.unique(np.minimum(np.arange(0, length - size + size // 2, max(size // 2, 1)), length - size))
        for position, row in enumerate(widest_margins(starts, size, length)):
            margins = [min(position - start, start + size - 1 - position) for start in starts]
            assert row == margins.index(max(margins)) and max(margins) >= 0
