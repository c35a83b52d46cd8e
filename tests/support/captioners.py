"""Captioners of random weights and inputs of theirs."""

import json

import torch
from safetensors.torch import save_file

from ita.model.bert import EncoderConfig
from ita.vision.captioners.oscar.network import BertForImageCaptioning
from ita.vision.captioners.updown.captioner import MODELS
from ita.vision.captioners.updown.recurrent import Options
from ita.vision.types import DetectedObject, Regions

SUBWORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", "do", "not", "##s", "a", "man", "dog", "##gy"]
SUBWORDS += ["cat", *(f"word{i}" for i in range(30))]
WORDS = {str(i): f"w{i}" for i in range(1, 12)} | {"12": "UNK"}


def regions_of(count, width, labels=("man",), seed=0):
    """Regions of an image with ``count`` objects."""
    torch.manual_seed(seed + 100 * count)
    corners = (torch.rand(count, 2) * 50).tolist()
    objects = [
        DetectedObject(labels[i % len(labels)], 0.9, (x, y, x + 20.0, y + 10.0)) for i, (x, y) in enumerate(corners)
    ]
    return Regions(objects, torch.randn(count, width), (100, 80))


def oscar_config(**changes):
    """config.json of a small captioner of Oscar: features of width 4 and position."""
    return {
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "vocab_size": len(SUBWORDS),
        "max_position_embeddings": 80,
        "img_feature_dim": 10,
        "img_feature_type": "frcnn",
        "use_img_layernorm": 1,
        "tie_weights": True,
        **changes,
    }


def random_oscar(config, seed=0):
    """A network of random weights, large enough for its captions to differ."""
    torch.manual_seed(seed)
    model = BertForImageCaptioning(EncoderConfig.from_dict(config)).eval()
    for name, value in model.state_dict().items():
        value.normal_(std=0.5)
        if name.endswith("LayerNorm.weight"):
            value.add_(1)
        if name.endswith("bias"):  # large ones would repeat a word whatever the image
            value.mul_(0.1)
    return model


def save_oscar(folder):
    """Writes a captioner of random weights with a tied decoder that is not written twice."""
    weights = random_oscar(oscar_config()).state_dict()
    del weights["cls.predictions.decoder.weight"]
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(oscar_config()))
    (folder / "vocab.txt").write_text("\n".join(SUBWORDS) + "\n")


def updown_options(model, **changes):
    """opt.json of a small captioner of ImageCaptioning.pytorch: features of width 5."""
    sizes = {"input_encoding_size": 8, "rnn_size": 12, "att_feat_size": 5, "fc_feat_size": 5, "att_hid_size": 6}
    transformer = {"d_model": 8, "d_ff": 10, "num_att_heads": 2, "N_enc": 2, "N_dec": 2}
    return {"caption_model": model, "vocab_size": len(WORDS), **sizes, **transformer, **changes}


def random_updown(options, seed=0):
    """A network of random weights, large enough for its captions to differ."""
    torch.manual_seed(seed)
    model = MODELS[options["caption_model"]](Options.of(options)).eval()
    for name, value in model.state_dict().items():
        if not name.endswith(("pe", "num_batches_tracked", "running_var")):
            value.normal_(std=0.1 if name.endswith(("bias", "b_2")) else 0.7)
    return model


def save_updown(folder, model):
    """Writes a captioner of random weights."""
    options = updown_options(model)
    save_file(random_updown(options).state_dict(), folder / "model.safetensors")
    (folder / "opt.json").write_text(json.dumps(options))
    (folder / "vocab.json").write_text(json.dumps(WORDS))


def length_penalty(name):
    """Upstream's length penalties by their names: score of captions from log-probability and length.

    ``""`` is none, ``avg_0`` divides by the length, ``wu_a`` by ((5 + length) / 6) ** a (Wu et al. 2016).
    """
    kind, _, power = name.partition("_")
    return {
        "": lambda log_probs, length: log_probs,
        "avg": lambda log_probs, length: log_probs / length,
        "wu": lambda log_probs, length: log_probs / ((5 + length) ** float(power) / 6 ** float(power)),
    }[kind]
