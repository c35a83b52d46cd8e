"""Word vectors from packed subwords equal the encoder's own forward pass, in value and gradient."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, RobertaConfig, RobertaModel

from ita.model.batching import collate
from ita.model.bert import Bert, EncoderConfig, packable
from ita.model.encoder import first_subword_vectors
from ita.model.inputs import EncodedView, ViewEncoder
from ita.model.tagger import Tagger
from tests.support.letters import SIZES, Letters


@pytest.fixture(params=["bert", "roberta"])
def theirs(request):
    """A model of transformers."""
    torch.manual_seed(0)
    if request.param == "bert":
        config = BertConfig(**SIZES, pad_token_id=1, max_position_embeddings=40)
        return BertModel(config, add_pooling_layer=False).eval()
    config = RobertaConfig(**SIZES, pad_token_id=1, max_position_embeddings=42)
    return RobertaModel(config, add_pooling_layer=False).eval()


@pytest.fixture
def ours(theirs):
    """Ours with its weights."""
    bert = Bert(EncoderConfig.from_dict(theirs.config.to_dict()))
    bert.load_state_dict(theirs.state_dict())
    return bert.eval()


@pytest.fixture
def batch():
    views = ViewEncoder(Letters(), 16)
    posts = [["ab", "-", "c"], ["defg"] * 9, ["h"], ["-"], ["k", "lm"]]
    contexts = [(["no", "p"], ["ga"] * 2), ([], []), (["q"] * 30, ["ga"] * 30), (["r"], ["ga"]), ([], [])]
    text, both = views.encode(posts), views.encode(posts, contexts)
    assert len(text[1].row_lengths) > 2, "one post is read in windows"
    return collate([text, both])


@pytest.mark.parametrize("padding", ["attention", "none"])
def test_packed_equals_the_pass_of_transformers(theirs, ours, batch, padding):
    weights = torch.randn(len(batch.first_subwords), 16, generator=torch.Generator().manual_seed(1))
    results = []
    for encoder in (theirs, ours):
        vectors = first_subword_vectors(encoder, batch, padding)
        (vectors * weights).sum().backward()
        # Attention does not depend on the bias of keys: its gradient is rounding alone.
        grads = {n: p.grad for n, p in encoder.named_parameters() if p.grad is not None and "key.bias" not in n}
        results.append((vectors.detach(), grads))
    (expected, expected_grads), (vectors, grads) = results
    torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=1e-5)
    assert grads.keys() == expected_grads.keys()
    for name, grad in expected_grads.items():
        torch.testing.assert_close(grads[name], grad, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("padding", ["attention", "none", "all"])
def test_a_row_is_read_the_same_in_any_batch(theirs, ours, padding):
    encoder = theirs if padding == "all" else ours
    posts = ViewEncoder(Letters(), 16).encode([["ab", "c"], ["defgh"] * 2, ["i"]])
    together = first_subword_vectors(encoder, collate([posts]), padding)
    alone = torch.cat([first_subword_vectors(encoder, collate([[post]]), padding) for post in posts])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("padding", ["attention", "none", "all"])
@pytest.mark.parametrize("beside", [[], [["ab", "c"]]])
def test_posts_without_any_subword(theirs, ours, padding, beside):
    views = ViewEncoder(Letters(), 16)
    tagger = Tagger(theirs if padding == "all" else ours, ["O", "S-PER"], 0.0, padding=padding)
    batch = collate([views.encode(posts) for posts in (beside, [["-"], ["-", "-"]]) if posts])
    emissions = tagger.emissions(batch)
    torch.testing.assert_close(emissions[-2:, :1], tagger.linear.bias.expand(2, 1, 2))
    emissions.sum().backward()
    gradients = {name: p.grad for name, p in tagger.named_parameters() if p.grad is not None}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert {"linear.weight", "linear.bias"} <= gradients.keys()
    torch.testing.assert_close(
        gradients["linear.bias"], torch.full((2,), float(emissions.shape[0] * emissions.shape[1]))
    )
    assert bool(gradients["linear.weight"].any()) == bool(beside), "only words with subwords have a vector"


def test_dropout_is_that_of_transformers(theirs, ours, batch):
    """Both draw each factor independently, so the spread of the vectors over many passes must be the same."""
    torch.manual_seed(0)
    spread = []
    for encoder in (theirs.train(), ours.train()):
        with torch.no_grad():
            drawn = torch.stack([first_subword_vectors(encoder, batch, "attention") for _ in range(150)])
        spread.append((drawn.mean(0), drawn.std(0)))
    torch.testing.assert_close(spread[0][0], spread[1][0], atol=0.4, rtol=0)
    assert float(spread[1][1].mean()) == pytest.approx(float(spread[0][1].mean()), rel=0.05)


def test_weights_are_initialised_as_by_transformers(theirs):
    torch.manual_seed(1)
    ours = Bert(EncoderConfig.from_dict(theirs.config.to_dict()))
    ours.init_weights()
    for name, weight in theirs.state_dict().items():
        drawn = ours.state_dict()[name]
        assert float(drawn.mean()) == pytest.approx(float(weight.mean()), abs=0.01), name
        # A table may have a row of zeros for padding; transformers leaves some tables one.
        assert float(drawn.std()) == pytest.approx(float(weight.std()), abs=0.004 + 0.06 / weight.numel() ** 0.5), name


def test_other_encoders_run_their_own_pass():
    torch.manual_seed(0)
    model = DistilBertModel(DistilBertConfig(vocab_size=60, dim=16, n_layers=1, n_heads=2, hidden_dim=32)).eval()
    assert not packable(model.config.to_dict())
    tagger = Tagger(model, ["O"] * 3, 0.0)
    posts = ViewEncoder(Letters(), 16).encode([["ab", "c"], ["d"]])
    assert tagger.emissions(collate([posts])).shape == (2, 2, 3)


def test_decoders_and_relative_positions_are_not_packed():
    assert packable(BertConfig().to_dict())
    assert not packable(BertConfig(is_decoder=True).to_dict())
    assert not packable({"model_type": "bert", "position_embedding_type": "relative_key"})
    assert not packable({"model_type": "bert", "hidden_act": "swish"})


@pytest.mark.slow
def test_compiled_equals_eager(ours, batch):
    tagger = Tagger(ours, ["O"] * 3, 0.0).eval()
    eager = tagger.emissions(batch)
    tagger.compile_encoder()
    torch.testing.assert_close(tagger.emissions(batch), eager, atol=1e-5, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("padding", ["none", "attention"])
def test_on_a_gpu(ours, batch, padding):
    from ita.model.batching import to_device

    expected = first_subword_vectors(ours, batch, "attention")
    moved = to_device(batch, torch.device("cuda"))
    torch.testing.assert_close(first_subword_vectors(ours.cuda(), moved, padding).cpu(), expected, atol=1e-3, rtol=1e-3)
    with torch.autocast("cuda", torch.bfloat16):
        rough = first_subword_vectors(ours.train(), moved, padding)
        rough.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in ours.parameters() if p.grad is not None)


def test_a_post_without_subwords_is_possible():
    post = EncodedView(np.array([2, 3], np.int32), (2,), np.array([-1], np.int32), 0)
    batch = collate([[post]])
    assert batch.first_subwords.shape == (0,)
    assert batch.word_index.tolist() == [[-1]]
