"""Oscar's captioner (Li et al. 2020; in VinVL: Zhang et al. 2021): one BERT over caption, object labels and regions.

A caption grows at its end, by the subword that the network predicts for a [MASK] there. ``forward`` computes whole
sequences, as microsoft/Oscar does (oscar/modeling/modeling_bert.py); ``decoding`` has the steps of a search. Weights
have the names published there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ita.model.attention import AttentionBackend
from ita.model.bert import ACTIVATIONS, EncoderConfig, Layer, embedding
from ita.vision.captioners.oscar.inputs import ModelInputs

MASK_BIAS = -10000.0
"""Added to the attention score of a masked key, as upstream does: minus infinity would change padding rows, which have
no other keys."""


class BertForImageCaptioning(nn.Module):
    """The network, without values. A decoder that is tied to the word embedding is a copy of it."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = ImageBert(config)
        self.cls = nn.Module()
        self.cls.predictions = PredictionHead(config)

    def forward(self, inputs: ModelInputs) -> tuple[Tensor, Tensor]:
        """Whole sequences.

        Returns:
            Logits (B, T, vocabulary) of the text and last-layer vectors (B, T + V, H) of text and regions.
        """
        x = self.hidden_states(inputs)
        return self.logits(x[:, : inputs.input_ids.shape[1]]), x

    def hidden_states(self, inputs: ModelInputs) -> Tensor:
        """Last-layer vectors (B, T + V, H)."""
        bert = self.bert
        text = bert.embeddings(inputs.input_ids, inputs.position_ids, inputs.token_type_ids)
        x = torch.cat([text, bert.embed_regions(inputs.img_feats.to(text.dtype))], dim=1)
        bias = ((1.0 - inputs.attention_mask.to(x.dtype)) * MASK_BIAS)[:, None]
        attend = masked_attention(self.config.num_attention_heads, bias)
        for layer in bert.layers:
            x = layer(x, x, attend)
        return x

    def logits(self, x: Tensor) -> Tensor:
        """Logits (..., vocabulary) of vectors (..., H), in the arithmetic of the head."""
        return self.cls.predictions(x)  # type: ignore[operator]


class ImageBert(nn.Module):
    """BERT whose input is text followed by regions."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        options = config.raw
        self.embeddings = Embeddings(config)
        self.img_embedding = nn.Linear(int(options["img_feature_dim"]), config.hidden_size)
        if options.get("use_img_layernorm"):
            self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=float(options.get("img_layer_norm_eps", 1e-12)))
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        # Published with the weights; no caption depends on it.
        self.pooler = nn.Module()
        self.pooler.dense = nn.Linear(config.hidden_size, config.hidden_size)

    @property
    def layers(self) -> list[Any]:
        """The layers, first to last."""
        return list(self.encoder.layer)  # type: ignore[arg-type]

    def embed_regions(self, features: Tensor) -> Tensor:
        """(..., F) -> (..., H); regions have neither position nor token type."""
        x = self.img_embedding(features)
        return self.LayerNorm(x) if hasattr(self, "LayerNorm") else x


class Embeddings(nn.Module):
    """Word, position and token type."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.word_embeddings = embedding(config.vocab_size, config, config.pad_token_id)
        self.position_embeddings = embedding(config.max_position_embeddings, config, None)
        self.token_type_embeddings = embedding(config.type_vocab_size, config, None)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, ids: Tensor, positions: Tensor, token_types: Tensor) -> Tensor:
        """(..., H) from ids (...), which may broadcast."""
        x = self.word_embeddings(ids) + self.position_embeddings(positions)
        return self.LayerNorm(x + self.token_type_embeddings(token_types))


class PredictionHead(nn.Module):
    """The masked-language-model head."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.transform = nn.Module()
        self.transform.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.transform.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.act = ACTIVATIONS[config.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., vocabulary)."""
        x = self.act(self.transform.dense(x.to(self.bias.dtype)))  # type: ignore[operator]
        return self.decoder(self.transform.LayerNorm(x)) + self.bias  # type: ignore[operator]


def masked_attention(heads: int, mask: Tensor) -> AttentionBackend:
    """Multi-head attention under a mask.

    Args:
        heads: number of heads.
        mask: (B, 1, queries or 1, keys) True for a key that is attended to, or a bias added to its score.
    """

    def attend(query: Tensor, key: Tensor, value: Tensor, rate: float) -> Tensor:
        q, k, v = (split_heads(x, heads) for x in (query, key, value))
        return merge_heads(functional.scaled_dot_product_attention(q, k, v, attn_mask=mask))

    return attend


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, n, H) -> (B, heads, n, D)."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, heads, n, D) -> (B, n, H)."""
    return x.transpose(1, 2).flatten(2)
