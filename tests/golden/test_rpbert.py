"""RpBERT (the new code) against outputs of the official code: gate, word features, emissions, losses, gradients."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from ita.config import Loss, System, Train
from ita.model.batching import collate
from ita.model.inputs import EncodedView
from ita.model.relation_training import RelationBatch, relation_losses
from ita.model.schedule import TrainingConfig
from ita.model.tagger import Tagger, input_layout
from tests.golden.upstream import Reference, bert, gradients_agree

pytestmark = pytest.mark.golden

NAMES = {"proj.": "projection.", "aux_head.": "gate.linear.", "head.": "linear.", "rnn.": "rnn."}


def cases(facts):
    """Names of the NER cases in the set."""
    return [name for name, value in facts.items() if isinstance(value, dict) and "float32" in value and name != "itr"]


def upstream_name(name):
    """Upstream's name of one of the tagger's weights."""
    if name.startswith("encoder."):
        return "encoder_t." + name.removeprefix("encoder.")
    if name.startswith("crf."):
        last = name.removeprefix("crf.")
        return "crf." + (last if last == "transitions" else f"{last}_transitions")
    return next(theirs + name.removeprefix(ours) for theirs, ours in NAMES.items() if name.startswith(ours))


def build(reference, case):
    """The tagger of a case with upstream's weights."""
    facts = reference.facts["new"]
    weights = reference.weights(facts[case][reference.name]["weights"])
    rnn = weights["rnn.weight_hh_l0"].shape[1] if "rnn" in case else 0
    system = System(relation_gate=case.startswith("gate"), pooling="mean", rnn=rnn, views=["it"], regions="grid")
    encoder = bert(facts["config"], weights, "encoder_t.")
    width = 0 if case.startswith("text") else facts["config"]["visual_size"]
    tagger = Tagger(encoder, facts["id_to_label"], 0.0, region_dim=width, system=system).to(reference.dtype)
    tagger.load_state_dict({name: weights[upstream_name(name)] for name in tagger.state_dict()}, assign=True)
    return tagger.eval(), system


def batch_of(reference, prefix, words, system, image=True):
    """Posts whose image tokens have the positions that upstream gives them: after the padded text."""
    ids = reference.array(f"new/in/{prefix}input_ids")
    mask = reference.array(f"new/in/{prefix}attention_mask").bool()
    cells = reference.array("new/in/visual").flatten(2).shape[2] if image else 0
    posts = []
    for number, (row, there) in enumerate(zip(ids.numpy(), mask.numpy(), strict=True)):
        subwords = row[there].astype(np.int32)
        of_word = np.array([-1 if word is None else word for word in words[number]], np.int32)[: len(subwords)]
        first = np.array([int(np.flatnonzero(of_word == word)[0]) for word in range(of_word.max() + 1)], np.int32)
        regions = np.arange(number * cells, (number + 1) * cells, dtype=np.int32)
        posts.append(EncodedView(subwords, (len(subwords) + cells,), first, 0, regions, subword_words=of_word))
    batch = collate([posts], input_layout(system))
    if not image:
        return batch
    positions = batch.positions.clone()
    is_region = batch.regions.order >= len(batch.ids)
    positions[is_region] = ids.shape[1] + torch.arange(cells).repeat(len(posts))
    return dataclasses.replace(batch, positions=positions)


def grid(reference, name):
    """(F, D) table of the cells of all images."""
    return reference.array(f"new/in/{name}").flatten(2).transpose(1, 2).flatten(0, 1)


@pytest.fixture(params=["float32", "float64"])
def reference(golden, request):
    if not (golden / "rpbert").is_dir():
        pytest.skip("no reference outputs of RpBERT in this set")
    return Reference(golden / "rpbert", request.param)


def test_ner(reference):
    for case in cases(reference.facts["new"]):
        check_case(reference, case)


def check_case(reference, case):
    """Forward pass, loss, prediction and gradients of one case."""
    facts, expected = reference.facts["new"], reference.facts["new"][case][reference.name]
    relative = reference.tolerances[1]
    tagger, system = build(reference, case)
    image = not case.startswith("text")
    batch = batch_of(reference, "", facts["word_of_subtoken"], system, image)
    tagger.set_region_features(grid(reference, "visual"))
    mask = reference.array("new/in/word_mask").bool()[:, : batch.lengths.max()]
    if tagger.gate is not None:
        logits = tagger.relation_logits(batch)
        reference.compare(f"new/{case}/relation_logits", logits)
        reference.compare(f"new/{case}/gate", logits.softmax(1)[:, 1])
    vectors = tagger.word_vectors(batch)
    reference.compare(f"new/{case}/head_input", vectors, mask)
    emissions = tagger.classify(vectors)
    reference.compare(f"new/{case}/emissions", emissions, mask)
    labels = reference.array("new/in/labels")
    if case.endswith("crf"):
        loss = tagger.crf.nll(emissions, labels.clamp(min=0), batch.lengths).mean()
        predicted = tagger.crf.decode(emissions, batch.lengths)
    else:
        loss = functional.cross_entropy(emissions[mask], labels[mask], reduction="sum") / len(labels)
        predicted = emissions.argmax(2)
    # Upstream adds up this loss in a float32 scalar whatever the dtype.
    tolerance = relative if case.endswith("crf") else max(relative, 1e-6)
    assert loss.item() == pytest.approx(expected["loss"], rel=tolerance)
    paths = [row[:length].tolist() for row, length in zip(predicted, batch.lengths, strict=True)]
    names = [[facts["id_to_label"][label] for label in path] for path in paths]
    assert expected["pred"] in (paths, names)
    if case.endswith("crf"):
        loss.backward()
        parameters = {upstream_name(name): parameter for name, parameter in tagger.named_parameters()}
        gradients_agree(parameters, expected["grad"], relative)


def test_relation_task(reference):
    expected = reference.facts["new"]["itr"][reference.name]
    relative = reference.tolerances[1]
    tagger, system = build(reference, "gate_crf")
    words = [[0] * reference.array("new/in/relation_input_ids").shape[1]] * 2
    batch = batch_of(reference, "relation_", words, system)
    tagger.set_region_features(grid(reference, "visual_relation"))
    reference.compare("new/gate_crf/itr_logits", tagger.relation_logits(batch))
    labels = reference.array("new/in/relation_labels")
    settings = (Train(), system, Loss(), 0, [], torch.device("cpu"), torch.float32, tagger.layout)
    config = TrainingConfig(*settings)
    losses = relation_losses(tagger, RelationBatch(batch, labels, 1 / len(labels)), config)
    assert losses.mean().item() == pytest.approx(expected["loss"], rel=max(relative, 1e-6))
    (config.loss.relation * losses.mean()).backward()
    parameters = {upstream_name(name): parameter for name, parameter in tagger.named_parameters()}
    gradients_agree(parameters, expected["grad_of_0_05_loss"], relative)
