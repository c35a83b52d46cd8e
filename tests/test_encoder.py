"""Word vectors from packed pieces equal the encoder's own forward pass, in value and gradient."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, RobertaConfig, RobertaModel

from ita.corpus.batches import collate
from ita.corpus.views import Encoded, ViewEncoder
from ita.model.encoder import dropout, keep, packable, word_vectors
from ita.model.tagger import Tagger

SIZES = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}


class Letters:
    """A tokenizer whose pieces are letters; words of other signs have none."""

    cls_token_id, sep_token_id, eos_token_id, pad_token_id = 2, 3, None, 1

    def __call__(self, words, **_):
        class Ids:
            input_ids = [[ord(sign) - 90 for sign in word if sign.isalpha()] for (word,) in words]

        return Ids


@pytest.fixture(params=["bert", "roberta"])
def encoder(request):
    torch.manual_seed(0)
    if request.param == "bert":
        model = BertModel(BertConfig(**SIZES, pad_token_id=1, max_position_embeddings=40), add_pooling_layer=False)
    else:
        model = RobertaModel(
            RobertaConfig(**SIZES, pad_token_id=1, max_position_embeddings=42), add_pooling_layer=False
        )
    return model.eval()


@pytest.fixture
def batch():
    views = ViewEncoder(Letters(), 16)
    posts = [["ab", "-", "c"], ["defg"] * 9, ["h"], ["-"], ["k", "lm"]]
    contexts = [(["no", "p"], ["ga"] * 2), ([], []), (["q"] * 30, ["ga"] * 30), (["r"], ["ga"]), ([], [])]
    text, both = views.encode(posts), views.encode(posts, contexts)
    assert len(text[1].rows) > 2, "one post is read in windows"
    return collate([text, both])


@pytest.mark.parametrize("padding", ["attention", "none"])
def test_packed_equals_the_encoders_own_pass(encoder, batch, padding):
    weights = torch.randn(len(batch.read), 16, generator=torch.Generator().manual_seed(1))
    results = {}
    for way in ("all", padding):
        encoder.zero_grad()
        vectors = word_vectors(encoder, batch, way)
        (vectors * weights).sum().backward()
        # Attention does not depend on the bias of keys: its gradient is rounding alone.
        grads = {n: p.grad for n, p in encoder.named_parameters() if p.grad is not None and "key.bias" not in n}
        results[way] = vectors.detach(), grads
    torch.testing.assert_close(results[padding][0], results["all"][0], atol=1e-5, rtol=1e-5)
    assert results[padding][1].keys() == results["all"][1].keys()
    for name, grad in results["all"][1].items():
        torch.testing.assert_close(results[padding][1][name], grad, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("padding", ["attention", "none", "all"])
def test_a_row_is_read_the_same_in_any_batch(encoder, padding):
    posts = ViewEncoder(Letters(), 16).encode([["ab", "c"], ["defgh"] * 2, ["i"]])
    together = word_vectors(encoder, collate([posts]), padding)
    alone = torch.cat([word_vectors(encoder, collate([[post]]), padding) for post in posts])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


def test_dropout_is_that_of_the_encoder(encoder, batch):
    """Both ways draw each factor independently, so the spread of the vectors over many passes must be the same."""
    encoder.train()
    torch.manual_seed(0)
    spread = {}
    for way in ("all", "attention"):
        with torch.no_grad():
            drawn = torch.stack([word_vectors(encoder, batch, way) for _ in range(150)])
        spread[way] = drawn.mean(0), drawn.std(0)
    torch.testing.assert_close(spread["all"][0], spread["attention"][0], atol=0.4, rtol=0)
    assert float(spread["attention"][1].mean()) == pytest.approx(float(spread["all"][1].mean()), rel=0.05)


def test_dropout_factors():
    torch.manual_seed(3)
    x = torch.randn(999, 33, requires_grad=True)
    factors = keep(x, 0.1)
    assert factors.shape == x.shape
    assert factors.unique().tolist() == pytest.approx([0, 1 / 0.9], rel=1e-4)
    assert float((factors == 0).float().mean()) == pytest.approx(0.1, abs=0.01)
    for offset in (1, 2, 3, 4, 33):
        together = float(((factors.flatten()[offset:] == 0) & (factors.flatten()[:-offset] == 0)).float().mean())
        assert together == pytest.approx(0.01, abs=0.002), "neighbours are drawn independently"
    module = torch.nn.Dropout(0.1)
    torch.manual_seed(4)
    one = dropout(x, module)
    torch.manual_seed(4)
    assert torch.equal(one, dropout(x, module))
    assert dropout(x, module.eval()) is x


def test_other_encoders_run_their_own_pass():
    torch.manual_seed(0)
    model = DistilBertModel(DistilBertConfig(vocab_size=60, dim=16, n_layers=1, n_heads=2, hidden_dim=32)).eval()
    assert not packable(model.config)
    tagger = Tagger(model, ["O"] * 3, 0.0)
    assert tagger.padding_on(torch.device("cpu")) == "all"
    posts = ViewEncoder(Letters(), 16).encode([["ab", "c"], ["d"]])
    assert tagger.emissions(collate([posts])).shape == (2, 2, 3)


def test_decoders_and_relative_positions_are_not_packed():
    assert packable(BertConfig())
    assert not packable(BertConfig(is_decoder=True))
    relative = BertConfig()
    relative.position_embedding_type = "relative_key"
    assert not packable(relative)


@pytest.mark.slow
def test_compiled_equals_eager(encoder, batch):
    tagger = Tagger(encoder, ["O"] * 3, 0.0).eval()
    eager = tagger.emissions(batch)
    tagger.compile_encoder()
    torch.testing.assert_close(tagger.emissions(batch), eager, atol=1e-5, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("padding", ["none", "attention"])
def test_on_a_gpu(encoder, batch, padding):
    from ita.corpus.batches import on_device

    expected = word_vectors(encoder, batch, "all")
    moved = on_device(batch, torch.device("cuda"))
    torch.testing.assert_close(word_vectors(encoder.cuda(), moved, padding).cpu(), expected, atol=1e-3, rtol=1e-3)
    with torch.autocast("cuda", torch.bfloat16):
        rough = word_vectors(encoder.train(), moved, padding)
        rough.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)


def test_a_post_without_pieces_is_possible():
    post = Encoded(np.array([2, 3], np.int32), (2,), np.array([-1], np.int32), 0)
    batch = collate([[post]])
    assert batch.read.shape == (0,)
    assert batch.first.tolist() == [[-1]]
