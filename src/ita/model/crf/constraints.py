"""Which tag may follow which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

FORBIDDEN = -1e4
"""Score of an illegal move: the best path never takes one, yet a post with illegal gold tags has a finite loss."""


class TransitionConstraints(NamedTuple):
    """What may follow what."""

    start: Tensor
    """(K,) bool."""
    moves: Tensor
    """(K, K) bool, (from, to)."""
    end: Tensor
    """(K,) bool."""


def bioes_constraints(names: Sequence[str]) -> TransitionConstraints:
    """Moves that keep BIOES tags ('O', 'B-PER', 'I-PER', 'E-PER', 'S-PER', ...) well formed."""
    opens = torch.tensor([name[0] in "BI" for name in names])
    goes_on = torch.tensor([name[0] in "IE" for name in names])
    same = torch.tensor([[one[2:] == other[2:] for other in names] for one in names])
    moves = torch.where(opens.unsqueeze(1), goes_on & same, ~goes_on)
    return TransitionConstraints(~goes_on, moves, ~opens)
