"""BERT (Devlin et al. 2019) and its family on packed subwords.

Every linear layer, activation and normalisation sees the N inputs of a batch one after another, and only attention
sees rows: nothing is computed for padding. Nor is anything in the last layer for inputs other than first subwords of
words: of those only keys and values are needed there. Weights have the names that transformers gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ita.errors import UserError
from ita.model.attention import AttentionBackend, PaddedBucketAttention, VarlenAttention
from ita.model.batching import Batch, RegionInputs
from ita.model.dropout import dropout

LARGEST_SIZE = 1 << 31
FAMILY = {"bert", "roberta", "xlm-roberta", "camembert"}
"""Model types with BERT's layers: attention, then feed-forward, each normalised after the residual sum."""
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
}
OFFSET_FAMILIES = {
    "roberta",
    "xlm-roberta",
    "camembert",
    "xlm-roberta-xl",
    "roberta-prelayernorm",
    "xmod",
    "longformer",
}
"""Model types whose position ids start after the padding index."""


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of a model, from its config.json; defaults are BERT's."""

    model_type: str = "bert"
    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    raw: Mapping[str, Any] = field(default_factory=dict)
    """The whole of config.json."""

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> EncoderConfig:
        """From the content of a config.json.

        Raises:
            UserError: for a value that no encoder has.
        """
        sizes = {name: raw[name] for name in cls.__dataclass_fields__ if raw.get(name) is not None and name != "raw"}
        config = cls(**sizes, raw=raw)
        for name, value in sizes.items():
            expected = type(getattr(cls, name))
            least = 0 if expected is float or name in ("pad_token_id", "num_hidden_layers") else 1
            fits = isinstance(value, int | float if expected is float else expected) and not isinstance(value, bool)
            if not fits or expected is not str and not least <= value < LARGEST_SIZE:
                raise UserError(f"config.json of the encoder: {name} is {value!r:.40}, which no encoder has")
        if config.hidden_size % config.num_attention_heads:
            raise UserError(
                f"config.json of the encoder: hidden_size is {config.hidden_size}, expected a multiple of "
                f"num_attention_heads, {config.num_attention_heads}"
            )
        return config


def packable(config: Mapping[str, Any]) -> bool:
    """Whether the model of a config.json can be run on packed subwords."""
    return (
        config.get("model_type") in FAMILY
        and config.get("position_embedding_type", "absolute") == "absolute"
        and config.get("hidden_act", "gelu") in ACTIVATIONS
        and not config.get("is_decoder")
        and not config.get("add_cross_attention")
    )


def padding_id(config: Any) -> int:
    """Id of the subword that padding has; 0 of a family without one."""
    return getattr(config, "pad_token_id", None) or 0


def position_offset(config: Any) -> int:
    """Id of the first position: families derived from RoBERTa count from after the padding index."""
    return padding_id(config) + 1 if config.model_type in OFFSET_FAMILIES else 0


class Bert(nn.Module):
    """The encoder; parameters as its configuration says, values to be loaded or initialised."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.region_weights: dict[str, Tensor] | None = None
        """Of an encoder that was published with a projection of image regions, which the tagger takes over (VinVL)."""
        self.embeddings = Embeddings(config)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))

    def init_weights(self) -> None:
        """Random weights, as transformers initialises a new model."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=self.config.initializer_range)
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                nn.init.zeros_(module.weight[module.padding_idx])
            if isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
            if isinstance(module, nn.Linear | nn.LayerNorm):
                nn.init.zeros_(module.bias)

    def forward(
        self, batch: Batch, varlen: bool = False, region_vectors: Tensor | None = None, embedded: bool = False
    ) -> Tensor:
        """Last-layer vectors (M, H) of the first subwords of words.

        Args:
            batch: N inputs in R rows, M of them first subwords.
            varlen: attention by PyTorch's variable-length kernel; otherwise queries, keys and values are padded within
                each bucket of rows.
            region_vectors: (V, H) of the batch's regions, in place of word embeddings.
            embedded: regions have no position, token type or normalisation of the embeddings (VinVL).
        """
        backend = VarlenAttention if varlen else PaddedBucketAttention
        attention = backend(batch, self.config.num_attention_heads)
        x = self.embeddings(batch, region_vectors, embedded)
        layers = list(self.encoder.layer)  # type: ignore[arg-type]
        for layer in layers[:-1]:
            x = layer(x, x, attention)
        queries = x[batch.first_subwords]
        return layers[-1](queries, x, attention.for_first_subwords()) if len(queries) else queries


class Embeddings(nn.Module):
    """Word, position and token type."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        # Families that count positions from after the padding index never train the row of that index.
        offset = position_offset(config)
        self.word_embeddings = embedding(config.vocab_size, config, config.pad_token_id)
        self.position_embeddings = embedding(
            config.max_position_embeddings, config, config.pad_token_id if offset else None
        )
        self.token_type_embeddings = embedding(config.type_vocab_size, config, None)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.offset = offset
        self.dropout = config.hidden_dropout_prob

    def forward(self, batch: Batch, region_vectors: Tensor | None = None, embedded: bool = False) -> Tensor:
        """(N, H); regions (V, H) are of the second token type where there is one, unless they are ``embedded``."""
        x = self.word_embeddings(batch.ids)
        regions = None if region_vectors is None else batch.regions
        if regions is not None and region_vectors is not None and embedded:
            positions = batch.positions[regions.order < batch.ids.shape[0]]
            text = self._normalised(x, positions, self._token_types(batch, None))
            x = torch.cat([text, region_vectors.to(text)])[regions.order]
        else:
            if regions is not None and region_vectors is not None:
                x = torch.cat([x, region_vectors.to(x)])[regions.order]
            x = self._normalised(x, batch.positions, self._token_types(batch, regions))
        return dropout(x, self.dropout, self.training)

    def _normalised(self, x: Tensor, positions: Tensor, types: Tensor) -> Tensor:
        x = x + self.position_embeddings(positions + self.offset)
        output: Tensor = self.LayerNorm(x + types)
        return output

    def _token_types(self, batch: Batch, regions: RegionInputs | None) -> Tensor:
        """Embeddings of the token types of all inputs: (N, H), or (H,) where all are of the first type."""
        token_types = token_type_ids(batch, regions)
        if token_types is None or self.token_type_embeddings.num_embeddings == 1:
            return self.token_type_embeddings.weight[0]
        embeddings: Tensor = self.token_type_embeddings(token_types)
        return embeddings


def token_type_ids(batch: Batch, regions: RegionInputs | None) -> Tensor | None:
    """(N,) token types: those of the batch's subwords, 1 for regions; None where all are 0.

    Args:
        batch: N inputs, V of them regions.
        regions: the batch's, or None for the token types (N - V,) of the subwords alone.
    """
    if regions is None:
        return batch.token_types
    if batch.token_types is None:
        return (regions.order >= batch.ids.shape[0]).long()
    return torch.cat([batch.token_types, torch.ones_like(regions.feature_rows)])[regions.order]


def embedding(rows: int, config: EncoderConfig, padding_id: int | None) -> nn.Embedding:
    """An embedding without values: to initialise it on the meta device imports torch's compiler (see ``ita.model``)."""
    return nn.Embedding.from_pretrained(torch.empty(rows, config.hidden_size), freeze=False, padding_idx=padding_id)


class Layer(nn.Module):
    """Attention and feed-forward."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = nn.Module()
        self.intermediate.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.output = Output(config.intermediate_size, config)
        self.activation = config.hidden_act

    def forward(self, queries: Tensor, x: Tensor, attention: AttentionBackend) -> Tensor:
        """(N, H) -> (N, H), or (M, H) where queries are the first subwords alone."""
        x = self.attention(queries, x, attention)
        return self.output(ACTIVATIONS[self.activation](self.intermediate.dense(x)), x)  # type: ignore[operator]


class Attention(nn.Module):
    """Multi-head attention within rows."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.self = nn.Module()  # transformers' weights are named attention.self.query and so on
        for name in ("query", "key", "value"):
            setattr(self.self, name, nn.Linear(config.hidden_size, config.hidden_size))
        self.output = Output(config.hidden_size, config)
        self.dropout = config.attention_probs_dropout_prob

    def forward(self, queries: Tensor, x: Tensor, attention: AttentionBackend) -> Tensor:
        """Queries from (N, H) or (M, H); keys and values from ``x`` (N, H)."""
        projections: Any = self.self
        dropout_prob = self.dropout if self.training else 0.0
        attended = attention(projections.query(queries), projections.key(x), projections.value(x), dropout_prob)
        return self.output(attended, queries)


class Output(nn.Module):
    """Linear layer, dropout, residual sum, normalisation."""

    def __init__(self, inner: int, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = config.hidden_dropout_prob

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """(n, inner) -> (n, H)."""
        return self.LayerNorm(dropout(self.dense(x), self.dropout, self.training) + residual)
