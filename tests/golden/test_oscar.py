"""VinVL's captioner equals the reference outputs of the official system; every set of the same layout can be tested."""

import shutil
from dataclasses import replace

import pytest
import torch

from ita.config import Caption
from ita.vision.captioners.oscar import captioner as oscar
from ita.vision.captioners.oscar.captioner import OscarCaptioner
from ita.vision.captioners.oscar.decoding import CachedDecoder, UncachedDecoder
from ita.vision.captioners.oscar.inputs import Context, InputConfig, ModelInputs, make_inputs
from ita.vision.captioners.oscar.search import search
from tests.support.references import ReferenceOutputs, copy_weights

pytestmark = pytest.mark.golden
TOLERANCE = 1e-5
NO_CAPTION = -1e4
"""Upstream's scores below this stand for captions for which there was no candidate."""


class OscarReference(ReferenceOutputs):
    """The folder of reference outputs."""

    def inputs(self, images):
        """Labels and features of the first images."""
        return self.description["labels"][:images], [self[f"raw/feat{i}"] for i in range(images)]


@pytest.fixture(scope="module")
def reference(golden):
    folder = golden / "oscar_captioner"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return OscarReference(folder)


@pytest.fixture
def load(reference, tmp_path, monkeypatch):
    """A function that loads weights as a user would, with the options of a case."""

    def load(weights, case):
        folder = tmp_path / weights.name
        copy_weights(weights, folder)
        shutil.copyfile(reference.folder / f"{case['model']}.config.json", folder / "config.json")
        shutil.copyfile(reference.folder / "vocab.txt", folder / "vocab.txt")
        inputs = InputConfig(
            reference.description["od_label_len"] if case["add_od_labels"] else 0,
            case["od_labels_start_posid"] if case["add_od_labels"] else 0,
            reference.description["max_img_seq_length"],
        )
        monkeypatch.setattr(oscar, "INPUTS", inputs)
        settings = Caption(
            model=str(folder),
            beams=case["num_beams"],
            captions=min(case["num_keep_best"], case["num_beams"]),
            max_tokens=case["max_length"],
            device="cpu",
            precision="fp32",
        )
        captioner = OscarCaptioner(settings)
        # Upstream can keep more captions than beams, which the settings refuse.
        captioner.beam = replace(captioner.beam, captions=case["num_keep_best"], length_penalty=case["length_penalty"])
        return captioner

    return load


def compare(captions, ids, scores, name):
    """Equal ids; the largest difference of the scores of captions that there are."""
    exist = scores > NO_CAPTION
    assert torch.equal(captions.scores.isfinite(), exist), name
    assert torch.equal(captions.ids[exist], ids[exist]), name
    return float((captions.scores - scores)[exist].abs().max())


def test_every_search(reference, load):
    differences = []
    for name, case in reference.cases.items():
        ids, scores = reference[f"{name}/ids"], reference[f"{name}/logprobs"]
        for weights in reference.weights_of(case["model"]):
            captioner = load(weights, case)
            labels, features = reference.inputs(len(ids))
            context = captioner.context(labels, features)
            model, mask_id, beam = captioner.model, captioner.tokenizer.mask_id, captioner.beam
            with torch.inference_mode():
                for decoder in (
                    CachedDecoder(model, context, mask_id, beam.beams, beam.max_length),
                    UncachedDecoder(model, context, mask_id, beam.beams),
                ):
                    captions = search(decoder, len(ids), beam, captioner.device)
                    differences.append(compare(captions, ids, scores, name))
            captions = captioner.caption_features(labels, features)
            for image, expected, image_scores in zip(captions, case["captions"], scores, strict=True):
                exist = image_scores > NO_CAPTION
                assert len(expected) >= exist.sum(), name
                assert [caption.text for caption in image][: len(expected)] == expected, name
                logprobs = torch.tensor([caption.logprob for caption in image])
                differences.append(float((logprobs - image_scores)[exist].abs().max()))
    assert differences and max(differences) < TOLERANCE


def padded(context, labels, regions):
    """A context with as many slots as upstream has for labels and regions."""
    label_slots, region_slots = labels - context.label_ids.shape[1], regions - context.regions.shape[1]
    pad = torch.nn.functional.pad
    return Context(
        pad(context.label_ids, (0, label_slots)),
        pad(context.label_mask, (0, label_slots)),
        pad(context.regions, (0, 0, 0, region_slots)),
        pad(context.region_mask, (0, region_slots)),
        context.label_position,
    )


def test_every_input(reference, load):
    for name, case in reference.cases.items():
        stored = reference.group(case["inputs_key"])
        captioner = load(reference.weights_of(case["model"])[0], case)
        images, length = len(stored["input_ids"]), case["max_length"]
        context = captioner.context(*reference.inputs(images))
        context = padded(context, captioner.inputs.max_label_subwords, captioner.inputs.max_regions)
        ids = torch.full((images, length), captioner.tokenizer.mask_id)
        ids[:, 0], ids[:, -1] = captioner.tokenizer.cls_id, captioner.tokenizer.sep_id
        inputs = make_inputs(context, ids)._asdict()
        for key in ("input_ids", "token_type_ids", "attention_mask", "img_feats"):
            assert torch.equal(inputs[key], stored[key]), (name, key)


def test_the_forward_pass_of_every_model(reference, load):
    stored = reference.group(reference.description["forward_inputs_key"])
    stored = {name: stored[name] for name in ("input_ids", "token_type_ids", "attention_mask", "img_feats")}
    length = stored["input_ids"].shape[1]
    real = stored["attention_mask"].any(-1)  # rows of padding attend to nothing, and their values mean nothing
    for name in sorted({case["model"] for case in reference.cases.values()}):
        case = next(case for case in reference.cases.values() if case["model"] == name)
        for weights in reference.weights_of(name):
            model = load(weights, case).model
            with torch.inference_mode():
                logits, x = model(ModelInputs(**stored, position_ids=torch.arange(length)[None]))
                pooled = torch.tanh(model.bert.pooler.dense(x[:, 0]))
            expected = {
                key: reference[f"{name}__forward/{key}"] for key in ("logits", "sequence_output", "pooled_output")
            }
            assert (logits - expected["logits"])[real[:, :length]].abs().max() < TOLERANCE
            assert (x - expected["sequence_output"])[real].abs().max() < TOLERANCE
            assert (pooled - expected["pooled_output"]).abs().max() < TOLERANCE
