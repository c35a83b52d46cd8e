"""The tagger: a pretrained encoder, one linear layer, a CRF. One set of weights serves both views."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ita.corpus.batches import Batch
from ita.model.crf import CRF


class Tagger(nn.Module):
    """Encoder + word dropout + linear layer + CRF.

    Args:
        encoder: a transformers model that returns ``last_hidden_state`` (N, T, H).
        hidden: H.
        tags: K.
        word_dropout: share of word vectors set to zero in training, without rescaling (flair's WordDropout).
    """

    def __init__(self, encoder: nn.Module, hidden: int, tags: int, word_dropout: float) -> None:
        super().__init__()
        self.encoder: Any = encoder
        self.linear = nn.Linear(hidden, tags)
        self.crf = CRF(tags)
        self.word_dropout = word_dropout

    def emissions(self, batch: Batch) -> Tensor:
        """Tag scores (B, W, K), fp32, of the words of each post; the words of its context are read, not scored.

        A word is represented by its first piece in the last layer; one without pieces by the zero vector.
        """
        hidden = self.encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
        flat = hidden.reshape(-1, hidden.shape[-1])
        vectors = flat[batch.first.clamp(min=0)] * (batch.first >= 0).unsqueeze(2)
        if self.training and self.word_dropout:
            kept = torch.rand(vectors.shape[:2], device=vectors.device) >= self.word_dropout
            vectors = vectors * kept.unsqueeze(2)
        return self.linear(vectors).float()
