"""Fusion layers: what holds for every module of the package, found by its file, and ACN against its formulas."""

import pytest
import torch
from torch import nn

from ita.config import ConfigError, System, load
from ita.config.tagger import FUSIONS
from ita.model.bert import EncoderConfig
from ita.model.fusion import Fusion, build_fusion
from ita.model.fusion.acn import ACN
from ita.model.tagger import Tagger
from tests.support.paths import ROOT

HIDDEN, REGION_DIM = 16, 6
CONFIG = EncoderConfig.from_dict(
    {
        "model_type": "bert",
        "vocab_size": 20,
        "hidden_size": HIDDEN,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 32,
    }
)
LENGTHS, REGIONS = [5, 2, 7], [3, 1, 4]
UNUSED = {"umgf": ("layers.5.text_to_objects_gate.", "layers.5.object_norms.1.", "layers.5.object_norms.2.")}
UNUSED["umgf"] += ("layers.5.object_ffn.",)
"""Weights without a gradient, as upstream: what the last layer of UMGF computes for objects is not read."""


def layer_of(name: str) -> Fusion:
    torch.manual_seed(0)
    layer = build_fusion(name, CONFIG, REGION_DIM)
    assert isinstance(layer, Fusion)
    return layer.eval().double()


def inputs(seed: int = 1, padding: float = 0.0) -> tuple[torch.Tensor, ...]:
    """States, mask, regions and region mask of three posts; ``padding`` is what stands in padding."""
    torch.manual_seed(seed)
    tensors: list[torch.Tensor] = []
    for sizes, width in ((LENGTHS, HIDDEN), (REGIONS, REGION_DIM)):
        mask = torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]
        values = torch.randn(len(sizes), max(sizes), width, dtype=torch.float64)
        tensors += [torch.where(mask.unsqueeze(2), values, padding), mask]
    return tuple(tensors)


def test_the_modules_of_the_package_are_the_values_of_the_setting():
    files = {path.stem for path in (ROOT / "src/ita/model/fusion").glob("*.py")} - {"__init__"}
    assert set(FUSIONS) == files and {"umt", "umgf", "acn"} <= files
    for name in ("tokens", *files):
        assert load(System, {"fusion": name}).fusion == name
    with pytest.raises(ConfigError, match="expected one of tokens, acn, .*; did you mean 'umgf'"):
        load(System, {"fusion": "umfg"})
    assert build_fusion("tokens", CONFIG, REGION_DIM) is None


@pytest.mark.parametrize("name", FUSIONS)
def test_shape_and_second_task(name):
    layer = layer_of(name)
    states, mask, regions, region_mask = inputs()
    fused = layer(states, mask, regions, region_mask)
    further = HIDDEN if layer.second_task else 0
    assert fused.shape == (*mask.shape, layer.width + further)
    encoder = nn.Module()
    encoder.config = CONFIG
    tagger = Tagger(encoder, ["O", "B-A", "I-A"], 0.0, region_dim=REGION_DIM, system=System(fusion=name))
    assert tagger.linear.in_features == layer.width
    assert (tagger.second_task is None) == (layer.second_task is None)
    if tagger.second_task is not None:
        words = fused.float().requires_grad_()
        lengths, tags = torch.tensor(LENGTHS), torch.zeros(mask.shape, dtype=torch.long)
        assert tagger.second_task.nll(words, tags, lengths).shape == (len(LENGTHS),)
        assert tagger.classify(words).shape == (*mask.shape, 3)


@pytest.mark.parametrize("name", FUSIONS)
def test_padding_and_neighbours_change_nothing(name):
    layer = layer_of(name)
    fused = layer(*inputs())
    states, mask, regions, region_mask = inputs(padding=9.0)
    others = layer(states, mask, regions, region_mask)
    for row, (length, count) in enumerate(zip(LENGTHS, REGIONS, strict=True)):
        alone = layer(
            states[row : row + 1, :length],
            mask[row : row + 1, :length],
            regions[row : row + 1, :count],
            region_mask[row : row + 1, :count],
        )[0]
        for batched in (fused, others):
            torch.testing.assert_close(batched[row, :length], alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FUSIONS)
def test_image_text_and_every_weight_count(name):
    layer = layer_of(name)
    states, mask, regions, region_mask = (x.requires_grad_() if x.is_floating_point() else x for x in inputs())
    fused = layer(states, mask, regions, region_mask)
    (fused * torch.randn_like(fused) * mask.unsqueeze(2)).sum().backward()
    assert (states.grad.abs().sum(2) > 0).equal(mask) and (regions.grad.abs().sum(2) > 0).equal(region_mask)
    idle = {name for name, weight in layer.named_parameters() if weight.grad is None or not weight.grad.any()}
    assert all(weight.startswith(UNUSED.get(name, ())) for weight in idle), idle


def attention(scores):
    """Softmax of a list of numbers."""
    weights = torch.stack(scores).exp()
    return weights / weights.sum()


def test_acn_is_upstreams_formula_word_by_word():
    """With the terms that a softmax cancels: the score of a region also depends on the word, that of a word on what it
    is scored for."""
    layer = layer_of("acn")
    states, mask, regions, region_mask = inputs()
    fused = layer(states, mask, regions, region_mask)
    word_keys, image_keys = (nn.Linear(HIDDEN, HIDDEN).double() for _ in range(2))
    word_part, image_part = (nn.Linear(HIDDEN, 1).double() for _ in range(2))
    for row, (length, count) in enumerate(zip(LENGTHS, REGIONS, strict=True)):
        words = [layer.words(states[row, j]) for j in range(length)]
        for t in range(length):
            scores = [
                torch.cat([layer.region_keys(regions[row, i]), word_keys(states[row, t])]).tanh()
                @ torch.cat([layer.region_scores.weight[0], word_part.weight[0]])
                + word_part.bias[0]
                for i in range(count)
            ]
            shares = attention(scores)
            image = sum(shares[i] * layer.region_values(regions[row, i]) for i in range(count))
            scores = [
                torch.cat([image_keys(image), words[j]]).tanh()
                @ torch.cat([image_part.weight[0], layer.word_scores.weight[0]])
                + image_part.bias[0]
                for j in range(length)
            ]
            shares = attention(scores)
            text = sum(shares[j] * words[j] for j in range(length))
            visual, textual = layer.visual(image).tanh(), layer.textual(text).tanh()
            gate = layer.mixing_gate(visual + textual).sigmoid()
            mixture = layer.mixture(torch.cat([gate * visual, (1 - gate) * textual]))
            mixture = layer.filtration_gate(mixture).sigmoid() * mixture
            expected = torch.cat([mixture, layer.text(states[row, t])])
            torch.testing.assert_close(fused[row, t], expected, rtol=1e-9, atol=1e-9)
    assert isinstance(layer, ACN)
