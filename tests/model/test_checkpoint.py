"""Encoders from folders of every make, and model folders of every kind of encoder."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    RobertaConfig,
    RobertaModel,
)

from ita.config import Encoder
from ita.errors import UserError
from ita.model.batching import collate
from ita.model.bert import Bert
from ita.model.checkpoint import load_encoder, load_model
from tests.support.runs import evaluated, trained


@pytest.fixture
def copied(tiny_encoder, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_encoder, folder)
    return folder


def loaded(folder):
    return load_encoder(Encoder(model=str(folder)))[0]


def same(one, other):
    return one.state_dict().keys() == other.state_dict().keys() and all(
        torch.equal(weight, other.state_dict()[name]) for name, weight in one.state_dict().items()
    )


def test_weights_are_those_of_transformers(tiny_encoder):
    theirs = BertModel.from_pretrained(tiny_encoder).state_dict()
    ours = loaded(tiny_encoder)
    assert isinstance(ours, Bert)
    assert theirs.keys() - ours.state_dict().keys() == {"pooler.dense.weight", "pooler.dense.bias"}
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.state_dict().items())
    assert all(weight.requires_grad for weight in ours.parameters())


def test_old_names_and_heads(copied, tiny_encoder):
    """As in checkpoints of BERT from its first years: a prefix, gamma and beta, and a head."""
    weights = load_file(copied / "model.safetensors")

    def old(name):
        return "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")

    named = {old(name): weight for name, weight in weights.items()}
    save_file({**named, "cls.predictions.bias": torch.zeros(3)}, copied / "model.safetensors", {"format": "pt"})
    assert same(loaded(copied), loaded(tiny_encoder))


def test_weights_in_several_files(copied, tiny_encoder):
    (copied / "model.safetensors").unlink()
    BertModel.from_pretrained(tiny_encoder).save_pretrained(copied, max_shard_size="8KB")
    assert len(list(copied.glob("model-*.safetensors"))) > 1
    assert same(loaded(copied), loaded(tiny_encoder))


def test_broken_folders_are_named(copied):
    about = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**about, "hidden_size": 32}))
    with pytest.raises(UserError, match="do not fit"):
        loaded(copied)
    (copied / "config.json").write_text("[]")
    with pytest.raises(UserError, match="no JSON object"):
        loaded(copied)
    (copied / "config.json").write_text(json.dumps(about))
    (copied / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match="cannot be read"):
        loaded(copied)
    (copied / "model.safetensors").unlink()
    torch.save({}, copied / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        loaded(copied)


def test_random_weights_come_from_the_seed(tiny_encoder):
    def drawn(seed):
        torch.manual_seed(seed)
        return load_encoder(Encoder(model=str(tiny_encoder), pretrained=False))[0]

    assert same(drawn(1), drawn(1))
    assert not same(drawn(1), drawn(2))


def test_an_encoder_of_another_family_through_the_stages(corpus, tiny_encoder, tmp_path):
    folder = tmp_path / "distil"
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64}
    DistilBertModel(DistilBertConfig(vocab_size=len(AutoTokenizer.from_pretrained(folder)), **sizes)).save_pretrained(
        folder
    )
    run = trained(corpus, tmp_path / "run", folder, epochs=1)
    assert isinstance(load_model(run)[0].encoder, DistilBertModel)
    assert set(evaluated(corpus, run)["scores"]["test"]) == {"t", "it"}


def test_the_pass_of_transformers_through_the_stages(corpus, tiny_encoder, tmp_path):
    """``padding: all`` trains the same model up to the draws of dropout, and is read as it was trained."""
    run = trained(corpus, tmp_path, tiny_encoder, epochs=1, padding="all")
    assert isinstance(load_model(run)[0].encoder, BertModel)
    assert set(evaluated(corpus, run)["scores"]["test"]) == {"t", "it"}


@pytest.mark.parametrize("lacking", ["embeddings.word_embeddings.weight", "encoder.layer.1.attention.self.key.bias"])
def test_a_checkpoint_that_lacks_a_weight_is_refused_by_name(copied, lacking):
    weights = load_file(copied / "model.safetensors")
    del weights[lacking]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=rf"lack {re.escape(lacking)}; use a whole checkpoint"):
        load_encoder(Encoder(model=str(copied)))


FAMILIES = {
    "roberta": (RobertaModel, RobertaConfig, {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}),
    "distil": (DistilBertModel, DistilBertConfig, {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}),
}


@pytest.fixture(params=["bert", "bert, the pass of transformers", *FAMILIES])
def family_run(request, corpus, tiny_encoder, tmp_path):
    """A run of an encoder of each make."""
    folder = tiny_encoder
    if request.param in FAMILIES:
        model, config, sizes = FAMILIES[request.param]
        folder = tmp_path / "encoder"
        tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
        tokenizer.save_pretrained(folder)
        torch.manual_seed(0)
        sizes = {**sizes, "vocab_size": len(tokenizer), "max_position_embeddings": 66, "pad_token_id": 0}
        model(config(**sizes)).save_pretrained(folder)
    padding = "all" if "pass" in request.param else "auto"
    return trained(corpus, tmp_path / "run", folder, epochs=1, padding=padding), folder


def test_transformers_opens_a_run_folder_with_the_trained_weights(family_run):
    run, start = family_run
    tagger, encoder, _ = load_model(run)
    view = encoder.encode([["aa", "xb", "cc"]])[0]
    theirs, report = AutoModel.from_pretrained(run, output_loading_info=True)
    assert all("pooler" in name for name in report["missing_keys"]), "no weight of the encoder is drawn"
    tokens = AutoTokenizer.from_pretrained(run)(["aa", "xb", "cc"], is_split_into_words=True, return_tensors="pt")
    assert tokens["input_ids"][0].tolist() == view.ids.tolist()
    with torch.no_grad():
        hidden = theirs.eval()(input_ids=tokens["input_ids"]).last_hidden_state
        ours = tagger.word_vectors(collate([[view]], tagger.layout))
        untrained = AutoModel.from_pretrained(start).eval()(input_ids=tokens["input_ids"]).last_hidden_state
    words = torch.from_numpy(view.first_subword)
    torch.testing.assert_close(hidden[0, words], ours[0], atol=1e-5, rtol=1e-4)
    assert (hidden - untrained).abs().max() > 1e-3, "training moved them"


def test_weights_under_the_names_of_earlier_versions_are_read(corpus, tiny_encoder, tmp_path):
    run = trained(corpus, tmp_path, tiny_encoder, epochs=1)
    before = load_model(run)[0].state_dict()
    weights = load_file(run / "model.safetensors")
    old = {name.replace("bert.", "encoder."): weight for name, weight in weights.items()}
    assert old.keys() == before.keys() != weights.keys()
    save_file(old, run / "model.safetensors", {"format": "pt"})
    settings = json.loads((run / "settings.json").read_text())
    del settings["sha256"]  # these had none
    (run / "settings.json").write_text(json.dumps(settings))
    after = load_model(run)[0].state_dict()
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())
