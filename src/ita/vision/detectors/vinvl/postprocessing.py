"""Which of the pairs of proposal and class are objects: the three filters of VinVL, and its choice of attributes.

Filter 1 made the published features (microsoft/scene_graph_benchmark, issue 8). R proposals, C classes of which class 0
is the background, n objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ita.vision import boxes

if TYPE_CHECKING:
    from ita.vision.detectors.vinvl.network import VinvlConfig

EDGE = 1
"""Boxes follow Caffe's convention: they cover the pixel they end at."""
BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
CLASS_NMS = 0.3
"""Overlap above which filter 1 removes a box of the same class."""
AGNOSTIC_SHARE = 0.01
"""Share of the threshold above which filter 2 looks at a box."""
HALVINGS = 10
"""How often filter 0 halves its threshold to find enough."""
PAIRS = 6000
"""Most pairs that are compared regardless of class; more are compared class by class."""
CLASSES = 32
"""Classes compared at a time."""


@dataclass(frozen=True)
class PostprocessConfig:
    """What counts as an object."""

    filter: int = 1
    """0: suppression in each class among scores above the threshold, by class; 1: suppression in each class, then the
    best class of each box; 2: the best class of each box, then suppression across classes."""
    regression: bool = False
    """Whether boxes are moved for their class; else they are the proposals."""
    threshold: float = 0.2
    minimum: int = 10
    """Objects that are kept even below the threshold."""
    maximum: int = 100
    pruned: bool = True
    """Whether filter 1 looks at scores below the threshold only where it finds too few; the result is the same."""


@dataclass(frozen=True)
class Candidates:
    """All pairs of proposal and class of one image."""

    proposals: Tensor
    """(R, 4)."""
    scores: Tensor
    """(R, C) probabilities."""
    deltas: Tensor | None
    """(R, C, 4), or None where boxes are the proposals."""
    size: tuple[int, int]
    """Height and width of the image."""

    def boxes(self, rows: Tensor, classes: Tensor) -> Tensor:
        """Boxes (..., 4) of pairs; ``rows`` and ``classes`` have the same shape or broadcast to it."""
        if self.deltas is None:
            return self.proposals[rows]
        moved = boxes.decode_deltas(self.deltas[rows, classes], self.proposals[rows], BOX_WEIGHTS, EDGE)
        return boxes.clip(moved, self.size, EDGE)


@dataclass(frozen=True)
class Kept:
    """Objects of one image."""

    rows: Tensor
    """(n,), the proposal of each."""
    labels: Tensor
    """(n,), the class of each."""
    scores: Tensor
    """(n,)."""
    boxes: Tensor
    """(n, 4)."""


def choose(found: Candidates, rules: PostprocessConfig, overlap: float) -> Kept:
    """The objects that a filter lets through; ``overlap`` is the threshold of suppression in filters 0 and 2."""
    if rules.filter == 0:
        rows, labels = by_class(found, rules, overlap)
    elif rules.filter == 1:
        rows, labels = best_survivors(found, rules)
    else:
        rows, labels = across_classes(found, rules, overlap)
    return Kept(rows, labels, found.scores[rows, labels], found.boxes(rows, labels))


def by_class(found: Candidates, rules: PostprocessConfig, overlap: float) -> tuple[Tensor, Tensor]:
    """Filter 0: by class and within a class by falling score; a proposal may be several objects."""
    threshold = rules.threshold
    for _ in range(HALVINGS + 1):
        left = survivors(found, found.scores > threshold, overlap)
        if left.sum() >= rules.minimum:
            break
        threshold /= 2
    scores = found.scores * left
    if left.sum() > rules.maximum:
        left &= scores >= scores.flatten().topk(rules.maximum).values[-1]
    labels, rows = left.T.nonzero(as_tuple=True)
    order = found.scores[rows, labels].sort(descending=True, stable=True).indices
    order = order[labels[order].sort(stable=True).indices]
    return rows[order], labels[order]


def best_survivors(found: Candidates, rules: PostprocessConfig) -> tuple[Tensor, Tensor]:
    """Filter 1: suppression in each class over all proposals, then each proposal's best class that is left.

    A pair can only be removed by a better one. So what is left among the pairs above a threshold does not depend on
    those below, and these are needed only where too few proposals have a pair above.
    """
    least = rules.threshold if rules.pruned else 0.0
    while True:
        wanted = found.scores >= least
        if least and wanted.sum() > PAIRS:
            # Lowering the threshold further would only repeat the work: an untrained head has no score above 0.001.
            least, wanted = 0.0, torch.ones_like(wanted)
        left = survivors(found, wanted, CLASS_NMS)
        best, labels = (found.scores * left).max(1)
        if wanted.all() or (best > 0).sum() >= rules.minimum:
            break
        least /= 10
    rows = ranked(best, best > 0, rules)
    return rows, labels[rows]


def across_classes(found: Candidates, rules: PostprocessConfig, overlap: float) -> tuple[Tensor, Tensor]:
    """Filter 2: each proposal's best class, then suppression regardless of class.

    Where boxes are moved, their mean over all classes stands for each in suppression. What upstream then returns are
    boxes of other proposals; here they are the ones of the best class.
    """
    best, labels = found.scores[:, 1:].max(1)
    labels = labels + 1
    if found.deltas is None:
        places = found.proposals
    else:
        every = torch.arange(len(best), device=best.device)[:, None]
        places = found.boxes(every, torch.arange(found.scores.shape[1], device=best.device)).mean(1)
    real = (places[:, 2:] >= places[:, :2]).all(1) & (best > AGNOSTIC_SHARE * rules.threshold)
    some = real.nonzero().squeeze(1)
    some = some[boxes.nms(places[some], best[some], overlap)]
    rows = ranked(best, torch.zeros_like(real).index_fill_(0, some, True), rules)
    return rows, labels[rows]


def ranked(best: Tensor, left: Tensor, rules: PostprocessConfig) -> Tensor:
    """Proposals that are left, by falling score: all above the threshold, within the bounds of their number."""
    best = best.where(left, -1.0)
    scores, rows = best.sort(descending=True, stable=True)
    count = min(max(int((scores >= rules.threshold).sum()), rules.minimum), rules.maximum, int(left.sum()))
    return rows[:count]


def survivors(found: Candidates, wanted: Tensor, overlap: float) -> Tensor:
    """Which pairs are left after suppression within each class.

    Args:
        found: the pairs.
        wanted: (R, C), pairs that take part; the background never does.
        overlap: a box is removed by a better one of its class when their overlap exceeds this.

    Returns:
        (R, C), True for pairs that are left.
    """
    wanted = wanted.clone()
    wanted[:, 0] = False
    left = torch.zeros_like(wanted)
    if wanted.sum() <= PAIRS:
        rows, labels = wanted.nonzero(as_tuple=True)
        kept = boxes.nms(found.boxes(rows, labels), found.scores[rows, labels], overlap, labels)
        left[rows[kept], labels[kept]] = True
        return left
    every = torch.arange(1, wanted.shape[1], device=wanted.device)
    for labels in every.split(CLASSES):
        rows = found.scores[:, labels].T.sort(dim=1, descending=True, stable=True).indices
        here = found.boxes(rows, labels[:, None])
        part = wanted[rows, labels[:, None]]
        removes = (boxes.iou(here, here) > overlap).triu_(1)
        left[rows, labels[:, None]] = boxes.greedy(removes & part[..., None]) & part
    return left


def best_attributes(logits: Tensor, shape: VinvlConfig) -> tuple[Tensor, Tensor]:
    """The best attributes of the objects of one image, (n, k), and their scores (n, k).

    Scores are a softmax over all attributes, "none" among them; those that are too low, or not among the image's best,
    are 0.

    Args:
        logits: (n, K), attribute 0 is "none".
        shape: names the bounds.
    """
    scores = logits.softmax(1)
    scores[:, 0] = 0
    scores[scores <= shape.attr_thresh] = 0
    if scores.numel() > shape.max_num_attr_per_img:
        scores[scores < scores.flatten().topk(shape.max_num_attr_per_img).values[-1]] = 0
    scores, labels = scores.topk(min(shape.max_num_attr_per_obj, scores.shape[1]), 1)
    return labels, scores
