"""Training on the part of a vocabulary that the data uses.

A row of the embedding table that no post uses gets no gradient, and AdamW without weight decay leaves it as it is. So
training on the used rows alone is the same training, with less to update, to keep and to write.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ita.model.bert import Bert
from ita.model.inputs import EncodedView


class TrimmedVocabulary(NamedTuple):
    """What was taken out of an encoder of V pieces, U of them used."""

    used: NDArray[np.int64]
    """(U,) numbers of the pieces used, rising."""
    table: Tensor
    """(V, H) the whole embedding table."""
    key: str
    """Name of the table among the encoder's weights."""

    def renumber(self, posts: Sequence[EncodedView]) -> list[EncodedView]:
        """Posts with the encoder's new piece numbers; their pieces must all be among the used ones."""
        return [post._replace(ids=np.searchsorted(self.used, post.ids).astype(np.int32)) for post in posts]

    def restore(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of the encoder with the rows that were trained back in the whole table."""
        table = self.table.clone()
        table[torch.from_numpy(self.used)] = state[self.key].to(table)
        return {**state, self.key: table}


def trim_vocabulary(encoder: Bert, posts: Iterable[EncodedView], prefix: str) -> TrimmedVocabulary:
    """Leaves an encoder only the embeddings of the pieces in some posts, and of padding.

    Args:
        encoder: its embedding table is replaced.
        posts: all posts that the encoder will read.
        prefix: of the encoder's weights in the states that :meth:`Pruned.restore` gets, such as ``encoder.``.
    """
    whole = encoder.embeddings.word_embeddings
    padding = encoder.config.pad_token_id
    used = np.unique(np.concatenate([[padding], *(post.ids for post in posts)]))
    kept = nn.Embedding(len(used), whole.embedding_dim, int(np.searchsorted(used, padding)))
    with torch.no_grad():
        kept.weight.copy_(whole.weight[torch.from_numpy(used)])
    encoder.embeddings.word_embeddings = kept
    return TrimmedVocabulary(used, whole.weight.detach(), f"{prefix}embeddings.word_embeddings.weight")
