"""Training on the part of a vocabulary that the data uses.

A row of the embedding table that no post uses gets no gradient, and AdamW without weight decay leaves it as it is. So
training on the used rows alone is the same training, with less to update, to keep and to write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ita.model.bert import Bert
from ita.model.inputs import EncodedView


class TrimmedVocabulary(NamedTuple):
    """A vocabulary of V subwords of which U are used."""

    used_ids: NDArray[np.int64]
    """(U,) ids of the used subwords, ascending."""
    embeddings: Tensor
    """(V, H) the whole embedding table."""
    key: str
    """Name of the table among the model's weights."""

    def renumber(self, posts: Sequence[EncodedView]) -> list[EncodedView]:
        """Posts with the new ids; all their subwords must be among the used ones."""
        return [post._replace(ids=np.searchsorted(self.used_ids, post.ids).astype(np.int32)) for post in posts]

    def restore(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of the model with the trained rows back in the whole table."""
        embeddings = self.embeddings.clone()
        embeddings[torch.from_numpy(self.used_ids)] = weights[self.key].to(embeddings)
        return {**weights, self.key: embeddings}


class TrimmedVocabularies(NamedTuple):
    """Those of the encoders of a system; None for one whose whole vocabulary is trained."""

    of_encoders: tuple[TrimmedVocabulary | None, ...]

    def renumber(self, posts: Sequence[EncodedView]) -> list[EncodedView]:
        """Posts with the new ids of each encoder."""
        parts = []
        for number, vocabulary in enumerate(self.of_encoders):
            part = [post.parts[number] for post in posts]
            parts.append(vocabulary.renumber(part) if vocabulary else part)
        return [first._replace(beside=tuple(beside)) for first, *beside in zip(*parts, strict=True)]

    def restore(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of the model with the trained rows back in the whole tables."""
        for vocabulary in filter(None, self.of_encoders):
            weights = vocabulary.restore(weights)
        return weights


def trim_vocabularies(encoders: Mapping[str, Any], posts: Sequence[EncodedView]) -> TrimmedVocabularies:
    """Leaves each encoder that is ours only the subwords of its posts.

    Args:
        encoders: prefix of an encoder's weights in the model -> encoder, in the order of the system.
        posts: all posts that they will read.
    """
    return TrimmedVocabularies(
        tuple(
            trim_vocabulary(encoder, (post.parts[number] for post in posts), prefix)
            if isinstance(encoder, Bert)
            else None
            for number, (prefix, encoder) in enumerate(encoders.items())
        )
    )


def trim_vocabulary(encoder: Bert, posts: Iterable[EncodedView], prefix: str) -> TrimmedVocabulary:
    """Leaves an encoder only the embeddings of the subwords in its posts, and of padding.

    Args:
        encoder: its embedding table is replaced.
        posts: all posts that the encoder will read.
        prefix: of the encoder's weights in the model, such as ``encoder.``.
    """
    whole = encoder.embeddings.word_embeddings
    padding_id = encoder.config.pad_token_id
    used_ids = np.unique(np.concatenate([[padding_id], *(post.ids for post in posts)]))
    trimmed = nn.Embedding(len(used_ids), whole.embedding_dim, int(np.searchsorted(used_ids, padding_id)))
    with torch.no_grad():
        trimmed.weight.copy_(whole.weight[torch.from_numpy(used_ids)])
    encoder.embeddings.word_embeddings = trimmed
    return TrimmedVocabulary(used_ids, whole.weight.detach(), f"{prefix}embeddings.word_embeddings.weight")
