"""The tagger: a pretrained encoder, one linear layer, a CRF. One set of weights serves both views.

A tagger that reads image regions has one more linear layer, from region features to the encoder's input embeddings.
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
from ita.model.encoder import first_subword_vectors


class Tagger(nn.Module):
    """Encoder + word dropout + linear layer + CRF.

    Args:
        encoder: a :class:`ita.model.bert.Bert` or a transformers model that returns ``last_hidden_state``, of width H.
        tag_names: the K tags.
        word_dropout: share of word vectors set to zero in training, without rescaling (flair's WordDropout).
        constrained: only sequences of tags that are valid BIOES have a probability; else all have, as in the official
            code.
        padding: what is padded in a forward pass, see :func:`ita.model.encoder.first_subword_vectors`; ``auto`` takes
            the least that encoder and device allow.
        region_dim: D of the region features that are read beside the text; 0 reads none.
    """

    region_features: Tensor | None
    """(F, D) table of region features, of which batches name rows; not part of the weights."""

    def __init__(
        self,
        encoder: Any,
        tag_names: Sequence[str],
        word_dropout: float,
        constrained: bool = False,
        padding: str = "auto",
        region_dim: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.linear = nn.Linear(encoder.config.hidden_size, len(tag_names))
        self.crf = CRF(len(tag_names), bioes_constraints(tag_names) if constrained else None)
        self.word_dropout = word_dropout
        self.padding = padding
        self.encode = first_subword_vectors
        self.projection = nn.Linear(region_dim, encoder.config.hidden_size) if region_dim else None
        self.register_buffer("region_features", None, persistent=False)

    def set_region_features(self, features: Tensor) -> None:
        """Sets the table of region features (F, D) whose rows batches name; it moves along with the model."""
        self.region_features = features

    def emissions(self, batch: Batch) -> Tensor:
        """Emissions (B, W, K), fp32, of the words of each post; words of its context have none."""
        return self.classify(self.word_vectors(batch))

    def word_vectors(self, batch: Batch) -> Tensor:
        """Representations (B, W, H) of the words of each post.

        A word is represented by its first subword in the last layer; one without subwords by the zero vector.
        """
        regions = None
        if batch.regions is not None and self.projection is not None and self.region_features is not None:
            features = self.region_features[batch.regions.feature_rows]
            regions = self.projection(features.to(self.projection.weight.dtype))
        vectors = self.encode(self.encoder, batch, self.padding_on(batch.ids.device), regions)
        return functional.pad(vectors, (0, 0, 1, 0))[batch.word_index + 1]

    def classify(self, vectors: Tensor) -> Tensor:
        """Emissions (B, W, K), fp32, from word vectors (B, W, H)."""
        if self.training and self.word_dropout:
            keep = torch.rand(vectors.shape[:2], device=vectors.device) >= self.word_dropout
            vectors = vectors * keep.unsqueeze(2)
        return self.linear(vectors).float()

    def compile_encoder(self) -> None:
        """Compiles the encoder's forward pass; the first batches of each kind then take long."""
        self.encode = torch.compile(first_subword_vectors, dynamic=True)

    def padding_on(self, device: torch.device) -> str:
        """What is padded: GPUs have a kernel for variable-length attention; on a CPU it takes 1.3 times as long."""
        if self.padding == "auto":
            return "none" if device.type == "cuda" else "attention"
        return self.padding
