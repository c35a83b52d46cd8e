"""Targets and losses of the demo's detector."""

from __future__ import annotations

import torch

from ita.demo.ground_truth import ATTRIBUTES, LABELS, object_annotations
from ita.demo.training import detector
from ita.demo.training.dataset import RenderedScene
from ita.vision import boxes
from ita.vision.detectors.vinvl.postprocessing import BOX_DELTA_WEIGHTS, LEGACY_OFFSET


def test_targets_of_a_scene(examples: list[RenderedScene]) -> None:
    scene = examples[0].scene
    targets = detector.targets_of(scene, 0.5)
    objects = object_annotations(scene)
    assert [LABELS[label - 1] for label in targets.labels.tolist()] == [annotation.label for annotation in objects]
    torch.testing.assert_close(targets.boxes * 2, torch.tensor([annotation.box for annotation in objects]))
    for row, annotation in zip(targets.attributes, objects, strict=True):
        names = {ATTRIBUTES[index - 1] for index in row.nonzero().flatten().tolist()}
        assert names == set(annotation.attributes)
    torch.testing.assert_close(targets.attributes.sum(1), torch.ones(len(objects)))


def test_encoded_boxes_are_decoded() -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(2, 50, 2, generator=generator) * 100
    sizes = torch.rand(2, 50, 2, generator=generator) * 80 + 5
    targets, references = torch.cat([corners, corners + sizes], 2)
    deltas = detector.encode_deltas(targets, references, BOX_DELTA_WEIGHTS)
    torch.testing.assert_close(
        boxes.decode_deltas(deltas, references, BOX_DELTA_WEIGHTS, LEGACY_OFFSET), targets, atol=1e-3, rtol=0
    )


def test_every_box_has_an_anchor() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]])
    target_boxes = torch.tensor([[0.0, 0, 10, 11], [24, 4, 44, 24]])
    positive, negative, matches = detector.match_anchors(anchors, target_boxes)
    assert positive.tolist() == [True, True, False]
    assert negative.tolist() == [False, False, True]
    assert matches[:2].tolist() == [0, 1]


def test_sample_indices() -> None:
    mask = torch.tensor([True, False, True, True, False])
    assert set(detector.sample_indices(mask, 9).tolist()) == {0, 2, 3}
    assert len(detector.sample_indices(mask, 2)) == 2
    assert detector.sample_indices(torch.zeros(4, dtype=torch.bool), 2).tolist() == []


def test_the_statistics_of_a_new_network_are_those_of_its_images(examples: list[RenderedScene]) -> None:
    torch.manual_seed(0)
    pixels = torch.stack([detector.resized(example.image, detector.SMALL_CONFIG) for example in examples[:4]])
    images = detector.normalise(pixels)
    assert images.shape == (4, 3, 216, 288)
    network = detector.initialise(images, torch.device("cpu"))
    norm = network.backbone["body"].stem.bn1
    assert float(norm.running_var.min()) > 0
    assert not torch.equal(norm.running_mean, torch.zeros_like(norm.running_mean))
    targets = [detector.targets_of(example.scene, 288 / 400) for example in examples[:4]]
    values = [loss.item() for loss in detector.losses(network, images, targets)]
    assert all(0 < value < 10 for value in values), values
