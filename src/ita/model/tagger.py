"""The tagger: a pretrained encoder, one linear layer, a CRF. One set of weights serves both views.

Image regions come in where a system reads them: as further inputs of the encoder, scaled by a relation gate or not, or
through a fusion layer between encoder and linear layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ita.config import System
from ita.model.batching import Batch, FusionInputs, cls_batch
from ita.model.crf import CRF
from ita.model.crf.constraints import bioes_constraints
from ita.model.encoder import first_subword_vectors
from ita.model.fusion import build_fusion
from ita.model.inputs import InputLayout
from ita.model.relation_gate import RelationGate

IMAGE_NORM_EPSILON = 1e-12


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
        system: how images are read and what is tagged; the defaults are the paper's.
        further_encoders: beside the first one; the vectors of a word are joined, and the last encoder reads the image.
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
        system: System | None = None,
        further_encoders: Sequence[Any] = (),
    ) -> None:
        super().__init__()
        system = system or System()
        encoders = (encoder, *further_encoders)
        image_config = encoders[-1].config
        width = image_config.hidden_size
        # Built before the linear layer is, so that its width is known; it draws its weights after the others.
        fusion = build_fusion(system.fusion, encoder.config, region_dim) if region_dim else None
        features = fusion.width if fusion else sum(each.config.hidden_size for each in encoders)
        self.encoder = encoder
        self.further_encoders = nn.ModuleList(further_encoders)
        self.linear = nn.Linear(2 * system.rnn or features, len(tag_names))
        self.crf = CRF(len(tag_names), bioes_constraints(tag_names) if constrained else None)
        self.word_dropout = word_dropout
        self.padding = padding
        self.encode = first_subword_vectors
        self.layout = input_layout(system)
        self.embedded = system.region_embedding != "bert"
        self.projection = None
        if region_dim and not fusion:
            self.projection = region_projection(region_dim, image_config, system.region_embedding)
        self.gate = RelationGate(width) if system.relation_gate else None
        self.fusion = fusion
        self.second_task = fusion.second_task(width, tag_names) if fusion and fusion.second_task else None
        self.rnn = nn.LSTM(features, system.rnn, 2, batch_first=True, bidirectional=True) if system.rnn else None
        self.register_buffer("region_features", None, persistent=False)

    @property
    def encoders(self) -> tuple[Any, ...]:
        """All encoders; the last one reads the image."""
        return (self.encoder, *self.further_encoders)

    def set_region_features(self, features: Tensor) -> None:
        """Sets the table of region features (F, D) whose rows batches name; it moves along with the model."""
        self.region_features = features

    def emissions(self, batch: Batch) -> Tensor:
        """Emissions (B, W, K), fp32, of the words of each post; words of its context have none."""
        return self.classify(self.word_vectors(batch))

    def word_vectors(self, batch: Batch) -> Tensor:
        """Representations (B, W, F) of the words of each post; F is H of one encoder without fusion.

        A word is represented by its first subword in the last layer, or by the mean of its subwords; one without
        subwords by the zero vector.
        """
        *texts, image = batch.parts
        words = [
            pool_words(self._encode(part, None, encoder), part)
            for encoder, part in zip(self.encoders[:-1], texts, strict=True)
        ]
        vectors = self._encode(image, self._region_vectors(image))
        if self.fusion is not None and image.fusion is not None:
            vectors = self._fuse(vectors, image.fusion)
        words.append(pool_words(vectors, image))
        joined = torch.cat(words, 2) if len(words) > 1 else words[0]
        return joined if self.rnn is None else self._run_rnn(joined, batch.lengths)

    def classify(self, vectors: Tensor) -> Tensor:
        """Emissions (B, W, K), fp32, from word vectors (B, W, F)."""
        if self.training and self.word_dropout:
            keep = torch.rand(vectors.shape[:2], device=vectors.device) >= self.word_dropout
            vectors = vectors * keep.unsqueeze(2)
        if self.second_task is not None:
            return self.second_task.combine(self.linear, vectors)
        emissions: Tensor = self.linear(vectors)
        return emissions if emissions.dtype == torch.float64 else emissions.float()

    def compile_encoder(self) -> None:
        """Compiles the encoder's forward pass; the first batches of each kind then take long."""
        self.encode = torch.compile(first_subword_vectors, dynamic=True)

    def padding_on(self, device: torch.device) -> str:
        """What is padded: GPUs have a kernel for variable-length attention; on a CPU it takes 1.3 times as long."""
        if self.padding == "auto":
            return "none" if device.type == "cuda" else "attention"
        return self.padding

    def relation_logits(self, batch: Batch) -> Tensor:
        """(R, 2) logits of 'unrelated' and 'related' for image and text of each row, from a pass without gate."""
        assert self.gate is not None
        logits: Tensor = self.gate(self._encode(cls_batch(batch), self._project(batch)))[0]
        return logits

    def _encode(self, batch: Batch, region_vectors: Tensor | None, encoder: Any = None) -> Tensor:
        """Vectors by the encoder that reads the image, or by another one."""
        padding = self.padding_on(batch.ids.device)
        return self.encode(encoder or self.encoders[-1], batch, padding, region_vectors, self.embedded)

    def _project(self, batch: Batch) -> Tensor | None:
        """(V, H) of the batch's regions; None without any."""
        if batch.regions is None or self.projection is None or self.region_features is None:
            return None
        features = self.region_features[batch.regions.feature_rows]
        projected: Tensor = self.projection(features.to(next(self.projection.parameters()).dtype))
        return projected

    def _region_vectors(self, batch: Batch) -> Tensor | None:
        """The same, each region scaled by the relation gate of its row."""
        regions = self._project(batch)
        if regions is None or self.gate is None or batch.regions is None:
            return regions
        # Not detached: without relation data the likelihood of the tags is all that trains the gate.
        gates = self.gate(self._encode(cls_batch(batch), regions))[1]
        return regions * gates[batch.regions.rows].unsqueeze(1)

    def _fuse(self, vectors: Tensor, inputs: FusionInputs) -> Tensor:
        """(N, H) of all subwords -> (N, F)."""
        assert self.fusion is not None and self.region_features is not None
        subwords = inputs.subwords
        states = vectors[subwords.pad_index] * subwords.mask.unsqueeze(2)
        mask = inputs.feature_rows >= 0
        features = self.region_features[inputs.feature_rows.clamp(min=0)].to(vectors.dtype) * mask.unsqueeze(2)
        # A row without image reads one region of zeros: attention needs a key.
        mask = mask | ~mask.any(1, keepdim=True) & (torch.arange(mask.shape[1], device=mask.device) == 0)
        fused: Tensor = self.fusion(states, subwords.mask, features, mask)
        return fused.flatten(0, 1)[subwords.unpad_index]

    def _run_rnn(self, words: Tensor, lengths: Tensor) -> Tensor:
        assert self.rnn is not None
        packed = nn.utils.rnn.pack_padded_sequence(words, lengths.cpu(), batch_first=True, enforce_sorted=False)
        output, _ = nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], True, total_length=words.shape[1])
        return output


def input_layout(system: System) -> InputLayout:
    """How the inputs of a system are arranged."""
    return InputLayout(
        label_scheme=system.label_scheme,
        pooling=system.pooling,
        region_inputs=system.fusion == "tokens",
        max_regions=system.max_regions,
        context_token_type=1 if system.context_segment == "second" else 0,
    )


def region_projection(region_dim: int, config: Any, embedding: str) -> nn.Module:
    """From region features to inputs of an encoder, with a LayerNorm of their own where they are normalised."""
    width = config.hidden_size
    linear = nn.Linear(region_dim, width)
    if embedding != "normalised":
        return linear
    epsilon = getattr(config, "raw", {}).get("img_layer_norm_eps", IMAGE_NORM_EPSILON)
    return nn.Sequential(linear, nn.LayerNorm(width, eps=epsilon))


def pool_words(vectors: Tensor, batch: Batch) -> Tensor:
    """(M, F) -> (B, W, F), as the batch says."""
    return first_of_words(vectors, batch) if batch.pooled_words is None else mean_of_words(vectors, batch)


def first_of_words(vectors: Tensor, batch: Batch) -> Tensor:
    """(M, F) -> (B, W, F) by first subwords."""
    return functional.pad(vectors, (0, 0, 1, 0))[batch.word_index + 1]


def mean_of_words(vectors: Tensor, batch: Batch) -> Tensor:
    """(M, F) -> (B, W, F), the mean over the subwords of each word."""
    assert batch.pooled_words is not None
    posts, words = batch.word_index.shape
    inside = batch.pooled_words >= 0
    slots = batch.pooled_words[inside]
    sums = vectors.new_zeros(posts * words, vectors.shape[1]).index_add(0, slots, vectors[inside])
    counts = torch.bincount(slots, minlength=posts * words).clamp(min=1)
    return (sums / counts.unsqueeze(1)).view(posts, words, -1)
