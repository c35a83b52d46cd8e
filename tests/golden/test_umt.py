"""UMT against outputs of the official code: fusion, emissions, losses, gradients, decoded tags."""

import pytest
import torch

from ita.model.fusion.umt import AUXILIARY_WEIGHT, UMT, boundary_tags, conversion_matrix
from tests.golden.upstream import Reference, bert, crf, gradients_agree, linear, packed, padded

pytestmark = pytest.mark.golden

LAYERS = {
    "self_attention_v2": "text",
    "self_attention": "auxiliary_text",
    "txt2img_attention": "text_to_image",
    "img2txt_attention": "image_to_text",
    "txt2txt_attention": "text_to_fused",
}
LINEARS = {"vismap2text": "grid_keys", "vismap2text_v2": "grid_queries", "gate": "gate"}


def fusion_name(name):
    """Our name of a weight of upstream's fusion; None for a weight of another part."""
    head, _, rest = name.partition(".")
    if head in LAYERS:
        return f"{LAYERS[head]}.{rest.removeprefix('layer.0.')}"
    return f"{LINEARS[head]}.{rest}" if head in LINEARS else None


@pytest.fixture(params=["float32", "float64"])
def reference(golden, request):
    if not (golden / "umt").is_dir():
        pytest.skip("no reference outputs of UMT in this set")
    return Reference(golden / "umt", request.param)


def test_conversion_matrix(reference):
    labels = reference.facts["labels"]
    assert boundary_tags(labels) == reference.facts["auxlabels"]
    matrix = reference.array("in/trans_matrix").double()
    # Upstream leaves the row of the padding label empty; no CRF state of ours stands for padding.
    padding = labels.index("PAD")
    ours = conversion_matrix(labels).double()
    ours[padding] = matrix[padding]
    torch.testing.assert_close(ours, matrix)


def test_forward_losses_gradients_and_decoded_tags(reference):
    relative = reference.tolerances[1]
    expected = reference.expected
    weights = reference.weights("model.safetensors")
    encoder = bert(reference.facts["config"], weights, "bert.")
    umt = UMT(encoder.config, reference.facts["config"]["visual_size"])
    names = {ours: name for name in weights if (ours := fusion_name(name))}
    umt.load_state_dict({ours: weights[name] for ours, name in names.items()}, assign=True)
    umt.eval()
    parts = [
        (encoder, {name: f"bert.{name}" for name, _ in encoder.named_parameters()}),
        (umt, names),
        *(linear(weights, name) for name in ("classifier", "aux_classifier")),
        *(crf(weights, name) for name in ("crf", "aux_crf")),
    ]
    classifier, auxiliary_classifier, main_crf, auxiliary_crf = (module for module, _ in parts[2:])
    ids, mask = reference.array("in/input_ids"), reference.array("in/input_mask").bool()
    grid = reference.array("in/visual").flatten(2).transpose(1, 2)

    states = padded(encoder(packed(ids, mask)), mask)
    reference.compare("out/bert", states, mask)
    features, auxiliary = umt(states, mask, grid)
    reference.compare("out/self_attention", auxiliary, mask)
    boundary_logits = auxiliary_classifier(auxiliary)
    reference.compare("out/aux_classifier", boundary_logits, mask)
    spread = boundary_logits @ reference.array("in/trans_matrix").to(boundary_logits)
    emissions = AUXILIARY_WEIGHT * spread + (1 - AUXILIARY_WEIGHT) * classifier(features)
    reference.compare("out/emissions", emissions, mask)

    lengths = mask.sum(1)
    main = main_crf.nll(emissions, reference.array("in/labels"), lengths)
    log_z = main_crf.log_partition(emissions, lengths)
    assert log_z.tolist() == pytest.approx([post["logZ"] for post in reference.facts["per_sentence"]], rel=relative)
    boundary = auxiliary_crf.nll(boundary_logits, reference.array("in/auxlabels"), lengths)
    assert main.mean().item() == pytest.approx(expected["main_loss"], rel=relative)
    assert boundary.mean().item() == pytest.approx(expected["aux_loss"], rel=relative)
    loss = main.mean() + AUXILIARY_WEIGHT * boundary.mean()
    assert loss.item() == pytest.approx(expected["loss"], rel=relative)
    loss.backward()
    parameters = {upstream: module.get_parameter(ours) for module, named in parts for ours, upstream in named.items()}
    gradients_agree(parameters, expected["grad"], relative)
    for name in reference.arrays:
        if name.startswith(f"{reference.prefix}grad/"):
            reference.compare(name.removeprefix(reference.prefix), parameters[name.partition("grad/")[2]].grad)
    decoded = main_crf.decode(emissions, lengths)
    assert [row[:length].tolist() for row, length in zip(decoded, lengths, strict=True)] == expected["decoded"]
