"""Regions of images beside the text: their table, their places in a batch, and the encoder's pass over them."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, RobertaConfig, RobertaModel

from ita.errors import UserError
from ita.io import features, parquet
from ita.model.batching import collate
from ita.model.bert import Bert, EncoderConfig, position_offset
from ita.model.inputs import ViewEncoder
from ita.model.tagger import Tagger

WIDTH = 5
SIZES = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}


class Letters:
    """A tokenizer whose pieces are letters; words of other signs have none."""

    cls, sep, longest = 2, 3, 512

    def pieces(self, words):
        return [[ord(sign) - 90 for sign in word if sign.isalpha()] for word in words]


def write(path, **images):
    """A shard: image -> (regions, D)."""
    rows = [
        {"image_id": name, "width": 1, "height": 1, "regions": len(one), "features": np.float32(one).flatten()}
        for name, one in images.items()
    ]
    parquet.write("features", rows, path)
    return path


def numbers(count, seed):
    return np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)


def test_the_table_holds_the_images_asked_for(tmp_path):
    one, two, three = numbers(3, 0), numbers(1, 1), numbers(4, 2)
    shards = [write(tmp_path / "1.parquet", a=one, other=numbers(2, 3)), write(tmp_path / "2.parquet", b=two, c=three)]
    write(tmp_path / "3.parquet", empty=np.zeros((0, WIDTH)))
    found = features.read([*shards, tmp_path / "3.parquet"], {"a", "c", "empty", "gone"})
    assert found.vectors.dtype == np.float16 and found.vectors.shape == (7, found.width) == (7, WIDTH)
    for name, expected in (("a", one), ("c", three)):
        np.testing.assert_array_equal(found.vectors[found.of(name)], expected.astype(np.float16))
    for name in ("other", "b", "empty", "gone", None):
        assert found.of(name).dtype == np.int32 and len(found.of(name)) == 0


def test_wrong_tables_are_refused(tmp_path):
    good = write(tmp_path / "good.parquet", a=numbers(2, 0))
    with pytest.raises(UserError, match="no features of these posts' images.*vinvl, bottomup or grid"):
        features.read([good], {"b"})
    with pytest.raises(UserError, match="'a' stands in the table of features twice"):
        features.read([good, good], {"a"})
    wide = write(tmp_path / "wide.parquet", b=np.ones((2, WIDTH + 1)))
    with pytest.raises(UserError, match="'b' has 12 numbers for 2 regions, expected 5 for each"):
        features.read([good, wide], {"a", "b"})
    for value in (float("nan"), float("inf"), -1e6, 1e6):
        odd = write(tmp_path / "odd.parquet", a=np.full((1, 2), value))
        with pytest.raises(UserError, match="'a' are not finite in half precision"):
            features.read([odd], {"a"})
    with pytest.raises(UserError, match="no such file"):
        features.read([tmp_path / "none.parquet"], {"a"})


POSTS = [["ab", "-", "c"], ["defg"] * 9, ["h"], ["-"], ["k", "lm"], ["np", "q"]]
CONTEXTS = [(["no", "p"], ["ga"] * 2), ([], []), (["q"] * 30, ["ga"] * 30), (["r"], ["ga"]), ([], []), ([], [])]
COUNTS = [3, 4, 2, 1, 20, 0]
"""Regions of each post: with context, of a post in windows, with a context that is cut, too many, and none."""
LONGEST = 16


def encoded():
    """Both views of the posts."""
    ends = np.cumsum(COUNTS)
    regions = [np.arange(end - n, end, dtype=np.int32)[::-1].copy() for end, n in zip(ends, COUNTS, strict=True)]
    views = ViewEncoder(Letters(), LONGEST)
    return views.encode(POSTS), views.encode(POSTS, CONTEXTS, regions)


def test_room_goes_to_the_post_then_to_regions_then_to_the_context():
    text, both = encoded()
    without = ViewEncoder(Letters(), LONGEST).encode(POSTS, CONTEXTS)
    assert [len(post.regions) for post in both] == [3, 0, 2, 1, LONGEST - 5, 0]
    assert all(len(post.regions) == 0 for post in (*text, *without))
    for post in both:
        assert sum(post.rows) == post.length and max(post.rows) <= LONGEST
    assert both[2].rows == (LONGEST,) and both[2].truncated == without[2].truncated + 2, (
        "two context words make room for regions"
    )
    np.testing.assert_array_equal(both[0].ids, without[0].ids)
    np.testing.assert_array_equal(both[0].regions, [2, 1, 0])
    np.testing.assert_array_equal(both[4].regions, np.arange(29, 18, -1), "cut from the end")
    assert both[1].rows == without[1].rows and len(both[1].rows) > 1, "a post in windows has no regions"


def test_inputs_stand_in_their_order():
    text, both = encoded()
    batch = collate([text, both])
    expected = [one for post in (*text, *both) for one in (*post.ids.tolist(), *(-1 - post.regions).tolist())]
    table = torch.cat([batch.ids, -1 - batch.visual.rows])
    assert table[batch.visual.order].tolist() == expected and batch.pieces == len(expected)
    assert collate([text]).visual is None
    assert collate([[post for post in both if not len(post.regions)]]).visual is None


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
    tagger = Tagger(encoder, ["O", "S-PER"], 0.0, padding=padding, regions=WIDTH).eval()
    tagger.look(torch.from_numpy(numbers(sum(COUNTS), 4)).half())
    return tagger


def one_by_one(encoder, tagger, posts):
    """What represents the words of each post, by a plain pass over concatenated embeddings of each row alone."""
    words = encoder.get_input_embeddings()
    vectors = []
    for post in posts:
        hidden, at = [], 0
        pieces = [post.rows[0] - len(post.regions)] if len(post.regions) else post.rows
        for length in pieces:
            ids = torch.from_numpy(post.ids[at : at + length]).long()
            seen = tagger.projection(tagger.features[torch.from_numpy(post.regions).long()].float())
            embeds = torch.cat([words(ids), seen])[None]
            types = torch.tensor([[0] * len(ids) + [1] * len(seen)])
            if encoder.config.type_vocab_size == 1:
                types = torch.zeros_like(types)
            places = torch.arange(embeds.shape[1])[None] + position_offset(encoder.config)
            hidden.append(encoder(inputs_embeds=embeds, token_type_ids=types, position_ids=places).last_hidden_state[0])
            at += length
        rows = torch.cat([torch.zeros(1, hidden[0].shape[1]), *hidden])
        vectors.append(rows[torch.from_numpy(post.first).long() + 1])
    return vectors


@pytest.mark.parametrize("padding", ["attention", "none", "all"])
def test_words_are_those_of_a_plain_pass_over_embeddings(theirs, padding):
    encoder = theirs
    if padding != "all":
        encoder = Bert(EncoderConfig.of(theirs.config.to_dict()))
        encoder.load_state_dict(theirs.state_dict())
        encoder.eval()
    text, both = encoded()
    found, expected = tagger_of(encoder, padding), tagger_of(theirs, "all")
    vectors = found.words(collate([text, both]))
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
        torch.testing.assert_close(together[row, : len(post.first)], alone[0], atol=1e-5, rtol=1e-5)


def test_without_regions_nothing_is_added(theirs):
    plain, seeing = Tagger(theirs, ["O"], 0.0), tagger_of(theirs, "all")
    assert {name for name in seeing.state_dict() if name not in plain.state_dict()} == {
        "projection.weight",
        "projection.bias",
    }, "the table of features is no part of the weights"
    text, _ = encoded()
    assert torch.equal(plain.words(collate([text])), seeing.words(collate([text])))
    seeing.emissions(collate([text])).sum().backward()
    assert seeing.projection.weight.grad is None
