"""BERT (Devlin et al. 2019) and its family on packed pieces.

Every linear layer, activation and normalisation sees the N inputs of a batch one after another, and only attention
sees rows: nothing is computed for padding. Nor is anything in the last layer for inputs that represent no word: of
those only keys and values are needed there. Weights go by the names that transformers gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ita.model.attention import Attend, Grouped, Jagged
from ita.model.batching import Batch, RegionInputs
from ita.model.dropout import dropout

FAMILY = {"bert", "roberta", "xlm-roberta", "camembert"}
"""Model types with BERT's layers: attention, then feed-forward, each normalised after the residual sum."""
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
}


@dataclass(frozen=True)
class EncoderConfig:
    """What config.json says of a model; defaults are BERT's."""

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
    file: Mapping[str, Any] = field(default_factory=dict)
    """The whole of config.json."""

    @classmethod
    def of(cls, file: Mapping[str, Any]) -> EncoderConfig:
        """The shape in a config.json."""
        known = {name: file[name] for name in cls.__dataclass_fields__ if file.get(name) is not None and name != "file"}
        return cls(**known, file=file)


def packable(config: Mapping[str, Any]) -> bool:
    """Whether the model of a config.json can be run on packed pieces."""
    return (
        config.get("model_type") in FAMILY
        and config.get("position_embedding_type", "absolute") == "absolute"
        and config.get("hidden_act", "gelu") in ACTIVATIONS
        and not config.get("is_decoder")
        and not config.get("add_cross_attention")
    )


class Bert(nn.Module):
    """The encoder; parameters as ``Shape`` says, values to be loaded or drawn."""

    def __init__(self, shape: EncoderConfig) -> None:
        super().__init__()
        self.config = shape
        self.embeddings = Embeddings(shape)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))

    def draw(self) -> None:
        """Random weights, as transformers draws them for a new model."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=self.config.initializer_range)
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                nn.init.zeros_(module.weight[module.padding_idx])
            if isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
            if isinstance(module, nn.Linear | nn.LayerNorm):
                nn.init.zeros_(module.bias)

    def forward(self, batch: Batch, jagged: bool = False, regions: Tensor | None = None) -> Tensor:
        """Last-layer vectors (M, H) of the pieces that represent words.

        Args:
            batch: N inputs in R rows, M of them read.
            jagged: attention over rows of any length by PyTorch's variable-length kernel; else queries, keys and values
                are padded, each group of rows to its own longest.
            regions: (V, H) what stands for the batch's regions in place of word embeddings.
        """
        attend = (Jagged if jagged else Grouped)(batch, self.config.num_attention_heads)
        x = self.embeddings(batch, regions)
        layers = list(self.encoder.layer)  # type: ignore[arg-type]
        for layer in layers[:-1]:
            x = layer(x, x, attend)
        read = x[batch.read]
        return layers[-1](read, x, attend.words()) if len(read) else read


class Embeddings(nn.Module):
    """Word, position and token type."""

    def __init__(self, shape: EncoderConfig) -> None:
        super().__init__()
        # Families that count positions from behind the padding index never learn at that index.
        offset = position_offset(shape)
        self.word_embeddings = table(shape.vocab_size, shape, shape.pad_token_id)
        self.position_embeddings = table(shape.max_position_embeddings, shape, shape.pad_token_id if offset else None)
        self.token_type_embeddings = table(shape.type_vocab_size, shape, None)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.offset = offset
        self.rate = shape.hidden_dropout_prob

    def forward(self, batch: Batch, regions: Tensor | None = None) -> Tensor:
        """(N, H); regions (V, H) are of the second token type where there is one."""
        x = self.word_embeddings(batch.ids)
        types = self.token_type_embeddings.weight[0]
        if batch.visual is not None and regions is not None:
            x = torch.cat([x, regions.to(x)])[batch.visual.order]
            if self.token_type_embeddings.num_embeddings > 1:
                types = self.token_type_embeddings(region_types(batch.visual, batch.ids))
        x = x + self.position_embeddings(batch.positions + self.offset)
        return dropout(self.LayerNorm(x + types), self.rate, self.training)


def region_types(visual: RegionInputs, ids: Tensor) -> Tensor:
    """(N,) token types: 0 for the word pieces ``ids``, 1 for regions."""
    return (visual.order >= ids.shape[0]).long()


def table(rows: int, shape: EncoderConfig, padding: int | None) -> nn.Embedding:
    """An embedding table without values: on the meta device, drawing some would import torch's compiler."""
    return nn.Embedding.from_pretrained(torch.empty(rows, shape.hidden_size), freeze=False, padding_idx=padding)


class Layer(nn.Module):
    """Attention and feed-forward."""

    def __init__(self, shape: EncoderConfig) -> None:
        super().__init__()
        self.attention = Attention(shape)
        self.intermediate = nn.Module()
        self.intermediate.dense = nn.Linear(shape.hidden_size, shape.intermediate_size)
        self.output = Output(shape.intermediate_size, shape)
        self.act = ACTIVATIONS[shape.hidden_act]

    def forward(self, asked: Tensor, x: Tensor, attend: Attend) -> Tensor:
        """(N, H) -> (N, H), or (M, H) for the last layer, which is asked only for the pieces that are read."""
        x = self.attention(asked, x, attend)
        return self.output(self.act(self.intermediate.dense(x)), x)  # type: ignore[operator]


class Attention(nn.Module):
    """Multi-head attention of rows."""

    def __init__(self, shape: EncoderConfig) -> None:
        super().__init__()
        self.self = nn.Module()
        for name in ("query", "key", "value"):
            setattr(self.self, name, nn.Linear(shape.hidden_size, shape.hidden_size))
        self.output = Output(shape.hidden_size, shape)
        self.rate = shape.attention_probs_dropout_prob

    def forward(self, asked: Tensor, x: Tensor, attend: Attend) -> Tensor:
        """Queries of ``asked``, (N, H) or (M, H); keys and values of ``x`` (N, H)."""
        own: Any = self.self
        rate = self.rate if self.training else 0.0
        return self.output(attend(own.query(asked), own.key(x), own.value(x), rate), asked)


class Output(nn.Module):
    """Linear layer, dropout, residual sum, normalisation."""

    def __init__(self, inner: int, shape: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, shape.hidden_size)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.rate = shape.hidden_dropout_prob

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """(n, inner) -> (n, H)."""
        return self.LayerNorm(dropout(self.dense(x), self.rate, self.training) + residual)


def position_offset(config: Any) -> int:
    """Number of the first position: families after RoBERTa count from behind the padding index."""
    return (config.pad_token_id or 0) + 1 if config.model_type in OFFSETS else 0


OFFSETS = {"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm", "xmod", "longformer"}
