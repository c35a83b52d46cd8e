"""Taggers made ready for inference on a CPU: as before in fp32, nearly so in bf16 and int8."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from ita.errors import UserError
from ita.model import frozen_linear
from ita.model.bert import Bert, EncoderConfig
from ita.model.frozen import FrozenBert
from ita.model.frozen_linear import NARROW_WEIGHT_LIMIT, VALUE_LIMIT, WEIGHT_LIMIT, Int8Product, PlainProduct, products
from ita.model.inference import predict_tags, prepare_arithmetic
from ita.model.inputs import ViewEncoder
from ita.model.tagger import Tagger

CPU = torch.device("cpu")
TAGS = ["O", "B-LOC", "I-LOC", "E-LOC", "S-LOC"]
LENGTHS = (3, 3, 9, 1, 40, 7, 7, 7)
"""Words of the posts; the fifth is read in several windows."""


class Letters:
    """A tokenizer whose subwords are the letters of a word."""

    cls_id, sep_id, max_length = 1, 2, 24

    def subwords(self, words):
        return [[ord(letter) - 90 for letter in word] for word in words]


def made_tagger(activation="gelu", beside=()):
    """A tagger with random weights, far enough from 0 that vectors differ."""
    torch.manual_seed(3)
    config = EncoderConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48,
        hidden_act=activation, max_position_embeddings=32, initializer_range=0.2,
    )  # fmt: skip
    encoders = [Bert(config) for _ in range(1 + len(beside))]
    for encoder in encoders:
        encoder.init_weights()
        for module in encoder.modules():
            if isinstance(module, torch.nn.Linear):
                torch.nn.init.normal_(module.bias)
    return Tagger(encoders[0], TAGS, 0.0, further_encoders=encoders[1:]).eval()


def made_views():
    draw = np.random.default_rng(1)
    posts = [["".join(map(chr, draw.integers(97, 122, draw.integers(1, 4)))) for _ in range(n)] for n in LENGTHS]
    return ViewEncoder(Letters(), 24).encode(posts)


def predictions(tagger, views, batch_size):
    return predict_tags(tagger, views, TAGS, batch_size=batch_size, device=CPU)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_fp32_gives_the_vectors_of_the_reference(monkeypatch, activation, packed):
    """Whatever the activation, with windows of long posts, and where torch has no packed products."""
    views, tagger = made_views(), made_tagger(activation)
    vectors = {}

    def kept(name):
        def hook(indices, words):
            lengths = [len(views[index].first_subword) for index in indices]
            vectors[name] = [row[:length] for row, length in zip(words, lengths, strict=True)]

        return hook

    predict_tags(tagger, views, TAGS, batch_size=8, device=CPU, hook=kept("reference"))
    reference = predictions(tagger, views, 8)
    monkeypatch.setattr(frozen_linear, "has_packed", lambda dtype: packed)
    assert prepare_arithmetic(tagger, CPU, "fp32") is torch.float32
    assert isinstance(tagger.encoder, FrozenBert)
    predict_tags(tagger, views, TAGS, batch_size=8, device=CPU, hook=kept("frozen"))
    for expected, actual in zip(vectors["reference"], vectors["frozen"], strict=True):
        torch.testing.assert_close(actual, expected, atol=2e-5, rtol=1e-4)
    for size in (1, 3, 8):
        for expected, actual in zip(reference, predictions(tagger, views, size), strict=True):
            assert actual.tags == expected.tags and actual.spans == expected.spans
            assert actual.posteriors == pytest.approx(expected.posteriors, abs=1e-4)


def test_every_encoder_of_a_system_is_frozen():
    views = [view._replace(beside=(view,)) for view in made_views()]
    tagger = made_tagger(beside=[None])
    reference = predictions(tagger, views, 8)
    prepare_arithmetic(tagger, CPU, "fp32")
    assert all(isinstance(encoder, FrozenBert) for encoder in tagger.encoders)
    assert [post.tags for post in predictions(tagger, views, 8)] == [post.tags for post in reference]


@pytest.mark.parametrize("vnni", [False, frozen_linear.cpu_has_vnni()])
def test_8_bits_are_the_products_of_rounded_numbers(monkeypatch, vnni):
    """One scale for each output and one for each row; no row depends on those beside it."""
    monkeypatch.setattr(frozen_linear, "cpu_has_vnni", lambda: vnni)
    torch.manual_seed(0)
    x, weight, bias = torch.randn(6, 48) * torch.logspace(-3, 3, 6).unsqueeze(1), torch.randn(20, 48), torch.randn(20)
    x[2] = 0
    product = Int8Product(weight, bias, "gelu")
    weight_scale = weight.abs().amax(1, keepdim=True) / (WEIGHT_LIMIT if vnni else NARROW_WEIGHT_LIMIT)
    x_scale = x.abs().amax(1, keepdim=True).clamp(min=1e-20) / VALUE_LIMIT
    rounded = (x / x_scale).round() * x_scale, (weight / weight_scale).round() * weight_scale
    expected = functional.gelu(functional.linear(*rounded, bias))
    torch.testing.assert_close(product(x), expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(product(x)[3:4], product(x[3:4]))
    residual = torch.randn(6, 20)
    torch.testing.assert_close(Int8Product(weight, bias)(x, residual), functional.linear(*rounded, bias) + residual)


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.05), ("int8", 0.1)])
def test_fewer_bits_give_nearly_the_same(precision, tolerance):
    x, weight, bias = torch.randn(16, 64), torch.randn(32, 64), torch.randn(32)
    exact = functional.linear(x, weight, bias)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    difference = products(precision)(weight, bias)(x.to(dtype)).float() - exact
    assert 0 < difference.norm() < tolerance * exact.norm()
    views, tagger = made_views(), made_tagger()
    reference = predictions(tagger, views, 8)
    prepare_arithmetic(tagger, CPU, precision)
    answers = predictions(tagger, views, 8)
    same = [
        a == b
        for post, other in zip(answers, reference, strict=True)
        for a, b in zip(post.tags, other.tags, strict=True)
    ]
    assert sum(same) > 0.8 * len(same)


def test_bf16_runs_where_the_processor_has_none(monkeypatch, caplog):
    """oneDNN packs bf16 weights on processors with AVX-512 alone."""
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    views, tagger = made_views(), made_tagger()
    reference = predictions(tagger, views, 8)
    prepare_arithmetic(tagger, CPU, "bf16")
    assert isinstance(tagger.encoder.layers[0].output, PlainProduct)
    assert tagger.encoder.layers[0].output.weight.dtype is torch.bfloat16
    assert "oneDNN has no products in it for this processor" in caplog.text
    tags, expected = (
        [tag for post in posts for tag in post.tags] for posts in (predictions(tagger, views, 8), reference)
    )
    assert sum(a == b for a, b in zip(tags, expected, strict=True)) > 0.8 * len(tags)


def test_8_bits_are_refused_where_there_are_none(monkeypatch):
    class Other(torch.nn.Module):
        config = EncoderConfig(model_type="deberta-v2", hidden_size=32)

    tagger = Tagger(Other(), TAGS, 0.0)
    with pytest.raises(UserError, match="type 'deberta-v2'"):
        prepare_arithmetic(tagger, CPU, "int8")
    assert prepare_arithmetic(tagger, CPU, "bf16") is torch.bfloat16
    with pytest.raises(UserError, match="for the CPU"):
        prepare_arithmetic(made_tagger(), torch.device("cuda"), "int8")
    monkeypatch.setattr(frozen_linear, "has_int8", lambda: False)
    with pytest.raises(UserError, match="leave out quantize"):
        prepare_arithmetic(made_tagger(), CPU, "int8")
