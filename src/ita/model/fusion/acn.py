"""ACN: Adaptive Co-attention Network (Zhang et al., AAAI 2018), the part between encoder and CRF.

Words attend to image regions, what they see attends to the words; one gate mixes the two, another lets the mixture in.
Source: jinlanfu/NERmultimodal, multimodal_ner.py. There a BiLSTM over word and character vectors stands where our
encoder does.

Upstream scores region i for word t by a' tanh(V r_i) + b' tanh(W h_t): a sum, of which the softmax over regions keeps
the first term alone. So all words see the same summary of the image, and for the same reason of the text; the weights
of the other terms have no effect and no gradient, and are left out. The image moves the emissions of all words of a
post by the same amount.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ita.model.fusion import Fusion


class ACN(Fusion):
    """Text states and image regions -> fused features; see :class:`ita.model.fusion.Fusion`."""

    def __init__(self, config: Any, region_dim: int) -> None:
        super().__init__(config, region_dim)
        size = config.hidden_size
        self.width = 2 * size
        self.region_keys = nn.Linear(region_dim, size)
        self.region_scores = nn.Linear(size, 1, bias=False)
        self.region_values = nn.Linear(region_dim, size)
        self.words = nn.Linear(size, size)
        self.word_scores = nn.Linear(size, 1, bias=False)
        self.visual, self.textual = nn.Linear(size, size), nn.Linear(size, size)
        self.mixing_gate, self.mixture = nn.Linear(size, 1), nn.Linear(2 * size, size)
        self.filtration_gate = nn.Linear(size, 1)
        self.text = nn.Linear(size, size)

    def forward(self, states: Tensor, mask: Tensor, regions: Tensor, region_mask: Tensor) -> Tensor:
        """Returns (B, T, 2H): the mixture, the same for all subwords of a post, then the text."""
        scores = self.region_scores(self.region_keys(regions).tanh())
        image = weighted_mean(scores, self.region_values(regions), region_mask)
        words = self.words(states)
        visual = self.visual(image).tanh()
        textual = self.textual(weighted_mean(self.word_scores(words.tanh()), words, mask)).tanh()
        share = torch.sigmoid(self.mixing_gate(visual + textual))
        mixture = self.mixture(torch.cat([share * visual, (1 - share) * textual], dim=1))
        mixture = torch.sigmoid(self.filtration_gate(mixture)) * mixture
        return torch.cat([mixture.unsqueeze(1).expand_as(states), self.text(states)], dim=2)


def weighted_mean(scores: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """(B, N, 1) scores, (B, N, H) values -> (B, H); mask (B, N) is False for padding."""
    weights = scores.masked_fill(~mask.unsqueeze(2), -torch.inf).softmax(1)
    return (weights * values).sum(1)
