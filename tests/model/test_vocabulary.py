"""Training on the used part of the vocabulary is the same training."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from ita.config import Encoder
from ita.model.checkpoint import load_encoder
from tests.support.runs import history, trained


@pytest.fixture(scope="module")
def both(corpus, tiny_encoder, tmp_path_factory):
    root = tmp_path_factory.mktemp("vocabulary")
    return [trained(corpus, root / str(on), tiny_encoder, trim_vocabulary=on) for on in (False, True)]


def test_losses_and_weights_are_the_same(both):
    whole, pruned = (load_file(run / "model.safetensors") for run in both)
    assert whole.keys() == pruned.keys()
    for name, weight in whole.items():
        torch.testing.assert_close(pruned[name], weight, atol=1e-5, rtol=1e-4, msg=name)
    for one, other in zip(*map(history, both), strict=True):
        assert {k: float(v) for k, v in one.items()} == pytest.approx({k: float(v) for k, v in other.items()}, rel=1e-4)


def test_rows_that_never_occur_stay_as_they_were(both, tiny_encoder):
    before = load_encoder(Encoder(model=str(tiny_encoder)))[0].embeddings.word_embeddings.weight
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    for run in both:
        after = load_file(run / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
        changed = (after != before).any(1)
        assert not changed[tokenizer.convert_tokens_to_ids(["z", "9", "##q", "[MASK]", "[PAD]"])].any()
        assert changed[tokenizer.convert_tokens_to_ids(["a", "x", "[CLS]", "[SEP]"])].all()


def test_weight_decay_needs_every_row(corpus, tiny_encoder, tmp_path):
    """Decay shrinks rows that never occur, so then nothing may be left out."""
    runs = [
        trained(corpus, tmp_path / str(on), tiny_encoder, trim_vocabulary=on, weight_decay=0.1) for on in (0 > 1, True)
    ]
    whole, asked = (load_file(run / "model.safetensors") for run in runs)
    assert all(torch.equal(whole[name], asked[name]) for name in whole)
