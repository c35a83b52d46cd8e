"""Several encoders side by side: what each reads, vectors joined at words, run folders, and what is refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer, DistilBertConfig, DistilBertModel

from ita.commands import predict
from ita.config import Encoder, System, load
from ita.data.visual_context import VisualContext
from ita.errors import ConfigError
from ita.model.batching import collate
from ita.model.checkpoint import load_encoder, load_model
from ita.model.inputs import InputLayout, ViewEncoder, side_by_side
from ita.model.tagger import Tagger, input_layout
from tests.model.conftest import WIDTH
from tests.support.runs import digest, evaluated, trained

POSTS = [["Aab", "x"], ["abc"] * 30, ["c", "\ufe0f", "ba"]]
CONTEXTS = [VisualContext(["cd", "e"], ["la"] * 2), VisualContext(["b"], ["la"]), VisualContext([], [])]
SYSTEM = {
    "context": "ga",
    "context_segment": "second",
    "regions": "vinvl",
    "region_embedding": "normalised",
    "views": ["it"],
    "encoders": ["{encoder}", "pairs"],
}


@pytest.fixture(scope="module")
def encoders(tiny_encoder, pairs_encoder):
    """Both encoders with their tokenizers."""
    return [load_encoder(Encoder(model=str(folder))) for folder in (tiny_encoder, pairs_encoder)]


def regions():
    """Rows of the table of features of each post."""
    import numpy as np

    return [np.array(rows, np.int32) for rows in ([0, 1], [2], [3])]


def views_of(encoders, layout):
    """View encoders of both together, and of each alone."""
    tokenizers, lengths = [tokenizer for _, tokenizer in encoders], [64, 48]
    together = side_by_side(tokenizers, lengths, layout)
    return together, [ViewEncoder(*pair, layout) for pair in zip(tokenizers, lengths, strict=True)]


def equal(one, other):
    """Whether two views hold the same."""
    return all(str(ours) == str(theirs) for ours, theirs in zip(one, other, strict=True))


def test_the_last_encoder_alone_reads_the_image(encoders):
    together, (text, image) = views_of(encoders, InputLayout(context_token_type=1))
    for post, first, last in zip(together.encode(POSTS), text.encode(POSTS), image.encode(POSTS), strict=True):
        assert equal(post._replace(beside=()), first) and equal(post.beside[0], last)
    joined = together.encode(POSTS, CONTEXTS, regions())
    for post, first, last in zip(joined, text.encode(POSTS), image.encode(POSTS, CONTEXTS, regions()), strict=True):
        assert equal(post._replace(beside=(), truncated=0), first) and equal(post.beside[0], last)
        assert post.truncated == last.truncated and post.length == first.length + last.length
    assert len(joined[1].row_lengths) > 1 and len(joined[1].beside[0].row_lengths) > 1, "read in windows by both"
    assert [post.has_regions for post in joined] == [True, False, True]
    assert len(joined[0].ids) != len(joined[0].beside[0].ids) - 5, "tokenizers cut differently"


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_vectors_of_words_are_those_of_each_encoder_alone(encoders, pooling):
    system = load(System, {**SYSTEM, "pooling": pooling})
    layout = input_layout(system)
    together, (text, image) = views_of(encoders, layout)
    (first, _), (last, _) = encoders
    torch.manual_seed(3)
    both = Tagger(first, ["O", "S-PER"], 0.0, region_dim=WIDTH, system=system, further_encoders=[last]).eval()
    assert both.linear.in_features == 16 + 24 and both.projection[0].out_features == 24
    with_image = Tagger(last, ["O", "S-PER"], 0.0, region_dim=WIDTH, system=system).eval()
    with_image.projection.load_state_dict(both.projection.state_dict())
    plain = Tagger(first, ["O", "S-PER"], 0.0).eval()
    for tagger in (both, with_image):
        tagger.set_region_features(torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(4)))
    batch = collate([together.encode(POSTS, CONTEXTS, regions())], layout)
    alone = [
        plain.word_vectors(collate([text.encode(POSTS)], layout)),
        with_image.word_vectors(collate([image.encode(POSTS, CONTEXTS, regions())], layout)),
    ]
    torch.testing.assert_close(both.word_vectors(batch), torch.cat(alone, 2), atol=0, rtol=0)
    assert batch.size == sum(len(part.positions) for part in (batch, *batch.beside))


def train(pictured, tiny_encoder, pairs_encoder, output, system=SYSTEM, expect=0, **overrides):
    features = pictured[1] if "regions" in system else ()
    return trained(pictured[0], output, tiny_encoder, system, expect, features, further=[pairs_encoder], **overrides)


def test_a_run_folder_holds_both_encoders(pictured, tiny_encoder, pairs_encoder, tmp_path, capsys):
    run = train(pictured, tiny_encoder, pairs_encoder, tmp_path, epochs=1)
    tagger, encoder, settings = load_model(run)
    assert [part.config.hidden_size for part in tagger.encoders] == [16, 24]
    assert [part.max_length for part in encoder.parts] == [64, 48]
    assert (settings["max_length"], settings["further_max_lengths"]) == (64, [48])
    assert encoder.parts[1].tokenizer.subwords(["aab"]) != encoder.parts[0].tokenizer.subwords(["aab"])
    assert {file.name for file in (run / "encoders" / "2").iterdir()} >= {"config.json", "tokenizer.json"}
    assert not list((run / "encoders").rglob("*.safetensors")), "all weights are in one file"
    _, report = AutoModel.from_pretrained(run, output_loading_info=True)
    assert all("pooler" in name for name in report["missing_keys"]), "the first one opens in transformers"
    with pytest.raises(OSError, match="no file named model.safetensors"):
        AutoModel.from_pretrained(run / "encoders" / "2")
    (tmp_path / "posts.txt").write_text('aa xb cc\n{"text": "b xc", "context": "b"}\n')
    capsys.readouterr()
    assert predict.main([str(run), str(tmp_path / "posts.txt")]) == 0
    assert [json.loads(line)["view"] for line in capsys.readouterr().out.splitlines()] == ["t", "it"]


def test_both_vocabularies_are_trimmed(pictured, tiny_encoder, pairs_encoder, tmp_path):
    whole, trimmed = (
        load_file(
            train(pictured, tiny_encoder, pairs_encoder, tmp_path / str(trim), epochs=2, trim_vocabulary=trim)
            / "model.safetensors"
        )
        for trim in (False, True)
    )
    assert whole.keys() == trimmed.keys()
    for name, weight in whole.items():
        torch.testing.assert_close(trimmed[name], weight, atol=1e-5, rtol=1e-4, msg=name)
    before = load_file(pairs_encoder / "model.safetensors")["embeddings.word_embeddings.weight"]
    after = trimmed["further_encoders.0.embeddings.word_embeddings.weight"]
    changed = (after != before).any(1)
    assert changed.any() and not changed.all()


def test_the_second_encoder_learns(pictured, tiny_encoder, pairs_encoder, tmp_path):
    runs = [
        train(pictured, tiny_encoder, pairs_encoder, tmp_path / str(rate), learning_rate=rate) for rate in (1e-3, 5e-3)
    ]
    slow, fast = (load_file(run / "model.safetensors") for run in runs)
    name = "further_encoders.0.encoder.layer.0.output.dense.weight"
    assert (slow[name] - fast[name]).abs().max() > 1e-4
    assert digest(runs[0]) != digest(runs[1])


def test_an_encoder_of_another_family_beside_ours(pictured, tiny_encoder, pairs_encoder, tmp_path):
    folder = tmp_path / "distil"
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64}
    DistilBertModel(DistilBertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    run = train(pictured, folder, pairs_encoder, tmp_path / "run", epochs=1)
    assert isinstance(load_model(run)[0].encoders[0], DistilBertModel)
    assert set(evaluated(pictured[0], run, pictured[1])["scores"]["test"]) == {"t", "it"}
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["encoder"]["further_models"] == [str(pairs_encoder)]


def test_an_encoder_that_lacks_a_weight_is_refused_whichever_it_is(
    pictured, tiny_encoder, pairs_encoder, tmp_path, capsys
):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(pairs_encoder, broken)
    weights = load_file(broken / "model.safetensors")
    del weights["embeddings.LayerNorm.weight"]
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    train(pictured, tiny_encoder, broken, tmp_path / "run", expect=1)
    assert "lack embeddings.LayerNorm.weight; use a whole checkpoint" in capsys.readouterr().err


def test_a_list_of_another_length_is_refused(pictured, tiny_encoder, pairs_encoder, tmp_path, capsys):
    train(pictured, tiny_encoder, pairs_encoder, tmp_path, {**SYSTEM, "encoders": ["a", "b", "c"]}, expect=1)
    assert "a, b, c, so further_encoders must hold 2; found 1" in capsys.readouterr().err


@pytest.mark.parametrize("other", [{"fusion": "umt"}, {"label_scheme": "x_subword"}, {"relation_gate": True}])
def test_what_cannot_be_joined_at_words_is_refused(other):
    with pytest.raises(ConfigError, match="several encoders are joined at words"):
        load(System, {**SYSTEM, **other})
