"""UMGF against outputs of the official code: fusion layers, emissions, loss, gradients, decoded tags."""

import re

import pytest

from ita.model.fusion.umgf import UMGF
from tests.golden.upstream import Reference, bert, crf, gradients_agree, linear, packed, padded

pytestmark = pytest.mark.golden

NAMES = (
    (r"trans_txt\.", "text."),
    (r"resnet\.fc\.", "crop."),
    (r"trans_obj\.(\d)\.", r"objects.\1."),
    (r"mhatt_x\.(\d+)\.linears\.0\.", r"layers.\1.text_query."),
    (r"mhatt_x\.(\d+)\.linears\.1\.", r"layers.\1.text_key."),
    (r"mhatt_x\.(\d+)\.linears\.2\.", r"layers.\1.text_value."),
    (r"mhatt_x\.(\d+)\.linears\.3\.", r"layers.\1.text_output."),
    (r"mhatt_o\.(\d+)\.linears\.0\.", r"layers.\1.object_query."),
    (r"mhatt_o\.(\d+)\.linears\.1\.", r"layers.\1.object_key."),
    (r"mhatt_x2o\.(\d+)\.", r"layers.\1.objects_to_text_gate."),
    (r"mhatt_o2x\.(\d+)\.", r"layers.\1.text_to_objects_gate."),
    (r"res4mes_x\.(\d+)\.norm\.", r"layers.\1.text_norms.0."),
    (r"xgate\.(\d+)\.norm\.", r"layers.\1.text_norms.1."),
    (r"res4ffn_x\.(\d+)\.norm\.", r"layers.\1.text_norms.2."),
    (r"res4mes_o\.(\d+)\.norm\.", r"layers.\1.object_norms.0."),
    (r"ogate\.(\d+)\.norm\.", r"layers.\1.object_norms.1."),
    (r"res4ffn_o\.(\d+)\.norm\.", r"layers.\1.object_norms.2."),
    (r"ffn_x\.(\d+)\.w_1\.", r"layers.\1.text_ffn.0."),
    (r"ffn_x\.(\d+)\.w_2\.", r"layers.\1.text_ffn.2."),
    (r"ffn_o\.(\d+)\.w_1\.", r"layers.\1.object_ffn.0."),
    (r"ffn_o\.(\d+)\.w_2\.", r"layers.\1.object_ffn.2."),
)
"""Upstream's name -> ours."""


def fusion_name(name):
    """Our name of a weight of upstream's fusion; None for a weight of another part."""
    for pattern, ours in NAMES:
        if re.match(pattern, name):
            return re.sub(pattern, ours, name)
    return None


def build(reference):
    """Encoder, fusion, head and CRF with upstream's weights, and upstream's name -> our parameter."""
    config, weights = reference.facts["config"], reference.weights("model.safetensors")
    encoder = bert(config, weights, "bert.")
    sizes = {"width": config["d_model"], "inner": config["d_hidden"], "heads": config["n_heads"]}
    fusion = UMGF(
        config["hidden_size"], config["crop_feature_dim"], config["objcnndim"], layers=config["layer"], **sizes
    )
    names = {ours: name for name in weights if (ours := fusion_name(name))}
    fusion.load_state_dict({ours: weights[name] for ours, name in names.items()}, assign=True)
    fusion.eval()
    parts = [
        (encoder, {name: f"bert.{name}" for name, _ in encoder.named_parameters()}),
        (fusion, names),
        linear(weights, "hidden2tag"),
        crf(weights, "crf"),
    ]
    parameters = {theirs: module.get_parameter(ours) for module, named in parts for ours, theirs in named.items()}
    return [module for module, _ in parts], parameters


@pytest.fixture
def reference(golden, dtype):
    if not (golden / "umgf").is_dir():
        pytest.skip("no reference outputs of UMGF in this set")
    return Reference(golden / "umgf", dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forward_loss_gradients_and_decoded_tags(reference):
    relative = reference.tolerances[1]
    ids, mask = reference.array("in/input_ids"), reference.array("in/attention_mask").bool()
    lengths = mask.sum(1)
    for case, expected in reference.expected.items():
        (encoder, fusion, head, decoder), parameters = build(reference)
        links = "in/inter_matrix" if case == "full" else f"in/inter_matrix_{case}"
        states = padded(encoder(packed(ids, mask)), mask)
        objects = reference.array("in/crop_features")
        features = fusion(states, mask, objects, links=reference.array(links))
        reference.compare(f"{case}/head_in", features, mask)
        emissions = head(features)
        reference.compare(f"{case}/emissions", emissions, mask)
        if case == "full":
            assert fusion(states, mask, objects).equal(features), "without links every subword sees every object"
        log_z = decoder.log_partition(emissions, lengths)
        per_sentence = reference.facts["per_sentence"][case]
        assert log_z.tolist() == pytest.approx([post["logZ"] for post in per_sentence], rel=relative)
        loss = decoder.nll(emissions, reference.array("in/labels"), lengths).sum()
        assert loss.item() == pytest.approx(expected["loss_sum"], rel=relative)
        loss.backward()
        gradients_agree(parameters, expected["grad"], relative)
        for name in reference.facts["parameters_without_gradient"]:
            if name in parameters:
                gradient = parameters[name].grad
                assert gradient is None or not gradient.any(), name
        decoded = decoder.decode(emissions, lengths)
        assert [row[:length].tolist() for row, length in zip(decoded, lengths, strict=True)] == expected["decoded"]
