"""Captioners of ImageCaptioning.pytorch equal the reference outputs; every set of the same layout can be tested."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from ita.config import Caption
from ita.vision.captioners.updown.captioner import UpDownCaptioner
from ita.vision.captioners.updown.search import search
from ita.vision.types import DetectedObject, Regions
from tests.support.captioners import length_penalty
from tests.support.references import ReferenceOutputs, copy_weights

pytestmark = pytest.mark.golden
TOLERANCE = 1e-5


class UpDownReference(ReferenceOutputs):
    """The folder of reference outputs."""

    def __init__(self, folder):
        super().__init__(folder)
        self.features, self.mask = self["att"], self["mask"].bool()

    def regions(self):
        """Each image as a detector would give it."""
        return [
            Regions([DetectedObject("x")] * int(mask.sum()), features[mask], (9, 9))
            for features, mask in zip(self.features, self.mask, strict=True)
        ]


@pytest.fixture(scope="module")
def reference(golden):
    folder = golden / "updown"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return UpDownReference(folder)


@pytest.fixture
def load(reference, tmp_path):
    """A function that loads the model of a case as a user would."""

    def load(name, case):
        folder = tmp_path / case["model"]
        copy_weights(reference.weights_of(case["model"])[0], folder)
        shutil.copyfile(reference.folder / f"{case['model']}.opt.json", folder / "opt.json")
        (folder / "vocab.json").write_text(json.dumps(reference.description["vocab"]))
        rows, max_length = reference.values[f"{name}/seq"].shape
        captions = rows // len(reference.features)
        settings = Caption(
            model=str(folder),
            beams=case["beam"],
            captions=min(captions, case["beam"]),
            max_tokens=max_length,
            device="cpu",
            precision="fp32",
        )
        captioner = UpDownCaptioner(settings)
        captioner.beam = replace(captioner.beam, captions=captions, score=length_penalty(case["length_penalty"]))
        return captioner

    return load


def word_log_probs(captioner, context, captions):
    """(B, C, T) log-probability of each word of the captions and of their end, which is 0; 0 behind it."""
    _, kept, length = captions.shape
    state, previous = captioner.model.start(context, kept), torch.zeros_like(captions[:, :, 0])
    result, unfinished = torch.zeros(captions.shape), torch.ones_like(previous, dtype=torch.bool)
    for step in range(length):
        logits, state = captioner.model.step(context, previous, state)
        log_probs = logits.float().log_softmax(-1)
        if captioner.beam.beams > 1 and captioner.beam.unknown is not None:
            log_probs[:, :, captioner.beam.unknown] -= 1000
        previous = captions[:, :, step]
        result[:, :, step] = log_probs.gather(2, previous[:, :, None])[:, :, 0] * unfinished
        unfinished &= previous != 0
    return result


def test_every_search(reference, load):
    differences = []
    for name, case in reference.cases.items():
        captioner = load(name, case)
        words, images = reference[f"{name}/seq"], len(reference.features)
        with torch.inference_mode():
            context = captioner.model.encode(reference.features, reference.mask)
            captions = search(captioner.model, context, images, captioner.beam, captioner.device)
            log_probs = word_log_probs(captioner, context, captions.ids)
        assert torch.equal(captions.ids.flatten(0, 1), words), name
        differences.append(log_probs.flatten(0, 1) - reference[f"{name}/logp"])
        if f"{name}/p" in reference.values.files:
            differences.append(captions.scores - reference[f"{name}/p"])
        written = captioner.caption_regions(reference.regions())
        texts = [caption.text.split() for image in written for caption in image]
        assert texts[: len(case["first"])] == case["first"], name
        logprobs = torch.tensor([[caption.logprob for caption in image] for image in written], dtype=torch.float64)
        differences.append(logprobs - captions.scores)
    assert differences and max(float(difference.abs().max()) for difference in differences) < TOLERANCE
