"""Which tag may follow which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

FORBIDDEN = -1e4
"""Score of a forbidden transition: Viterbi never takes one, yet a post with invalid gold tags has a finite loss."""


class TransitionConstraints(NamedTuple):
    """Allowed transitions; True is allowed."""

    start: Tensor
    """(K,) bool."""
    transitions: Tensor
    """(K, K) bool, (from, to)."""
    end: Tensor
    """(K,) bool."""


def bioes_constraints(tag_names: Sequence[str]) -> TransitionConstraints:
    """Transitions that keep BIOES tags ('O', 'B-PER', 'I-PER', 'E-PER', 'S-PER', ...) well formed."""
    opens = torch.tensor([name[0] in "BI" for name in tag_names])
    continues = torch.tensor([name[0] in "IE" for name in tag_names])
    same_type = torch.tensor([[source[2:] == target[2:] for target in tag_names] for source in tag_names])
    transitions = torch.where(opens.unsqueeze(1), continues & same_type, ~continues)
    return TransitionConstraints(~continues, transitions, ~opens)
