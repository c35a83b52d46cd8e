"""UMT against outputs of the official code: fusion, emissions, losses, gradients, decoded tags."""

import dataclasses

import pytest
import torch

from ita.config import System
from ita.model.boundary import BOUNDARY_SHARE, boundary_tags, conversion_matrix
from ita.model.tagger import Tagger
from tests.golden.upstream import Reference, bert, gradients_agree, packed

pytestmark = pytest.mark.golden

NAMES = {
    "encoder.": "bert.",
    "fusion.text.": "self_attention_v2.layer.0.",
    "fusion.auxiliary_text.": "self_attention.layer.0.",
    "fusion.text_to_image.": "txt2img_attention.layer.0.",
    "fusion.image_to_text.": "img2txt_attention.layer.0.",
    "fusion.text_to_fused.": "txt2txt_attention.layer.0.",
    "fusion.grid_keys.": "vismap2text.",
    "fusion.grid_queries.": "vismap2text_v2.",
    "fusion.gate.": "gate.",
    "linear.": "classifier.",
    "second_task.linear.": "aux_classifier.",
    "crf.": "crf.",
    "second_task.crf.": "aux_crf.",
}
"""Our prefix -> upstream's."""


def upstream_name(name):
    """Upstream's name of one of the tagger's weights."""
    ours = next(prefix for prefix in NAMES if name.startswith(prefix))
    rest = name.removeprefix(ours)
    return NAMES[ours] + {"start": "start_transitions", "end": "end_transitions"}.get(rest, rest)


@pytest.fixture(params=["float32", "float64"])
def reference(golden, request):
    if not (golden / "umt").is_dir():
        pytest.skip("no reference outputs of UMT in this set")
    return Reference(golden / "umt", request.param)


def test_conversion_matrix(reference):
    labels = reference.facts["labels"]
    assert boundary_tags(labels) == reference.facts["auxlabels"]
    matrix = reference.array("in/trans_matrix").double()
    # Upstream leaves the row of the padding label empty; no tag of ours stands for padding.
    padding = labels.index("PAD")
    ours = conversion_matrix(labels).double()
    ours[padding] = matrix[padding]
    torch.testing.assert_close(ours, matrix)


def test_forward_losses_gradients_and_decoded_tags(reference):
    facts, expected, relative = reference.facts, reference.expected, reference.tolerances[1]
    weights = reference.weights("model.safetensors")
    encoder = bert(facts["config"], weights, "bert.")
    system = System(fusion="umt", label_scheme="x_subword", regions="grid", views=["it"])
    tagger = Tagger(encoder, facts["labels"], 0.0, region_dim=facts["config"]["visual_size"], system=system)
    tagger.load_state_dict({name: weights[upstream_name(name)] for name in tagger.state_dict()}, assign=True)
    tagger.eval()
    tagger.second_task.conversion = reference.array("in/trans_matrix")
    mask = reference.array("in/input_mask").bool()
    grid = reference.array("in/visual").flatten(2).transpose(1, 2)
    batch = packed(reference.array("in/input_ids"), mask, tagger.layout, grid.shape[1])
    tagger.set_region_features(grid.flatten(0, 1))

    vectors = tagger.word_vectors(batch)
    width = facts["config"]["hidden_size"]
    reference.compare("out/txt2txt_attention", vectors[..., :width], mask)
    reference.compare("out/self_attention", vectors[..., -width:], mask)
    reference.compare("out/aux_classifier", tagger.second_task.logits(vectors), mask)
    emissions = tagger.classify(vectors)
    reference.compare("out/emissions", emissions, mask)

    labels = reference.array("in/labels")
    log_z = tagger.crf.log_partition(emissions, batch.lengths)
    assert log_z.tolist() == pytest.approx([post["logZ"] for post in facts["per_sentence"]], rel=relative)
    main = tagger.crf.nll(emissions, labels, batch.lengths).mean()
    boundary = tagger.second_task.nll(vectors, labels, batch.lengths).mean()
    assert main.item() == pytest.approx(expected["main_loss"], rel=relative)
    assert boundary.item() == pytest.approx(expected["aux_loss"], rel=relative)
    loss = main + BOUNDARY_SHARE * boundary
    assert loss.item() == pytest.approx(expected["loss"], rel=relative)
    loss.backward()
    parameters = {upstream_name(name): parameter for name, parameter in tagger.named_parameters()}
    gradients_agree(parameters, expected["grad"], relative)
    for name in reference.arrays:
        if name.startswith(f"{reference.prefix}grad/"):
            reference.compare(name.removeprefix(reference.prefix), parameters[name.partition("grad/")[2]].grad)
    decoded = tagger.crf.decode(emissions, batch.lengths)
    assert [row[:length].tolist() for row, length in zip(decoded, batch.lengths, strict=True)] == expected["decoded"]


def test_a_post_does_not_depend_on_its_neighbours(reference):
    """Upstream pads to the longest post; alone, each has the same emissions."""
    facts = reference.facts
    weights = reference.weights("model.safetensors")
    system = System(fusion="umt", label_scheme="x_subword", regions="grid", views=["it"])
    encoder = bert(facts["config"], weights, "bert.")
    tagger = Tagger(encoder, facts["labels"], 0.0, region_dim=facts["config"]["visual_size"], system=system)
    tagger.load_state_dict({name: weights[upstream_name(name)] for name in tagger.state_dict()}, assign=True)
    tagger.eval()
    ids, mask = reference.array("in/input_ids"), reference.array("in/input_mask").bool()
    grid = reference.array("in/visual").flatten(2).transpose(1, 2)
    tagger.set_region_features(grid.flatten(0, 1))
    together = tagger.emissions(packed(ids, mask, tagger.layout, grid.shape[1]))
    for number, length in enumerate(mask.sum(1).tolist()):
        alone = packed(ids[number : number + 1], mask[number : number + 1], tagger.layout, grid.shape[1])
        shifted = dataclasses.replace(
            alone,
            fusion=dataclasses.replace(alone.fusion, feature_rows=alone.fusion.feature_rows + number * grid.shape[1]),
        )
        torch.testing.assert_close(
            tagger.emissions(shifted)[0], together[number, :length], atol=reference.tolerances[0], rtol=0
        )
