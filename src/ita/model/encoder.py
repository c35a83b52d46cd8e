"""Word vectors of a batch, from our packed BERT family or from any other transformers model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ita.errors import UserError
from ita.model.batching import Batch
from ita.model.bert import Bert, padding_id, position_offset, token_type_ids
from ita.model.frozen import FrozenBert


def first_subword_vectors(
    encoder: Any, batch: Batch, padding: str, region_vectors: Tensor | None = None, embedded: bool = False
) -> Tensor:
    """Last-layer vectors (M, H) of the first subwords of words, and of what else the batch needs.

    Args:
        encoder: a packed :class:`Bert`, or a transformers model that returns ``last_hidden_state``, whose own forward
            pass is run once for each bucket.
        batch: N inputs in R rows, M of them first subwords.
        padding: what is padded for a ``Bert``: ``none`` or ``attention``.
        region_vectors: (V, H) of the batch's regions, in place of word embeddings.
        embedded: regions have no position, token type or normalisation of the embeddings.

    Raises:
        UserError: for embedded regions with an encoder whose embeddings are not ours.
    """
    if isinstance(encoder, Bert | FrozenBert):
        return encoder(batch, varlen=padding == "none", region_vectors=region_vectors, embedded=embedded)
    if embedded and region_vectors is not None:
        raise UserError("region_embedding: normalised and plain need an encoder of the BERT family; set it to bert")
    offset = position_offset(encoder.config)
    packed = {"input_ids": batch.ids}
    if batch.regions is not None and region_vectors is not None:
        embeddings = encoder.get_input_embeddings()(batch.ids)
        packed = {"inputs_embeds": torch.cat([embeddings, region_vectors.to(embeddings)])[batch.regions.order]}
    token_types = token_type_ids(batch, None if region_vectors is None else batch.regions)
    if token_types is not None and (getattr(encoder.config, "type_vocab_size", 0) or 0) > 1:
        packed["token_type_ids"] = token_types
    vectors = []
    start = 0
    for bucket in batch.buckets:
        pad_index, mask, unpad_index = bucket.inputs.pad_index, bucket.inputs.mask, bucket.inputs.unpad_index
        end = start + len(unpad_index)
        inputs = {name: values[start:end][pad_index] for name, values in packed.items()}
        if "input_ids" in inputs:
            # MobileBERT's embeddings see their neighbours.
            inputs["input_ids"] = inputs["input_ids"].where(mask, padding_id(encoder.config))
        # Given only where the encoder would derive them from the padding id.
        if offset:
            inputs["position_ids"] = torch.where(mask, batch.positions[start:end][pad_index] + offset, offset - 1)
        hidden = encoder(**inputs, attention_mask=mask.long()).last_hidden_state
        vectors.append(hidden.flatten(0, 1)[unpad_index])
        start = end
    return torch.cat(vectors)[batch.first_subwords]
