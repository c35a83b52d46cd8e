"""Encoders: word vectors of a batch, from our packed BERT family or from any other transformers model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ita.model.batching import Batch
from ita.model.bert import Bert, position_offset, region_types


def word_vectors(encoder: Any, batch: Batch, padding: str, regions: Tensor | None = None) -> Tensor:
    """Last-layer vectors (M, H) of the pieces that represent words.

    Args:
        encoder: a packed :class:`Bert`, or a transformers model that returns ``last_hidden_state``, whose own forward
            pass is run once for each group of rows.
        batch: N inputs in R rows, M of them read.
        padding: what is padded for a ``Bert``: ``none`` or ``attention``.
        regions: (V, H) what stands for the batch's regions in place of word embeddings.
    """
    if isinstance(encoder, Bert):
        return encoder(batch, jagged=padding == "none", regions=regions)
    offset = position_offset(encoder.config)
    given = {"input_ids": batch.ids}
    if batch.visual is not None and regions is not None:
        words = encoder.get_input_embeddings()(batch.ids)
        given = {"inputs_embeds": torch.cat([words, regions.to(words)])[batch.visual.order]}
        if (getattr(encoder.config, "type_vocab_size", 0) or 0) > 1:
            given["token_type_ids"] = region_types(batch.visual, batch.ids)
    vectors = []
    start = 0
    for group in batch.groups:
        part = slice(start, start := start + len(group.pieces.slots))
        index, inside = group.pieces.index, group.pieces.inside
        inputs = {name: values[part][index] for name, values in given.items()}
        # Said only where the encoder would derive them from the number of the padding piece.
        if offset:
            inputs["position_ids"] = torch.where(inside, batch.positions[part][index] + offset, offset - 1)
        hidden = encoder(**inputs, attention_mask=inside.long()).last_hidden_state
        vectors.append(hidden.flatten(0, 1)[group.pieces.slots])
    return torch.cat(vectors)[batch.read]
