"""Encoders of other families work as BERT does, or are refused in one line that says why."""

import json

import pytest
import torch
import transformers

from ita.config import Encoder
from ita.data.visual_context import VisualContext
from ita.errors import UserError
from ita.model.batching import collate
from ita.model.checkpoint import load_encoder, load_model, max_input_length, save_model
from ita.model.encoder import first_subword_vectors
from ita.model.inputs import InputLayout, ViewEncoder
from ita.model.other_encoders import auto_class, check_vectors, position_limit
from ita.model.tagger import Tagger
from tests.support.families import make_encoder, small_config

ENCODERS = {
    "albert": {},
    "big_bird": {},
    "data2vec-text": {},
    "deberta": {},
    "deberta-v2": {},
    "distilbert": {},
    "electra": {},
    "esm": {"position_embedding_type": "absolute", "vocab_size": 60},
    "gpt2": {},
    "gpt_neox": {},
    "ibert": {},
    "longformer": {"attention_window": 4},
    "luke": {},
    "mamba": {},
    "mobilebert": {},
    "modernbert": {"global_attn_every_n_layers": 2},
    "mpnet": {},
    "mt5": {},
    "nomic_bert": {},
    "opt": {"word_embed_proj_dim": 16},
    "qwen2": {},
    "qwen3": {},
    "roberta-prelayernorm": {},
    "t5": {},
    "umt5": {},
    "xlm-roberta-xl": {},
    "xlnet": {},
}
"""Families, and what their tiny model needs beside small numbers."""
WITHOUT_START = {"gpt_neox", "mt5", "qwen2", "qwen3", "t5", "umt5"}
"""Families whose tokenizers have a token that ends a text and none that starts one."""
REFUSED = {
    "bart": "encoder-decoder",
    "clip": r"reads more than text \(text_config, vision_config\)",
    "fnet": "change with the padding",
    "lxmert": "gives no vectors of a text .*visual_feats",
    "vits": "gives no vectors of a text",
}
POSTS = [["ann", "w"], ["a", "man", "to", "rome", "house", "ann"]]
CONTEXTS = [VisualContext(["a", "house"], ["ga", "ga"]), VisualContext([], [])]


@pytest.mark.parametrize("family", ENCODERS)
def test_a_family_is_trained_saved_and_loaded(family, tmp_path):
    special = ["eos_token"] if family in WITHOUT_START else ["cls_token", "sep_token"]
    source = str(make_encoder(tmp_path / "source", family, special, **ENCODERS[family]))
    encoder, tokenizer = load_encoder(Encoder(model=source))
    length = max_input_length(encoder, tokenizer, 48)
    assert 40 <= length <= 48
    views = ViewEncoder(tokenizer, length)
    assert (views.encode(POSTS)[1].first_subword >= 0).all()
    batch = collate([views.encode(POSTS), views.encode(POSTS, CONTEXTS)])
    tagger = Tagger(encoder, ["O", "S-PER"], 0.0).train()
    tagger.emissions(batch).square().sum().backward()
    assert all(weight.grad.isfinite().all() for weight in tagger.parameters() if weight.grad is not None)
    emissions = tagger.eval().emissions(batch)
    run = tmp_path / "run"
    weights = {name: weight.detach().clone() for name, weight in tagger.state_dict().items()}
    save_model(run, weights, tagger.encoders, [tokenizer])
    settings = {"settings": {"train": {}, "system": {}}, "tags": ["O", "S-PER"], "max_length": length}
    (run / "settings.json").write_text(json.dumps(settings))
    loaded, again, _ = load_model(run)
    assert again.encode(POSTS)[0].ids.tolist() == views.encode(POSTS)[0].ids.tolist()
    torch.testing.assert_close(loaded.emissions(batch), emissions)
    opened = getattr(transformers, auto_class(encoder.config, family)).from_pretrained(run)
    for name, weight in encoder.state_dict().items():
        assert "pooler" in name or torch.equal(opened.state_dict()[name], weight), name


@pytest.mark.parametrize("family", ENCODERS)
def test_the_longest_input_of_a_family_fits(family, tmp_path):
    """A post of many windows and a context that is truncated fill whole rows."""
    source = make_encoder(tmp_path, family, ["eos_token"], **ENCODERS[family])
    encoder, tokenizer = load_encoder(Encoder(model=str(source)))
    views = ViewEncoder(tokenizer, max_input_length(encoder, tokenizer, 64))
    posts = views.encode([["ann", "went"] * 30, ["ann"]], [CONTEXTS[1], VisualContext(["to"] * 99, ["ga"] * 99)])
    assert max(posts[0].row_lengths) == views.max_length
    assert views.max_length - 3 < posts[1].row_lengths[0] <= views.max_length
    with torch.no_grad():
        vectors = first_subword_vectors(encoder.eval(), collate([posts]), "all")
    assert vectors.isfinite().all()


@pytest.mark.parametrize("family", REFUSED)
def test_models_that_cannot_be_encoders_say_why(family):
    name = f"setting encoders.*.model: 'x' (type {family})"
    with pytest.raises(UserError, match=REFUSED[family]) as refusal:
        config = small_config(family)
        auto_class(config, name)
        check_vectors(transformers.AutoModel.from_config(config), name)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 500
    assert str(refusal.value).startswith(f"{name} cannot be an encoder: ")


def test_a_check_leaves_the_model_and_the_random_numbers_as_they_were(tmp_path):
    model = transformers.AutoModel.from_config(small_config("distilbert")).train()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    check_vectors(model, "x")
    assert model.training and torch.equal(torch.rand(3), expected)


def test_tokenizers_without_special_tokens(tmp_path):
    source = str(make_encoder(tmp_path / "none", "distilbert", []))
    with pytest.raises(UserError, match="neither an eos nor a sep token"):
        load_encoder(Encoder(model=source))
    _, tokenizer = load_encoder(Encoder(model=str(make_encoder(tmp_path / "eos", "distilbert", ["eos_token"]))))
    assert tokenizer.cls_id is None
    post = ViewEncoder(tokenizer, 20).encode([["b", "a"]], [VisualContext(["c"], ["ga"])])[0]
    assert post.ids.tolist() == [4, 6, 4, 5, 3, 4, 7, 3] and post.first_subword.tolist() == [0, 2]
    mean = ViewEncoder(tokenizer, 20, InputLayout(pooling="mean")).encode([["b", "a"]])[0]
    assert mean.subword_words.tolist() == [0, 0, 1, 1, -1]
    windows = ViewEncoder(tokenizer, 5).encode([["b", "a", "c"]])[0]
    assert windows.ids.tolist() == [4, 6, 4, 5, 3, 4, 5, 4, 7, 3] and windows.row_lengths == (5, 5)
    assert [windows.ids[index + 1] for index in windows.first_subword] == [6, 5, 7]
    with pytest.raises(UserError, match="x_subword labels the token that starts a post"):
        ViewEncoder(tokenizer, 20, InputLayout(label_scheme="x_subword"))


def test_models_without_a_table_of_positions_have_no_limit():
    assert position_limit(transformers.AutoModel.from_config(small_config("xlnet"))) is None


def families():
    """Families with a model and a tokenizer in transformers."""
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    return sorted(set(MODEL_MAPPING_NAMES) & {name for name, tokenizer in TOKENIZER_MAPPING_NAMES.items() if tokenizer})


@pytest.mark.slow
@pytest.mark.parametrize("family", families())
def test_every_family_works_or_is_refused_in_one_line(family):
    try:
        config = small_config(family)
    except Exception as error:
        pytest.skip(f"no small configuration: {error}")
    try:
        auto = getattr(transformers, auto_class(config, family))
        try:
            with torch.device("meta"):
                size = sum(weight.numel() for weight in auto.from_config(config).parameters())
            model = auto.from_config(config, dtype=torch.float32) if size < 20_000_000 else None
        except Exception as error:
            pytest.skip(f"no small model: {error}")
        if model is None:
            pytest.skip(f"the smallest model has {size} weights")
        check_vectors(model, family)
        limit = position_limit(model)
        assert limit is None or 0 < limit <= config.max_position_embeddings
    except UserError as refusal:
        assert "\n" not in str(refusal) and "cannot be an encoder: " in str(refusal)
