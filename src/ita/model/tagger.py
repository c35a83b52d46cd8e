"""The tagger: a pretrained encoder, one linear layer, a CRF. One set of weights serves both views.

A tagger that reads regions has one more linear layer, from their features to the encoder's input embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ita.model.batching import Batch
from ita.model.crf import CRF
from ita.model.crf.constraints import bioes_constraints
from ita.model.encoder import word_vectors


class Tagger(nn.Module):
    """Encoder + word dropout + linear layer + CRF.

    Args:
        encoder: a transformers model that returns ``last_hidden_state``, of width H.
        tags: names of the K tags.
        word_dropout: share of word vectors set to zero in training, without rescaling (flair's WordDropout).
        constrained: only sequences of tags that are valid BIOES have a probability; else all have, as in the official
            code.
        padding: what is padded in a forward pass, see :func:`ita.model.encoder.word_vectors`; ``auto`` takes the least
            that encoder and device allow.
        regions: D, numbers of each region that is read beside the text; 0 reads none.
    """

    features: Tensor | None
    """(F, D) table of features, of which batches name rows; no part of the weights."""

    def __init__(
        self,
        encoder: Any,
        tags: Sequence[str],
        word_dropout: float,
        constrained: bool = False,
        padding: str = "auto",
        regions: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.linear = nn.Linear(encoder.config.hidden_size, len(tags))
        self.crf = CRF(len(tags), bioes_constraints(tags) if constrained else None)
        self.word_dropout = word_dropout
        self.padding = padding
        self.read = word_vectors
        self.projection = nn.Linear(regions, encoder.config.hidden_size) if regions else None
        self.register_buffer("features", None, persistent=False)

    def look(self, features: Tensor) -> None:
        """Gives the tagger the table of features (F, D) whose rows its batches name; it moves along with the model."""
        self.features = features

    def emissions(self, batch: Batch) -> Tensor:
        """Tag scores (B, W, K), fp32, of the words of each post; the words of its context are read, not scored."""
        return self.scores(self.words(batch))

    def words(self, batch: Batch) -> Tensor:
        """What represents the words of each post, (B, W, H).

        A word is represented by its first piece in the last layer; one without pieces by the zero vector.
        """
        regions = None
        if batch.visual is not None and self.projection is not None and self.features is not None:
            regions = self.projection(self.features[batch.visual.rows].to(self.projection.weight.dtype))
        vectors = self.read(self.encoder, batch, self.padding_on(batch.ids.device), regions)
        return functional.pad(vectors, (0, 0, 1, 0))[batch.first + 1]

    def scores(self, vectors: Tensor) -> Tensor:
        """Tag scores (B, W, K), fp32, of words that are represented by vectors (B, W, H)."""
        if self.training and self.word_dropout:
            kept = torch.rand(vectors.shape[:2], device=vectors.device) >= self.word_dropout
            vectors = vectors * kept.unsqueeze(2)
        return self.linear(vectors).float()

    def compile_encoder(self) -> None:
        """Reads batches by a compiled encoder from now on; the first batches of each kind take long."""
        self.read = torch.compile(word_vectors, dynamic=True)

    def padding_on(self, device: torch.device) -> str:
        """What is padded on a device: jagged attention has a kernel on GPUs; on a CPU it takes 1.3 times as long."""
        if self.padding == "auto":
            return "none" if device.type == "cuda" else "attention"
        return self.padding
