"""UMT's auxiliary task: entity boundaries from text alone, whose logits are part of the emissions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ita.model.crf import CRF

BOUNDARY_SHARE = 0.5
"""Share of the boundary logits in the emissions, and weight of the boundary loss (upstream's alpha and lambda)."""


class BoundaryHead(nn.Module):
    """Linear layer and CRF over A boundary tags (O, B, I, ...), and the conversion of their logits to K typed tags.

    Args:
        hidden_size: H, width of the auxiliary features.
        tag_names: the K tags.
    """

    loss = "boundary"
    conversion: Tensor
    boundary_of: Tensor

    def __init__(self, hidden_size: int, tag_names: Sequence[str]) -> None:
        super().__init__()
        boundaries = boundary_tags(tag_names)
        self.hidden_size = hidden_size
        self.linear = nn.Linear(hidden_size, len(boundaries))
        self.crf = CRF(len(boundaries))
        self.register_buffer("conversion", conversion_matrix(tag_names), persistent=False)
        index = torch.tensor([boundaries.index(tag.partition("-")[0]) for tag in tag_names])
        self.register_buffer("boundary_of", index, persistent=False)

    def combine(self, classifier: nn.Module, vectors: Tensor) -> Tensor:
        """Emissions (B, W, K) from word vectors (B, W, F + H): fused features, then auxiliary features."""
        emissions: Tensor = classifier(vectors[..., : -self.hidden_size])
        spread = self.logits(vectors) @ self.conversion.to(emissions.dtype)
        emissions = (1 - BOUNDARY_SHARE) * emissions + BOUNDARY_SHARE * spread
        return emissions if emissions.dtype == torch.float64 else emissions.float()

    def logits(self, vectors: Tensor) -> Tensor:
        """(B, W, A)."""
        logits: Tensor = self.linear(vectors[..., -self.hidden_size :])
        return logits

    def nll(self, vectors: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Loss (B,) of the boundaries in typed tags (B, W)."""
        logits = self.logits(vectors)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        return self.crf.nll(logits, self.boundary_of[tags], lengths)


def boundary_tags(tags: Sequence[str]) -> list[str]:
    """Tags of the auxiliary task: ``B-PER`` -> ``B``; each once, in the order of their first use."""
    return list(dict.fromkeys(tag.partition("-")[0] for tag in tags))


def conversion_matrix(tags: Sequence[str]) -> Tensor:
    """(A, K) weights that spread the logits of A boundary tags over K typed tags.

    A boundary tag gives each of its n typed tags 1/n of its logit (upstream: run_mtmner_crf.py). It scales logits, not
    probabilities; tags without a type keep the whole.
    """
    boundaries = boundary_tags(tags)
    matrix = torch.zeros(len(boundaries), len(tags))
    for column, tag in enumerate(tags):
        matrix[boundaries.index(tag.partition("-")[0]), column] = 1.0
    return matrix / matrix.sum(1, keepdim=True)
