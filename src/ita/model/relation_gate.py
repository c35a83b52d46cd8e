"""RpBERT's relation gate (Sun et al., AAAI 2021): how much of the image a post lets in.

Source: Multimodal-NER/RpBERT, model/model.py (the new code). The gate is the probability that image and text are
related, read from [CLS] in a first pass over post and image; the second pass sees the image regions scaled by it.
"""

from __future__ import annotations

from torch import Tensor, nn

RELATED = 1
"""Index of the class 'image and text are related'."""


class RelationGate(nn.Module):
    """[CLS] states -> relation logits and gates.

    Args:
        hidden_size: H of the encoder.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, 2)

    def forward(self, cls_states: Tensor) -> tuple[Tensor, Tensor]:
        """(R, H) -> logits (R, 2) and gates (R,), the probability of class 1."""
        logits = self.linear(cls_states)
        return logits, logits.softmax(1)[:, RELATED]
