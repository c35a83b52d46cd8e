"""Which pairs of proposal and class are objects: the three filters of VinVL, and its choice of attributes.

Filter 1 made the published features (microsoft/scene_graph_benchmark, issue 8). R proposals, C classes of which class 0
is the background, n objects.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ita.vision import boxes

LEGACY_OFFSET = 1
"""Boxes follow Caffe's "+1" convention, see ``ita.vision.boxes``."""
BOX_DELTA_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
CLASS_NMS_THRESHOLD = 0.3
"""IoU above which filter 1 suppresses a box of the same class."""
AGNOSTIC_FRACTION = 0.01
"""Fraction of the score threshold above which filter 2 considers a box."""
MAX_HALVINGS = 10
"""How often filter 0 halves its threshold to find enough objects."""
MAX_PAIRS = 6000
"""Most pairs that are compared regardless of class; more are compared class by class."""
CLASS_CHUNK = 32
"""Classes compared at a time."""


@dataclass(frozen=True)
class PostprocessConfig:
    """What counts as an object."""

    filter: int = 1
    """0: NMS in each class among scores above the threshold, objects by class; 1: NMS in each class, then the best
    class of each box; 2: the best class of each box, then NMS across classes."""
    regression: bool = False
    """Whether boxes are decoded from the deltas of their class; else they are the proposals."""
    score_threshold: float = 0.2
    min_detections: int = 10
    """Objects that are kept even below the threshold."""
    max_detections: int = 100
    whole_image: int = 0
    """Regions that all are the whole image, in place of objects; 0: objects."""


@dataclass(frozen=True)
class Candidates:
    """All pairs of proposal and class of one image."""

    proposals: Tensor
    """(R, 4)."""
    scores: Tensor
    """(R, C) probabilities."""
    deltas: Tensor | None
    """(R, C, 4), or None where boxes are the proposals."""
    image_size: tuple[int, int]
    """Height and width of the image."""

    def boxes(self, rows: Tensor, classes: Tensor) -> Tensor:
        """Boxes (..., 4) of pairs; ``rows`` and ``classes`` have the same shape or broadcast to it."""
        if self.deltas is None:
            return self.proposals[rows]
        deltas = self.deltas[rows, classes]
        decoded = boxes.decode_deltas(deltas, self.proposals[rows], BOX_DELTA_WEIGHTS, LEGACY_OFFSET)
        return boxes.clip(decoded, self.image_size, LEGACY_OFFSET)


@dataclass(frozen=True)
class Selection:
    """Pairs of one image that are objects."""

    rows: Tensor
    """(n,), the proposal of each."""
    labels: Tensor
    """(n,), the class of each."""
    scores: Tensor
    """(n,)."""
    boxes: Tensor
    """(n, 4)."""


def whole_image(c4: Tensor, size: tuple[int, int]) -> Tensor:
    """The box (1, 4) of a whole image of height and width ``size``, on the device of its features."""
    height, width = size
    box = [0, 0, width - LEGACY_OFFSET, height - LEGACY_OFFSET]
    return torch.tensor([box], dtype=torch.float32, device=c4.device)


def select_detections(candidates: Candidates, config: PostprocessConfig, nms_threshold: float) -> Selection:
    """The objects that a filter keeps; ``nms_threshold`` is the IoU threshold of filters 0 and 2."""
    if config.whole_image:
        rows = candidates.scores.new_zeros(config.whole_image, dtype=torch.long)
        labels = candidates.scores[rows, 1:].argmax(1) + 1
    elif config.filter == 0:
        rows, labels = filter_by_class(candidates, config, nms_threshold)
    elif config.filter == 1:
        rows, labels = filter_nms_then_best_class(candidates, config)
    else:
        rows, labels = filter_best_class_then_nms(candidates, config, nms_threshold)
    return Selection(rows, labels, candidates.scores[rows, labels], candidates.boxes(rows, labels))


def filter_by_class(candidates: Candidates, config: PostprocessConfig, nms_threshold: float) -> tuple[Tensor, Tensor]:
    """Filter 0: by class and within a class by falling score; a proposal may be several objects."""
    threshold = config.score_threshold
    for _ in range(MAX_HALVINGS + 1):
        keep = class_nms(candidates, candidates.scores > threshold, nms_threshold)
        if keep.sum() >= config.min_detections:
            break
        threshold /= 2
    scores = candidates.scores * keep
    if keep.sum() > config.max_detections:
        keep &= scores >= scores.flatten().topk(config.max_detections).values[-1]
    labels, rows = keep.T.nonzero(as_tuple=True)
    order = candidates.scores[rows, labels].sort(descending=True, stable=True).indices
    order = order[labels[order].sort(stable=True).indices]
    return rows[order], labels[order]


def filter_nms_then_best_class(candidates: Candidates, config: PostprocessConfig) -> tuple[Tensor, Tensor]:
    """Filter 1: NMS in each class over all proposals, then each proposal's best class that is kept.

    A pair can only be suppressed by one of higher score. So which pairs above a threshold are kept does not depend on
    those below, and these are needed only where too few proposals have a pair above.
    """
    threshold = config.score_threshold
    while True:
        considered = candidates.scores >= threshold
        if threshold and considered.sum() > MAX_PAIRS:
            # Lowering the threshold further would only repeat the work: an untrained head has no score above 0.001.
            threshold, considered = 0.0, torch.ones_like(considered)
        keep = class_nms(candidates, considered, CLASS_NMS_THRESHOLD)
        best_scores, labels = (candidates.scores * keep).max(1)
        if considered.all() or (best_scores > 0).sum() >= config.min_detections:
            break
        threshold /= 10
    rows = rank_proposals(best_scores, best_scores > 0, config)
    return rows, labels[rows]


def filter_best_class_then_nms(
    candidates: Candidates, config: PostprocessConfig, nms_threshold: float
) -> tuple[Tensor, Tensor]:
    """Filter 2: each proposal's best class, then NMS regardless of class.

    With box regression, NMS compares the mean of a proposal's boxes over all classes. What upstream then returns are
    boxes of other proposals; here they are the ones of the best class.
    """
    best_scores, labels = candidates.scores[:, 1:].max(1)
    labels = labels + 1
    if candidates.deltas is None:
        compared = candidates.proposals
    else:
        all_rows = torch.arange(len(best_scores), device=best_scores.device)[:, None]
        all_classes = torch.arange(candidates.scores.shape[1], device=best_scores.device)
        compared = candidates.boxes(all_rows, all_classes).mean(1)
    valid = (compared[:, 2:] >= compared[:, :2]).all(1) & (best_scores > AGNOSTIC_FRACTION * config.score_threshold)
    rows = valid.nonzero().squeeze(1)
    rows = rows[boxes.nms(compared[rows], best_scores[rows], nms_threshold)]
    rows = rank_proposals(best_scores, torch.zeros_like(valid).index_fill_(0, rows, True), config)
    return rows, labels[rows]


def rank_proposals(best_scores: Tensor, keep: Tensor, config: PostprocessConfig) -> Tensor:
    """Proposals that are objects, by falling score: all above the threshold, within the bounds of their number.

    Args:
        best_scores: (R,), score of each proposal's best class.
        keep: (R,), True for proposals that NMS keeps.
        config: threshold and bounds.
    """
    scores, rows = best_scores.where(keep, -1.0).sort(descending=True, stable=True)
    above = int((scores >= config.score_threshold).sum())
    count = min(max(above, config.min_detections), config.max_detections, int(keep.sum()))
    return rows[:count]


def class_nms(candidates: Candidates, considered: Tensor, nms_threshold: float) -> Tensor:
    """NMS within each class.

    Args:
        candidates: the pairs.
        considered: (R, C), True for pairs that take part; the background never does.
        nms_threshold: a box is suppressed by one of its class with a higher score when their IoU exceeds this.

    Returns:
        (R, C), True for pairs that are kept.
    """
    considered = considered.clone()
    considered[:, 0] = False
    keep = torch.zeros_like(considered)
    if considered.sum() <= MAX_PAIRS:
        rows, labels = considered.nonzero(as_tuple=True)
        kept = boxes.nms(candidates.boxes(rows, labels), candidates.scores[rows, labels], nms_threshold, labels)
        keep[rows[kept], labels[kept]] = True
        return keep
    classes = torch.arange(1, considered.shape[1], device=considered.device)
    for labels in classes.split(CLASS_CHUNK):
        rows = candidates.scores[:, labels].T.sort(dim=1, descending=True, stable=True).indices
        class_boxes = candidates.boxes(rows, labels[:, None])
        taking_part = considered[rows, labels[:, None]]
        suppresses = (boxes.iou(class_boxes, class_boxes) > nms_threshold).triu_(1)
        keep[rows, labels[:, None]] = boxes.nms_mask(suppresses & taking_part[..., None]) & taking_part
    return keep


def best_attributes(logits: Tensor, threshold: float, per_image: int, per_object: int) -> tuple[Tensor, Tensor]:
    """The best attributes of the objects of one image, (n, k), and their scores (n, k).

    Scores are a softmax over all attributes, "none" among them; those that are too low, or not among the image's best,
    are 0.

    Args:
        logits: (n, K), attribute 0 is "none".
        threshold: scores must exceed this.
        per_image: most attributes of the image.
        per_object: most attributes of an object.
    """
    scores = logits.softmax(1)
    scores[:, 0] = 0
    scores[scores <= threshold] = 0
    if scores.numel() > per_image:
        scores[scores < scores.flatten().topk(per_image).values[-1]] = 0
    scores, labels = scores.topk(min(per_object, scores.shape[1]), 1)
    return labels, scores
