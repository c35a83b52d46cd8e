"""UMGF against outputs of the official code: fusion, emissions, loss, gradients, decoded tags."""

import re

import pytest

from ita.config import System
from ita.model.fusion.umgf import UMGF
from ita.model.tagger import Tagger
from tests.golden.upstream import Reference, bert, gradients_agree, packed

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


OTHERS = {"bert.": "encoder.", "hidden2tag.": "linear.", "crf.": "crf."}


def our_name(name):
    """Our name of one of upstream's weights; None for BERT's pooler, which no tagger reads."""
    for pattern, ours in NAMES:
        if re.match(pattern, name):
            return "fusion." + re.sub(pattern, ours, name)
    theirs = next(prefix for prefix in OTHERS if name.startswith(prefix))
    rest = name.removeprefix(theirs)
    return None if rest.startswith("pooler.") else OTHERS[theirs] + rest.removesuffix("_transitions")


def build(reference):
    """The tagger with upstream's weights, and upstream's name -> its parameter."""
    config, weights = reference.facts["config"], reference.weights("model.safetensors")
    labels = sorted(reference.facts["tag2idx"], key=reference.facts["tag2idx"].get)
    system = System(fusion="umgf", label_scheme="x_subword", regions="crops", views=["it"])
    tagger = Tagger(bert(config, weights, "bert."), labels, 0.0, region_dim=config["crop_feature_dim"], system=system)
    sizes = {"width": config["d_model"], "inner": config["d_hidden"], "heads": config["n_heads"]}
    sizes |= {"object_size": config["objcnndim"], "layers": config["layer"]}
    tagger.fusion = UMGF(tagger.encoder.config, config["crop_feature_dim"], **sizes)
    names = {ours: name for name in weights if (ours := our_name(name))}
    tagger.linear = type(tagger.linear)(tagger.fusion.width, len(labels))
    tagger.load_state_dict({ours: weights[name] for ours, name in names.items()}, assign=True)
    return tagger.eval(), {name: tagger.get_parameter(ours) for ours, name in names.items()}


@pytest.fixture(params=["float32", "float64"])
def reference(golden, request):
    if not (golden / "umgf").is_dir():
        pytest.skip("no reference outputs of UMGF in this set")
    return Reference(golden / "umgf", request.param)


def test_forward_loss_gradients_and_decoded_tags(reference):
    for case, expected in reference.expected.items():
        check_case(reference, case, expected)


def check_case(reference, case, expected):
    """Forward pass, loss, gradients and decoded tags with the links of a case."""
    relative = reference.tolerances[1]
    tagger, parameters = build(reference)
    mask = reference.array("in/attention_mask").bool()
    crops = reference.array("in/crop_features")
    batch = packed(reference.array("in/input_ids"), mask, tagger.layout, crops.shape[1])
    tagger.set_region_features(crops.flatten(0, 1))
    if case != "full":
        links, fuse = reference.array(f"in/inter_matrix_{case}")[:, : mask.sum(1).max()], tagger.fusion.forward
        tagger.fusion.forward = lambda *inputs: fuse(*inputs, links=links)
    lengths = batch.lengths
    vectors = tagger.word_vectors(batch)
    mask = mask[:, : lengths.max()]
    reference.compare(f"{case}/head_in", vectors, mask)
    emissions = tagger.classify(vectors)
    reference.compare(f"{case}/emissions", emissions, mask)
    log_z = tagger.crf.log_partition(emissions, lengths)
    per_sentence = reference.facts["per_sentence"][case]
    assert log_z.tolist() == pytest.approx([post["logZ"] for post in per_sentence], rel=relative)
    loss = tagger.crf.nll(emissions, reference.array("in/labels")[:, : lengths.max()], lengths).sum()
    assert loss.item() == pytest.approx(expected["loss_sum"], rel=relative)
    loss.backward()
    gradients_agree(parameters, expected["grad"], relative)
    for name in reference.facts["parameters_without_gradient"]:
        if name in parameters:
            gradient = parameters[name].grad
            assert gradient is None or not gradient.any(), name
    decoded = tagger.crf.decode(emissions, lengths)
    assert [row[:length].tolist() for row, length in zip(decoded, lengths, strict=True)] == expected["decoded"]
