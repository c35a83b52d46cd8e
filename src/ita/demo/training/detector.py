"""Trains a small VinVL detector: region proposals, classes, boxes and attributes at once (Ren et al. 2015)."""

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

from ita.demo import ground_truth
from ita.demo.training.dataset import Lesson
from ita.io.files import atomic, write_json
from ita.log import log, progress
from ita.vision import boxes
from ita.vision.detectors.vinvl.detector import resized
from ita.vision.detectors.vinvl.network import PROPOSAL_WEIGHTS, AttrRCNN, FrozenBatchNorm, VinvlConfig
from ita.vision.detectors.vinvl.postprocessing import BOX_WEIGHTS, EDGE

SMALL = VinvlConfig(
    num_classes=len(ground_truth.LABELS) + 1,
    num_attributes=len(ground_truth.ATTRIBUTES) + 1,
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
"""A picture of the demo, 400 x 300, becomes 288 x 216."""
FOREGROUND, BACKGROUND = 0.6, 0.3
"""Overlap with a thing from which on an anchor is to find it, and below which it is to find nothing."""
ANCHORS, REGIONS = 64, 32
"""Anchors and regions of a picture that are learned from in a step."""
RATE = 2e-3


class Truth(NamedTuple):
    """The things of one picture in network pixels."""

    boxes: Tensor
    """(n, 4)."""
    labels: Tensor
    """(n,)."""
    attributes: Tensor
    """(n, K), shares that add up to 1."""


def truth_of(lesson: Lesson, scale: float) -> Truth:
    """What is to be found in a picture."""
    seen = ground_truth.things(lesson.scene)
    attributes = torch.zeros(len(seen), SMALL.num_attributes)
    for row, thing in enumerate(seen):
        for name in thing.attributes:
            attributes[row, ground_truth.ATTRIBUTES.index(name) + 1] = 1 / len(thing.attributes)
    return Truth(
        torch.tensor([thing.box for thing in seen]) * scale,
        torch.tensor([ground_truth.LABELS.index(thing.label) + 1 for thing in seen]),
        attributes,
    )


def train(lessons: Sequence[Lesson], steps: int, batch: int, seed: int, device: torch.device) -> AttrRCNN:
    """A network trained on some scenes.

    Args:
        lessons: the scenes.
        steps: updates.
        batch: pictures per update.
        seed: of weights, order and samples.
        device: where it is trained.
    """
    torch.manual_seed(seed)
    pixels = torch.stack([resized(lesson.picture, SMALL) for lesson in lessons])
    scale = pixels.shape[2] / lessons[0].picture.image.width
    truths = [Truth(*(part.to(device) for part in truth_of(lesson, scale))) for lesson in lessons]
    network = drawn(normalised(pixels[: 4 * batch]).to(device), device)
    # Statistics stay as the first pictures had them; factor and summand of each channel are learned.
    norms: list[Any] = [module for module in network.modules() if isinstance(module, FrozenBatchNorm)]
    learned: list[Tensor] = [value.requires_grad_() for norm in norms for value in (norm.weight, norm.bias)]
    parameters = [*network.parameters(), *learned]
    optimizer = torch.optim.AdamW(parameters, RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    order: list[int] = []
    for _ in progress(range(steps), steps, "detector", "step"):
        if len(order) < batch:
            order = torch.randperm(len(lessons)).tolist()
        chosen = [order.pop() for _ in range(batch)]
        loss = torch.stack(losses(network, normalised(pixels[chosen]).to(device), [truths[i] for i in chosen])).sum()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    log.info("detector: loss of the last step %.3f", float(loss.detach()))
    for value in learned:
        value.requires_grad_(False)
    return network.eval()


def normalised(images: Tensor) -> Tensor:
    """RGB bytes (B, H, W, 3) to what the network reads (B, 3, H, W)."""
    pixels = images.flip(-1).float()
    return (pixels - pixels.new_tensor(SMALL.pixel_mean_bgr)).permute(0, 3, 1, 2)


def drawn(pixels: Tensor, device: torch.device) -> Any:
    """A network of random weights whose normalisations fit some pictures."""
    network: Any = AttrRCNN(SMALL).to(device)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            last = name.endswith(("cls_logits", "bbox_pred", "cls_score", "attr_score"))
            nn.init.normal_(module.weight, std=0.01) if last else nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.1)

    def fit(module: Any, given: tuple[Tensor]) -> None:
        module.running_mean.copy_(given[0].mean((0, 2, 3)))
        module.running_var.copy_(given[0].var((0, 2, 3)) + 1e-3)

    norms = [module for module in network.modules() if isinstance(module, FrozenBatchNorm)]
    hooks = [module.register_forward_pre_hook(fit) for module in norms]
    with torch.no_grad():
        c4 = network.backbone["body"](pixels)
        whole = pixels.new_tensor([[0, 0, pixels.shape[3] / 2, pixels.shape[2] / 2]])
        network.roi_heads["box"].feature_extractor(c4[0], whole)
    for hook in hooks:
        hook.remove()
    return network


def losses(network: Any, images: Tensor, truths: Sequence[Truth]) -> list[Tensor]:
    """Objectness, proposals, classes, boxes and attributes; each a mean over the pictures."""
    size = (images.shape[2], images.shape[3])
    c4 = network.backbone["body"](images)
    objectness, deltas = network.rpn.head(c4)
    count, kinds, height, width = objectness.shape
    objectness = objectness.permute(0, 2, 3, 1).flatten(1)
    deltas = deltas.view(count, kinds, 4, height, width).permute(0, 3, 4, 1, 2).flatten(1, 3)
    anchors = network.rpn.anchors(height, width)
    with torch.no_grad():
        proposals = network.rpn(c4, [size] * count)
    sums = [c4.new_zeros(()) for _ in range(5)]
    for one, scores, moves, found, truth in zip(c4, objectness, deltas, proposals, truths, strict=True):
        positive, negative, owner = matched(anchors, truth.boxes)
        some = torch.cat([sample(positive, ANCHORS // 2), sample(negative, ANCHORS // 2)])
        sums[0] += functional.binary_cross_entropy_with_logits(scores[some], positive[some].float())
        good = positive.nonzero().squeeze(1)
        wanted = encoded(truth.boxes[owner[good]], anchors[good], PROPOSAL_WEIGHTS)
        sums[1] += functional.smooth_l1_loss(moves[good], wanted, reduction="sum", beta=1 / 9) / max(4 * len(good), 1)
        for number, loss in enumerate(region_losses(network, one, torch.cat([found, truth.boxes]), truth), 2):
            sums[number] += loss
    return [total / count for total in sums]


def region_losses(network: Any, c4: Tensor, proposals: Tensor, truth: Truth) -> list[Tensor]:
    """Classes, boxes and attributes of some proposals of one picture."""
    overlaps, owner = boxes.iou(proposals, truth.boxes).max(1)
    some = torch.cat([sample(overlaps >= 0.5, REGIONS // 2), sample(overlaps < 0.5, REGIONS // 2)])
    regions, owner, inside = proposals[some], owner[some], overlaps[some] >= 0.5
    labels = truth.labels[owner] * inside
    features, logits, deltas = network.roi_heads["box"](c4, regions)
    classes = functional.cross_entropy(logits, labels)
    rows = inside.nonzero().squeeze(1)
    moves = deltas.view(len(regions), -1, 4)[rows, labels[rows]]
    wanted = encoded(truth.boxes[owner[rows]], regions[rows], BOX_WEIGHTS)
    moved = functional.smooth_l1_loss(moves, wanted, reduction="sum") / (4 * len(regions))
    attributes = network.attribute.predictor(features[rows], labels[rows])
    told = functional.cross_entropy(attributes, truth.attributes[owner[rows]])
    return [classes, moved, told]


def matched(anchors: Tensor, things: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which anchors (N,) are to find a thing, which are to find none, and the thing nearest to each."""
    overlaps = boxes.iou(anchors, things)
    best, owner = overlaps.max(1)
    positive = best >= FOREGROUND
    # A thing that no anchor overlaps that much is for the one that comes nearest.
    nearest = overlaps.argmax(0)
    positive[nearest] = True
    owner[nearest] = torch.arange(len(things), device=owner.device)
    return positive, (best < BACKGROUND) & ~positive, owner


def sample(chosen: Tensor, most: int) -> Tensor:
    """Indices of at most so many True values, drawn at random."""
    found = chosen.nonzero().squeeze(1)
    return found[torch.randperm(len(found))[:most].to(found.device)]


def encoded(wanted: Tensor, given: Tensor, weights: Sequence[float]) -> Tensor:
    """The movement (n, 4) that ``boxes.decode`` turns from boxes ``given`` (n, 4) into boxes ``wanted`` (n, 4)."""
    size, goal = (box[:, 2:] - box[:, :2] + EDGE for box in (given, wanted))
    shift = (wanted[:, :2] + 0.5 * goal - given[:, :2] - 0.5 * size) / size
    growth = (goal / size).log().clamp(max=math.log(1000 / 16))
    return torch.cat([shift, growth], 1) * wanted.new_tensor(weights)


def save(network: AttrRCNN, folder: Path) -> None:
    """Writes the network as VinVL's is published: weights, configuration, names of classes and attributes."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic(folder / "model.safetensors") as part:
        save_file({name: value.detach().clone() for name, value in network.state_dict().items()}, part)
    (folder / "config.json").write_text(json.dumps(asdict(SMALL), indent=1) + "\n")
    write_json(
        folder / "labels.json",
        {
            "label_to_idx": {name: index for index, name in enumerate(ground_truth.LABELS, 1)},
            "attribute_to_idx": {name: index for index, name in enumerate(ground_truth.ATTRIBUTES, 1)},
        },
    )
