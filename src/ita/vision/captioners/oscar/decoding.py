"""Decoders of Oscar's captioner: the logits of each step of a search.

Labels and regions attend to each other and never to the caption, and a subword of the caption attends to those before
it: so the context is encoded once per image, and with a cache of keys and values a step needs the last subword and the
[MASK] only.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ita.model.attention import AttentionBackend
from ita.vision.captioners.oscar.inputs import Context, make_inputs
from ita.vision.captioners.oscar.network import (
    MASK_BIAS,
    BertForImageCaptioning,
    merge_heads,
    split_heads,
)


class CachedDecoder:
    """Steps of a search with a KV cache.

    Keys and values of an image are in one cache: its N label subwords and regions, then a block of K slots per step,
    one for each beam. All beams of an image read that cache, so the context is held once and nothing moves when beams
    are reordered: a mask says which slots a beam consists of. Keys and values of the [MASK] are in the slots that the
    next step overwrites with its subwords.

    Args:
        model: the network.
        context: labels and regions of B images.
        mask_id: id of [MASK].
        beams: K.
        max_length: most subwords of a caption, [CLS] counted.
    """

    def __init__(
        self, model: BertForImageCaptioning, context: Context, mask_id: int, beams: int, max_length: int
    ) -> None:
        self.model, self.beams = model, beams
        bert, config = model.bert, model.config
        self.heads, dtype = config.num_attention_heads, bert.img_embedding.weight.dtype
        context_mask = context.mask
        images, self.context_length = context_mask.shape
        slots = self.context_length + (max_length + 1) * beams
        head_width = config.hidden_size // self.heads
        self.cache = context_mask.new_zeros(len(bert.layers), 2, images, self.heads, slots, head_width, dtype=dtype)
        # (B, K, slots) True for a slot that a beam attends to.
        self.beam_mask = context_mask.new_zeros(images, beams, slots)
        self.beam_mask[:, :, : self.context_length] = context_mask[:, None]
        # (K, K) True for a beam's slot in the block of a step.
        self.block_mask = torch.eye(beams, dtype=torch.bool, device=context_mask.device)
        self.mask_ids = torch.full((images, 1, beams), mask_id, device=context_mask.device)
        self.length = 0
        if self.context_length:
            self.encode_context(context)

    def encode_context(self, context: Context) -> None:
        """Caches keys and values of the context in every layer. Of the last layer nothing else is needed."""
        bert = self.model.bert
        labels = context.label_ids
        positions = torch.arange(labels.shape[1], device=labels.device) + context.label_position
        text = bert.embeddings(labels, positions, context.label_mask.long())
        x = torch.cat([text, bert.embed_regions(context.regions.to(text.dtype))], dim=1)
        bias = ((~context.mask).to(x.dtype) * MASK_BIAS)[:, None, None]
        for number, layer in enumerate(bert.layers[:-1]):
            x = layer(x, x, self.attention(number, 0, bias))
        last = bert.layers[-1].attention.self
        self.store(len(bert.layers) - 1, 0, last.key(x), last.value(x))

    def store(self, layer: int, start: int, keys: Tensor, values: Tensor) -> Tensor:
        """Caches keys and values (B, n, H).

        Returns:
            (2, B, heads, start + n, D) all keys and values up to these.
        """
        end = start + keys.shape[1]
        self.cache[layer, 0, :, :, start:end] = split_heads(keys, self.heads)
        self.cache[layer, 1, :, :, start:end] = split_heads(values, self.heads)
        return self.cache[layer, :, :, :, :end]

    def attention(self, layer: int, start: int, mask: Tensor) -> AttentionBackend:
        """Attention of a layer to the cache up to its new keys and values, which are stored first.

        Args:
            layer: its number.
            start: slot of the first of the new keys and values.
            mask: as for ``masked_attention``.
        """

        def attend(query: Tensor, key: Tensor, value: Tensor, rate: float) -> Tensor:
            keys, values = self.store(layer, start, key, value)
            queries = split_heads(query, self.heads)
            return merge_heads(functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask))

        return attend

    def __call__(self, last_ids: Tensor, parents: Tensor) -> Tensor:
        """Logits (B, K, vocabulary) of the next subwords.

        Args:
            last_ids: (B, K) last subword of each beam.
            parents: (B, K) the beam of the step before that each beam continues.
        """
        bert = self.model.bert
        start = self.context_length + self.length * self.beams
        middle, end = start + self.beams, start + 2 * self.beams
        self.beam_mask = self.beam_mask.gather(1, parents[:, :, None].expand_as(self.beam_mask))
        self.beam_mask[:, :, start:middle] = self.block_mask
        mask = self.beam_mask[:, None, :, :end].repeat(1, 2, 1, 1)  # (B, 2, K, keys) of the last subwords, the [MASK]s
        mask[:, 1, :, middle:] = self.block_mask
        mask = mask.flatten(1, 2)[:, None]
        positions = torch.tensor([[self.length], [self.length + 1]], device=last_ids.device)
        ids = torch.cat([last_ids[:, None], self.mask_ids], dim=1)
        x = bert.embeddings(ids, positions, torch.zeros_like(positions)).flatten(1, 2)
        for number, layer in enumerate(bert.layers[:-1]):
            x = layer(x, x, self.attention(number, start, mask))
        # Of the last layer only the [MASK]s are read.
        queries, query_mask = x[:, self.beams :], mask[:, :, self.beams :]
        x = bert.layers[-1](queries, x, self.attention(len(bert.layers) - 1, start, query_mask))
        self.length += 1
        return self.model.logits(x)


class UncachedDecoder:
    """Steps that compute the whole sequence each time, as upstream's default search does; arguments as CachedDecoder.

    It is the reference that :class:`CachedDecoder` has to equal.
    """

    def __init__(self, model: BertForImageCaptioning, context: Context, mask_id: int, beams: int) -> None:
        self.model, self.mask_id = model, mask_id
        self.context = context.repeat_interleave(beams)
        self.captions = context.label_ids.new_zeros(len(context.label_ids), beams, 0)

    def __call__(self, last_ids: Tensor, parents: Tensor) -> Tensor:
        """As :class:`CachedDecoder`."""
        captions = self.captions.gather(1, parents[:, :, None].expand_as(self.captions))
        self.captions = torch.cat([captions, last_ids[:, :, None]], dim=2)
        ids = self.captions.flatten(0, 1)
        ids = torch.cat([ids, torch.full_like(ids[:, :1], self.mask_id)], dim=1)
        x = self.model.hidden_states(make_inputs(self.context, ids))
        return self.model.logits(x[:, ids.shape[1] - 1]).unflatten(0, last_ids.shape)
