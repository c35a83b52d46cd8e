"""The captioner's loss is the likelihood that its beam search adds up."""

from __future__ import annotations

import pytest
import torch

from ita.config import Caption
from ita.demo import SHIPPED_MODELS
from ita.demo.training.captioner import attention_mask, masked_word_loss
from ita.vision.captioners.oscar.captioner import OscarCaptioner
from ita.vision.captioners.oscar.decoding import CachedDecoder
from ita.vision.types import Regions


def test_the_loss_is_the_likelihood_of_the_search(detections: list[Regions]) -> None:
    """The loss of all places in one pass is the sum over the steps of a search that is led to the caption."""
    captioner = OscarCaptioner(Caption(model=str(SHIPPED_MODELS / "captioner"), device="cpu"))
    captions = ["a small dog outside", "a view of a tower and a tree"]
    labels = [" ".join(detected.label for detected in regions.objects) for regions in detections[:2]]
    context = captioner.context(labels, [captioner.features(regions) for regions in detections[:2]])
    with torch.no_grad():
        loss = float(masked_word_loss(captioner, captions, context))
        ids = [captioner.tokenizer.encode(caption, 31) for caption in captions]
        total = 0.0
        for row, subwords in enumerate(ids):
            steps = CachedDecoder(captioner.model, context, captioner.tokenizer.mask_id, 1, 20)
            for previous, subword in zip([captioner.tokenizer.cls_id, *subwords], subwords, strict=False):
                words = torch.full((2, 1), previous)
                total -= float(steps(words, torch.zeros_like(words))[row, 0].log_softmax(0)[subword])
    assert loss == pytest.approx(total / sum(map(len, ids)), rel=1e-4)


def test_attention_mask() -> None:
    """Two subwords, their two [MASK]s and a context of two, the second of which is padding."""
    mask = attention_mask(2, torch.tensor([[True, False]]))
    assert mask.int().tolist() == [
        [
            [1, 0, 0, 0, 1, 0],
            [1, 1, 0, 0, 1, 0],
            [1, 0, 1, 0, 1, 0],
            [1, 1, 0, 1, 1, 0],
            [0, 0, 0, 0, 1, 0],
            [0, 0, 0, 0, 1, 0],
        ]
    ]
