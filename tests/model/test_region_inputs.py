"""Image regions beside the text: their place in a batch, and the encoder's pass over them."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, RobertaConfig, RobertaModel

from ita.model.batching import collate
from ita.model.bert import Bert, EncoderConfig, position_offset
from ita.model.inputs import ViewEncoder
from ita.model.tagger import Tagger
from tests.support.letters import SIZES, Letters

WIDTH = 5


def numbers(count, seed):
    return np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)


POSTS = [["ab", "-", "c"], ["defg"] * 9, ["h"], ["-"], ["k", "lm"], ["np", "q"]]
CONTEXTS = [(["no", "p"], ["ga"] * 2), ([], []), (["q"] * 30, ["ga"] * 30), (["r"], ["ga"]), ([], []), ([], [])]
COUNTS = [3, 4, 2, 1, 20, 0]
"""Regions of each post: with context, of a post in windows, with a context that is truncated, too many, and none."""
MAX_LENGTH = 16


def encoded():
    """Both views of the posts."""
    ends = np.cumsum(COUNTS)
    regions = [np.arange(end - n, end, dtype=np.int32)[::-1].copy() for end, n in zip(ends, COUNTS, strict=True)]
    views = ViewEncoder(Letters(), MAX_LENGTH)
    return views.encode(POSTS), views.encode(POSTS, CONTEXTS, regions)


def test_room_goes_to_the_post_then_to_regions_then_to_the_context():
    text, both = encoded()
    without = ViewEncoder(Letters(), MAX_LENGTH).encode(POSTS, CONTEXTS)
    assert [len(post.regions) for post in both] == [3, 0, 2, 1, MAX_LENGTH - 5, 0]
    assert [post.truncated_regions for post in both] == [0, 4, 0, 0, 20 - (MAX_LENGTH - 5), 0]
    assert all(len(post.regions) == post.truncated_regions == 0 for post in (*text, *without))
    for post in both:
        assert sum(post.row_lengths) == post.length and max(post.row_lengths) <= MAX_LENGTH
    assert both[2].row_lengths == (MAX_LENGTH,) and both[2].truncated == without[2].truncated + 2, (
        "two context words make room for regions"
    )
    np.testing.assert_array_equal(both[0].ids, without[0].ids)
    np.testing.assert_array_equal(both[0].regions, [2, 1, 0])
    np.testing.assert_array_equal(both[4].regions, np.arange(29, 18, -1), "truncated at the end")
    assert both[1].row_lengths == without[1].row_lengths and len(both[1].row_lengths) > 1, (
        "a post in windows has no regions"
    )


def test_inputs_are_in_order():
    text, both = encoded()
    batch = collate([text, both])
    expected = [one for post in (*text, *both) for one in (*post.ids.tolist(), *(-1 - post.regions).tolist())]
    table = torch.cat([batch.ids, -1 - batch.regions.feature_rows])
    assert table[batch.regions.order].tolist() == expected and batch.size == len(expected)
    assert collate([text]).regions is None
    assert collate([[post for post in both if not len(post.regions)]]).regions is None


@pytest.fixture(params=["bert", "roberta"])
def theirs(request):
    """A model of transformers; only one kind has a second token type."""
    torch.manual_seed(0)
    if request.param == "bert":
        config = BertConfig(**SIZES, pad_token_id=1, max_position_embeddings=40)
        return BertModel(config, add_pooling_layer=False).eval()
    config = RobertaConfig(**SIZES, pad_token_id=1, max_position_embeddings=42, type_vocab_size=1)
    return RobertaModel(config, add_pooling_layer=False).eval()


def tagger_of(encoder, padding):
    """A tagger with a projection and a table of features, drawn alike for any encoder."""
    torch.manual_seed(1)
    tagger = Tagger(encoder, ["O", "S-PER"], 0.0, padding=padding, region_dim=WIDTH).eval()
    tagger.set_region_features(torch.from_numpy(numbers(sum(COUNTS), 4)).half())
    return tagger


def one_by_one(encoder, tagger, posts):
    """Word vectors of each post, by a plain pass over concatenated embeddings of each row alone."""
    embeddings = encoder.get_input_embeddings()
    vectors = []
    for post in posts:
        hidden, at = [], 0
        lengths = [post.row_lengths[0] - len(post.regions)] if len(post.regions) else post.row_lengths
        for length in lengths:
            ids = torch.from_numpy(post.ids[at : at + length]).long()
            regions = tagger.projection(tagger.region_features[torch.from_numpy(post.regions).long()].float())
            embeds = torch.cat([embeddings(ids), regions])[None]
            types = torch.tensor([[0] * len(ids) + [1] * len(regions)])
            if encoder.config.type_vocab_size == 1:
                types = torch.zeros_like(types)
            positions = torch.arange(embeds.shape[1])[None] + position_offset(encoder.config)
            hidden.append(
                encoder(inputs_embeds=embeds, token_type_ids=types, position_ids=positions).last_hidden_state[0]
            )
            at += length
        rows = torch.cat([torch.zeros(1, hidden[0].shape[1]), *hidden])
        vectors.append(rows[torch.from_numpy(post.first_subword).long() + 1])
    return vectors


@pytest.mark.parametrize("padding", ["attention", "none", "all"])
def test_word_vectors_equal_a_plain_pass_over_embeddings(theirs, padding):
    encoder = theirs
    if padding != "all":
        encoder = Bert(EncoderConfig.from_dict(theirs.config.to_dict()))
        encoder.load_state_dict(theirs.state_dict())
        encoder.eval()
    text, both = encoded()
    found, expected = tagger_of(encoder, padding), tagger_of(theirs, "all")
    vectors = found.word_vectors(collate([text, both]))
    plain = one_by_one(theirs, expected, [*text, *both])
    weights = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(2))
    for row, one in enumerate(plain):
        torch.testing.assert_close(vectors[row, : len(one)], one, atol=1e-5, rtol=1e-5)
    grads = []
    for tagger, total in (
        (found, sum((vectors[row, : len(one)] * weights[row, : len(one)]).sum() for row, one in enumerate(plain))),
        (expected, sum((one * weights[row, : len(one)]).sum() for row, one in enumerate(plain))),
    ):
        tagger.zero_grad()
        total.backward()
        grads.append({n: p.grad.clone() for n, p in tagger.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys() and grads[0]["projection.weight"].abs().max() > 1e-3
    for name, grad in grads[0].items():
        if "key.bias" not in name:  # rounding alone: attention does not depend on it
            torch.testing.assert_close(grad, grads[1][name], atol=1e-5, rtol=1e-4, msg=name)


def test_an_encoder_without_token_types():
    torch.manual_seed(0)
    model = DistilBertModel(DistilBertConfig(vocab_size=60, dim=16, n_layers=1, n_heads=2, hidden_dim=32)).eval()
    _, both = encoded()
    together = tagger_of(model, "auto").emissions(collate([both]))
    for row, post in enumerate(both):
        alone = tagger_of(model, "auto").emissions(collate([[post]]))
        torch.testing.assert_close(together[row, : len(post.first_subword)], alone[0], atol=1e-5, rtol=1e-5)


def test_without_regions_nothing_is_added(theirs):
    plain, with_regions = Tagger(theirs, ["O"], 0.0), tagger_of(theirs, "all")
    assert {name for name in with_regions.state_dict() if name not in plain.state_dict()} == {
        "projection.weight",
        "projection.bias",
    }, "the table of features is no part of the weights"
    text, _ = encoded()
    assert torch.equal(plain.word_vectors(collate([text])), with_regions.word_vectors(collate([text])))
    with_regions.emissions(collate([text])).sum().backward()
    assert with_regions.projection.weight.grad is None
