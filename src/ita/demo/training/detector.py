"""Trains a small VinVL detector: proposals, classes, boxes and attributes at once (Faster R-CNN, Ren et al. 2015)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from ita.demo.ground_truth import ATTRIBUTES, LABELS, object_annotations
from ita.demo.pictures import Scene
from ita.demo.training.dataset import RenderedScene, batches
from ita.demo.training.loop import optimise
from ita.io.files import atomic, write_json
from ita.vision import boxes
from ita.vision.detectors.rcnn.layers import FrozenBatchNorm
from ita.vision.detectors.vinvl.config import VinvlConfig
from ita.vision.detectors.vinvl.detector import resized
from ita.vision.detectors.vinvl.network import PROPOSAL_DELTA_WEIGHTS, AttrRCNN
from ita.vision.detectors.vinvl.postprocessing import BOX_DELTA_WEIGHTS, LEGACY_OFFSET

SMALL_CONFIG = VinvlConfig(
    num_classes=len(LABELS) + 1,
    num_attributes=len(ATTRIBUTES) + 1,
    stem_out=16,
    res2_out=32,
    groups=4,
    width_per_group=4,
    blocks=(1, 2, 3, 1),
    anchor_sizes=(16, 32, 64, 128),
    pre_nms_top_n=300,
    post_nms_top_n=40,
    pooler_resolution=8,
    cls_emd_dim=16,
    attr_emd_dim=64,
    min_size=216,
    max_size=288,
)
"""An image of the demo, 400 x 300, is resized to 288 x 216."""
POSITIVE_IOU, NEGATIVE_IOU = 0.6, 0.3
"""IoU with a ground-truth box from which on an anchor is positive, and below which it is negative."""
REGION_IOU = 0.5
"""IoU from which on a proposal is labelled with the class of its ground-truth box."""
ANCHORS_PER_IMAGE, REGIONS_PER_IMAGE = 64, 32
"""Anchors and proposals of an image that are sampled for the losses of a step."""
LEARNING_RATE = 2e-3


class Targets(NamedTuple):
    """Ground truth of one image with n objects, in pixels of the network's input."""

    boxes: Tensor
    """(n, 4)."""
    labels: Tensor
    """(n,)."""
    attributes: Tensor
    """(n, A) probabilities that add up to 1."""


def targets_of(scene: Scene, scale: float) -> Targets:
    """Targets of a scene whose image is resized by a factor."""
    objects = object_annotations(scene)
    attributes = torch.zeros(len(objects), SMALL_CONFIG.num_attributes)
    for row, annotation in enumerate(objects):
        for attribute in annotation.attributes:
            attributes[row, ATTRIBUTES.index(attribute) + 1] = 1 / len(annotation.attributes)
    return Targets(
        torch.tensor([annotation.box for annotation in objects]) * scale,
        torch.tensor([LABELS.index(annotation.label) + 1 for annotation in objects]),
        attributes,
    )


def train_detector(
    examples: Sequence[RenderedScene], steps: int, batch_size: int, seed: int, device: torch.device
) -> AttrRCNN:
    """A network trained on rendered scenes.

    Args:
        examples: the scenes.
        steps: updates.
        batch_size: images per update.
        seed: of weights, order and samples.
        device: where it is trained.
    """
    torch.manual_seed(seed)
    pixels = torch.stack([resized(example.image, SMALL_CONFIG) for example in examples])
    scale = pixels.shape[2] / examples[0].image.image.width
    targets = [Targets(*(tensor.to(device) for tensor in targets_of(example.scene, scale))) for example in examples]
    network: AttrRCNN = initialise(normalise(pixels[: 4 * batch_size]).to(device), device)
    # Running statistics stay those of the first images; scale and shift of each channel are trained.
    norms: list[Any] = [module for module in network.modules() if isinstance(module, FrozenBatchNorm)]
    affine: list[Tensor] = [value.requires_grad_() for norm in norms for value in (norm.weight, norm.bias)]
    batch_indices = batches(lambda: torch.randperm(len(examples)).tolist(), batch_size)

    def batch_loss() -> Tensor:
        indices = next(batch_indices)
        images = normalise(pixels[indices]).to(device)
        return torch.stack(losses(network, images, [targets[index] for index in indices])).sum()

    parameters = [*network.parameters(), *affine]
    optimise("detector", parameters, batch_loss, steps=steps, learning_rate=LEARNING_RATE, max_norm=5.0)
    for value in affine:
        value.requires_grad_(False)
    return network.eval()


def normalise(images: Tensor) -> Tensor:
    """RGB bytes (B, H, W, 3) to the network's input (B, 3, H, W)."""
    pixels = images.flip(-1).float()
    return (pixels - pixels.new_tensor(SMALL_CONFIG.pixel_mean_bgr)).permute(0, 3, 1, 2)


def initialise(pixels: Tensor, device: torch.device) -> Any:
    """A network of random weights whose batch norms have the statistics of some images (B, 3, H, W)."""
    network: Any = AttrRCNN(SMALL_CONFIG).to(device)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if name.endswith(("cls_logits", "bbox_pred", "cls_score", "attr_score")):
                nn.init.normal_(module.weight, std=0.01)
            else:
                nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.1)

    def set_statistics(norm: Any, inputs: tuple[Tensor]) -> None:
        norm.running_mean.copy_(inputs[0].mean((0, 2, 3)))
        norm.running_var.copy_(inputs[0].var((0, 2, 3)) + 1e-3)

    norms = [module for module in network.modules() if isinstance(module, FrozenBatchNorm)]
    hooks = [norm.register_forward_pre_hook(set_statistics) for norm in norms]
    with torch.no_grad():
        c4 = network.backbone["body"](pixels)
        region = pixels.new_tensor([[0, 0, pixels.shape[3] / 2, pixels.shape[2] / 2]])
        network.roi_heads["box"].feature_extractor(c4[0], region)
    for hook in hooks:
        hook.remove()
    return network


def losses(network: Any, images: Tensor, targets: Sequence[Targets]) -> list[Tensor]:
    """Losses of objectness, proposal deltas, classes, box deltas and attributes; each a mean over the images.

    Args:
        network: the detector.
        images: (B, 3, H, W).
        targets: of the B images.
    """
    size = (images.shape[2], images.shape[3])
    c4 = network.backbone["body"](images)
    batch = len(images)
    objectness, deltas = network.rpn.predict(c4)
    anchors = network.rpn.anchors(*c4.shape[2:])
    with torch.no_grad():
        proposals = network.rpn(c4, [size] * batch)
    sums = [c4.new_zeros(()) for _ in range(5)]
    for row, target in enumerate(targets):
        regions = torch.cat([proposals[row].boxes, target.boxes])
        image_losses = [
            *proposal_losses(objectness[row], deltas[row], anchors, target),
            *region_losses(network, c4[row], regions, target),
        ]
        sums = [total + loss for total, loss in zip(sums, image_losses, strict=True)]
    return [total / batch for total in sums]


def proposal_losses(objectness: Tensor, deltas: Tensor, anchors: Tensor, target: Targets) -> list[Tensor]:
    """Losses of objectness and proposal deltas of one image.

    Args:
        objectness: (N,) logits of the anchors.
        deltas: (N, 4) box deltas of the anchors.
        anchors: (N, 4).
        target: of the image.
    """
    positive, negative, matches = match_anchors(anchors, target.boxes)
    sampled = torch.cat(
        [sample_indices(positive, ANCHORS_PER_IMAGE // 2), sample_indices(negative, ANCHORS_PER_IMAGE // 2)]
    )
    objectness_loss = functional.binary_cross_entropy_with_logits(objectness[sampled], positive[sampled].float())
    rows = positive.nonzero().squeeze(1)
    target_deltas = encode_deltas(target.boxes[matches[rows]], anchors[rows], PROPOSAL_DELTA_WEIGHTS)
    delta_loss = functional.smooth_l1_loss(deltas[rows], target_deltas, reduction="sum", beta=1 / 9)
    return [objectness_loss, delta_loss / max(4 * len(rows), 1)]


def region_losses(network: Any, c4: Tensor, proposals: Tensor, target: Targets) -> list[Tensor]:
    """Losses of classes, box deltas and attributes of sampled proposals of one image.

    Args:
        network: the detector.
        c4: (C, h, w) features of the image.
        proposals: (P, 4).
        target: of the image.
    """
    ious, matches = boxes.iou(proposals, target.boxes).max(1)
    sampled = torch.cat(
        [
            sample_indices(ious >= REGION_IOU, REGIONS_PER_IMAGE // 2),
            sample_indices(ious < REGION_IOU, REGIONS_PER_IMAGE // 2),
        ]
    )
    regions, matches, foreground = proposals[sampled], matches[sampled], ious[sampled] >= REGION_IOU
    labels = target.labels[matches] * foreground
    features, logits, deltas = network.roi_heads["box"](c4, regions)
    class_loss = functional.cross_entropy(logits, labels)
    rows = foreground.nonzero().squeeze(1)
    class_deltas = deltas.view(len(regions), -1, 4)[rows, labels[rows]]
    target_deltas = encode_deltas(target.boxes[matches[rows]], regions[rows], BOX_DELTA_WEIGHTS)
    box_loss = functional.smooth_l1_loss(class_deltas, target_deltas, reduction="sum") / (4 * len(regions))
    attribute_logits = network.attribute.predictor(features[rows], labels[rows])
    attribute_loss = functional.cross_entropy(attribute_logits, target.attributes[matches[rows]])
    return [class_loss, box_loss, attribute_loss]


def match_anchors(anchors: Tensor, target_boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Matches anchors (N, 4) to ground-truth boxes (n, 4).

    Returns:
        (N,) True for positive anchors, (N,) True for negative ones, and (N,) the box that each is matched to.
    """
    ious = boxes.iou(anchors, target_boxes)
    best, matches = ious.max(1)
    positive = best >= POSITIVE_IOU
    # A box that no anchor overlaps that much gets the anchor that overlaps it most.
    nearest = ious.argmax(0)
    positive[nearest] = True
    matches[nearest] = torch.arange(len(target_boxes), device=matches.device)
    return positive, (best < NEGATIVE_IOU) & ~positive, matches


def sample_indices(mask: Tensor, most: int) -> Tensor:
    """Indices of at most so many True values of a mask (N,), drawn at random."""
    indices = mask.nonzero().squeeze(1)
    return indices[torch.randperm(len(indices))[:most].to(indices.device)]


def encode_deltas(target_boxes: Tensor, reference_boxes: Tensor, weights: Sequence[float]) -> Tensor:
    """Box deltas (n, 4), the inverse of ``boxes.decode_deltas``.

    Args:
        target_boxes: (n, 4) what decoding gives.
        reference_boxes: (n, 4) anchors or proposals that decoding begins with.
        weights: factors of the four deltas.
    """
    reference_size = reference_boxes[:, 2:] - reference_boxes[:, :2] + LEGACY_OFFSET
    target_size = target_boxes[:, 2:] - target_boxes[:, :2] + LEGACY_OFFSET
    shift = (target_boxes[:, :2] + 0.5 * target_size - reference_boxes[:, :2] - 0.5 * reference_size) / reference_size
    growth = (target_size / reference_size).log().clamp(max=math.log(1000 / 16))
    return torch.cat([shift, growth], 1) * target_boxes.new_tensor(weights)


def save(network: AttrRCNN, folder: Path) -> None:
    """Writes the network as VinVL's is published: weights, configuration, names of classes and attributes."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic(folder / "model.safetensors") as part:
        save_file({name: value.detach().clone() for name, value in network.state_dict().items()}, part)
    (folder / "config.json").write_text(json.dumps(asdict(SMALL_CONFIG), indent=1) + "\n")
    write_json(
        folder / "labels.json",
        {
            "label_to_idx": {name: index for index, name in enumerate(LABELS, 1)},
            "attribute_to_idx": {name: index for index, name in enumerate(ATTRIBUTES, 1)},
        },
    )
