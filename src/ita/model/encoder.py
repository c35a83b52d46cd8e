"""Encoders: word vectors of a batch, from our packed BERT family or from any other transformers model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ita.corpus.batches import Batch
from ita.model.bert import Bert, position_offset


def word_vectors(encoder: Any, batch: Batch, padding: str) -> Tensor:
    """Last-layer vectors (M, H) of the pieces that represent words.

    Args:
        encoder: a packed :class:`Bert`, or a transformers model that returns ``last_hidden_state``, whose own forward
            pass is run once for each group of rows.
        batch: N pieces in R rows, M of them read.
        padding: what is padded for a ``Bert``: ``none`` or ``attention``.
    """
    if isinstance(encoder, Bert):
        return encoder(batch, jagged=padding == "none")
    offset = position_offset(encoder.config)
    vectors = []
    sizes = [len(group.pieces.slots) for group in batch.groups]
    for group, ids, positions in zip(batch.groups, batch.ids.split(sizes), batch.positions.split(sizes), strict=True):
        index, inside = group.pieces.index, group.pieces.inside
        # Said only where the encoder would derive them from the number of the padding piece.
        places = {"position_ids": torch.where(inside, positions[index] + offset, offset - 1)} if offset else {}
        hidden = encoder(input_ids=ids[index], attention_mask=inside.long(), **places).last_hidden_state
        vectors.append(hidden.flatten(0, 1)[group.pieces.slots])
    return torch.cat(vectors)[batch.read]
