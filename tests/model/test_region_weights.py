"""VinVL's own weights for image regions, read from a checkpoint in the layout it is published in."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from ita.config import Encoder
from ita.io.features import POSITION_WIDTH
from ita.model.checkpoint import load_encoder, load_model
from ita.model.region_weights import init_projection
from ita.model.tagger import region_projection
from tests.model.conftest import WIDTH
from tests.support.runs import trained

VINVL = {
    "context": "ga",
    "context_segment": "second",
    "regions": "vinvl",
    "region_boxes": True,
    "region_embedding": "normalised",
    "views": ["it"],
}
NAMES = ["img_embedding.weight", "img_embedding.bias", "LayerNorm.weight", "LayerNorm.bias"]


def published(folder, tiny_encoder, lacking=(), width=WIDTH + POSITION_WIDTH, **config):
    """A checkpoint of BertImgModel as published: prefix, head, old names, config.json of Oscar, no tokenizer.json."""
    folder.mkdir()
    weights = {f"bert.{name}": weight for name, weight in load_file(tiny_encoder / "model.safetensors").items()}
    draw = torch.Generator().manual_seed(5)
    for name, shape in zip(NAMES, ((16, width), (16,), (16,), (16,)), strict=True):
        weights[f"bert.{name}"] = torch.randn(shape, generator=draw)
    weights["cls.predictions.transform.LayerNorm.weight"] = torch.zeros(16)
    weights["cls.seq_relationship.bias"] = torch.zeros(2)
    weights = {name: weight for name, weight in weights.items() if name.removeprefix("bert.") not in lacking}
    save_file({old(name): weight for name, weight in weights.items()}, folder / "model.safetensors")
    about = json.loads((tiny_encoder / "config.json").read_text())
    kept = {key: value for key, value in about.items() if key not in ("model_type", "architectures")}
    kept |= {"img_feature_dim": width, "img_feature_type": "frcnn", "use_img_layernorm": 1, **config}
    (folder / "config.json").write_text(json.dumps(kept))
    (folder / "vocab.txt").write_text((tiny_encoder / "vocab.txt").read_text())
    return folder


def old(name):
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def weights_of(folder):
    return load_file(folder / "model.safetensors")


def train(pictured, output, encoder, system=VINVL, expect=0):
    objects = [pictured[0] / "objects" / shard.name for shard in pictured[1]] if "region_boxes" in system else []
    # No rate to speak of: the run folder holds what training began with.
    options = {"epochs": 1, "learning_rate": 1e-30, "crf_learning_rate": 1e-30}
    return trained(pictured[0], output, encoder, system, expect, pictured[1], objects, **options)


def test_the_projection_begins_with_the_weights_of_the_checkpoint(pictured, tiny_encoder, tmp_path):
    folder = published(tmp_path / "vinvl", tiny_encoder)
    run = train(pictured, tmp_path / "run", folder)
    theirs = weights_of(folder)
    projection = load_model(run)[0].projection
    for (_, ours), name in zip(projection.state_dict().items(), NAMES, strict=True):
        assert torch.equal(ours, theirs[old(f"bert.{name}")]), name
    plain, encoder = weights_of(tiny_encoder), load_model(run)[0].encoder.state_dict()
    for name, weight in encoder.items():
        torch.testing.assert_close(weight, plain[name], atol=1e-20, rtol=0)  # a bias of zero moves by the rate
    assert json.loads((run / "settings.json").read_text())["regions"]["projection"] == "encoder"


def test_weights_that_are_published_as_a_pickle_of_tensors(pictured, tiny_encoder, tmp_path):
    folder = published(tmp_path / "vinvl", tiny_encoder)
    weights = weights_of(folder)
    (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    model, _ = load_encoder(Encoder(model=str(folder)))
    assert model.region_weights.keys() == set(NAMES)
    assert torch.equal(model.region_weights["LayerNorm.bias"], weights["bert.LayerNorm.beta"])


def test_the_tokenizer_of_a_vocabulary_alone(tiny_encoder, tmp_path):
    folder = published(tmp_path / "vinvl", tiny_encoder)
    ours, theirs = (load_encoder(Encoder(model=str(path)))[1] for path in (folder, tiny_encoder))
    words = ["Ab", "x", "abc!", "\u00e9", "\ufe0f"]
    assert ours.subwords(words) == theirs.subwords(words)
    assert (ours.cls_id, ours.sep_id) == (theirs.cls_id, theirs.sep_id)
    ours.save(tmp_path / "saved")
    shutil.copy(tiny_encoder / "config.json", tmp_path / "saved")
    again = load_encoder(Encoder(model=str(tmp_path / "saved"), pretrained=False))[1]
    assert again.subwords(words) == ours.subwords(words)


@pytest.mark.parametrize("lacking", NAMES)
def test_a_missing_weight_is_refused_by_name(pictured, tiny_encoder, tmp_path, capsys, lacking):
    folder = published(tmp_path / "vinvl", tiny_encoder, [lacking])
    train(pictured, tmp_path / "run", folder, expect=1)
    message = capsys.readouterr().err
    assert f"the weights of the encoder lack {lacking}; use a whole checkpoint" in message
    assert ("region_embedding to plain" in message) == lacking.startswith("LayerNorm")


def test_a_missing_weight_of_bert_is_refused_by_name(pictured, tiny_encoder, tmp_path, capsys):
    folder = published(tmp_path / "vinvl", tiny_encoder, ["embeddings.position_embeddings.weight"])
    train(pictured, tmp_path / "run", folder, expect=1)
    assert "lack embeddings.position_embeddings.weight; use a whole checkpoint" in capsys.readouterr().err


def test_all_missing_is_not_drawn_anew(pictured, tiny_encoder, tmp_path, capsys):
    """The configuration says that the encoder reads regions."""
    train(pictured, tmp_path / "run", published(tmp_path / "vinvl", tiny_encoder, NAMES), expect=1)
    assert f"lack {', '.join(NAMES)}" in capsys.readouterr().err


def test_another_width_is_refused(pictured, tiny_encoder, tmp_path, capsys):
    folder = published(tmp_path / "vinvl", tiny_encoder)
    system = {key: value for key, value in VINVL.items() if key != "region_boxes"}
    train(pictured, tmp_path / "run", folder, system, expect=1)
    message = capsys.readouterr().err
    assert f"img_embedding.weight of the encoder is (16, {WIDTH + 6}), expected (16, {WIDTH})" in message
    assert "region_boxes: true" in message


def test_a_normalisation_is_not_left_unread(pictured, tiny_encoder, tmp_path, capsys):
    folder = published(tmp_path / "vinvl", tiny_encoder)
    train(pictured, tmp_path / "run", folder, {**VINVL, "region_embedding": "plain"}, expect=1)
    assert "plain does not read LayerNorm.weight, LayerNorm.bias" in capsys.readouterr().err
    without = published(tmp_path / "noln", tiny_encoder, NAMES[2:], use_img_layernorm=0)
    run = train(pictured, tmp_path / "plain", without, {**VINVL, "region_embedding": "plain"})
    projection = load_model(run)[0].projection
    assert torch.equal(projection.weight, weights_of(without)["bert.img_embedding.weight"])


def test_a_plain_encoder_has_a_projection_of_its_own(pictured, tiny_encoder, tmp_path):
    run = train(pictured, tmp_path / "run", tiny_encoder)
    assert json.loads((run / "settings.json").read_text())["regions"]["projection"] == "random"
    assert load_encoder(Encoder(model=str(tiny_encoder)))[0].region_weights is None


def test_the_checkpoint_says_how_much_the_normalisation_adds(tiny_encoder, tmp_path):
    folder = published(tmp_path / "vinvl", tiny_encoder, img_layer_norm_eps=1e-5)
    model, _ = load_encoder(Encoder(model=str(folder)))
    projection = region_projection(WIDTH + POSITION_WIDTH, model.config, "normalised")
    assert projection[1].eps == 1e-5
    assert init_projection(projection, model, "normalised") == "encoder"
    assert init_projection(None, model, "normalised") is None
