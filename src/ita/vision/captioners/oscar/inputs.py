"""Inputs of Oscar's captioner: object labels and regions of an image, and captions in front of them.

They are those of microsoft/Oscar (oscar/run_captioning.py): the labels of all objects in the detector's order as
subwords, and of each region its features and position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ita.vision.captioners.oscar.tokenizer import WordPieceTokenizer


@dataclass(frozen=True)
class InputConfig:
    """Limits of the inputs; defaults are those of the published captions."""

    max_label_subwords: int = 30
    """Most subwords of all labels of an image, the final [SEP] counted; with 0 labels are not read."""
    label_position: int = 40
    """Position id of the first label subword, unless captions reach further."""
    max_regions: int = 50


@dataclass(frozen=True)
class Context:
    """Object labels and regions of B images, padded at the end."""

    label_ids: Tensor
    """(B, L) subwords of the labels and a final [SEP]; [PAD] behind them."""
    label_mask: Tensor
    """(B, L) True for a subword, False for padding."""
    regions: Tensor
    """(B, V, F) region features, zero for padding."""
    region_mask: Tensor
    """(B, V) True for a region, False for padding."""
    label_position: int
    """Position id of the first label subword, behind those of any caption."""

    @property
    def mask(self) -> Tensor:
        """(B, L + V) True for a subword or region, False for padding."""
        return torch.cat([self.label_mask, self.region_mask], dim=1)

    def repeat_interleave(self, times: int) -> Context:
        """Each image several times in a row."""
        return Context(
            self.label_ids.repeat_interleave(times, dim=0),
            self.label_mask.repeat_interleave(times, dim=0),
            self.regions.repeat_interleave(times, dim=0),
            self.region_mask.repeat_interleave(times, dim=0),
            self.label_position,
        )


class ModelInputs(NamedTuple):
    """Captions and their context in one sequence: T = C + L subwords of text, then V regions."""

    input_ids: Tensor
    """(B, T)."""
    token_type_ids: Tensor
    """(B, T) 1 for a label subword, 0 for captions and padding."""
    position_ids: Tensor
    """(B, T)."""
    attention_mask: Tensor
    """(B, T + V, T + V) 1 where the row's position attends to the column's."""
    img_feats: Tensor
    """(B, V, F)."""


def make_context(
    labels: Sequence[str],
    features: Sequence[Tensor],
    tokenizer: WordPieceTokenizer,
    config: InputConfig,
    device: torch.device,
) -> Context:
    """Encodes, truncates and pads the labels and regions of B images.

    Args:
        labels: labels of the objects of each image in the detector's order, joined by spaces.
        features: (n, F) features and positions of the regions of each image.
        tokenizer: of the labels.
        config: limits.
        device: of the result.
    """
    ids = [torch.tensor(tokenizer.encode(text, config.max_label_subwords), dtype=torch.long) for text in labels]
    regions = [values[: config.max_regions] for values in features]
    return Context(
        pad_sequence(ids, batch_first=True, padding_value=tokenizer.pad_id).to(device),
        length_mask(ids).to(device),
        pad_sequence(regions, batch_first=True).to(device),
        length_mask(regions).to(device),
        config.label_position,
    )


def length_mask(sequences: Sequence[Tensor]) -> Tensor:
    """(B, longest) True for an item of each sequence, False for padding."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return torch.arange(int(lengths.max())) < lengths[:, None]


def make_inputs(context: Context, caption_ids: Tensor) -> ModelInputs:
    """Puts captions (B, C), [CLS] first, in front of their context.

    A caption's subword attends to those before it and to the context; the context attends to itself.
    """
    device, (images, length) = caption_ids.device, caption_ids.shape
    label_positions = torch.arange(context.label_ids.shape[1], device=device) + context.label_position
    positions = torch.cat([torch.arange(length, device=device), label_positions]).expand(images, -1)
    token_types = torch.cat([torch.zeros_like(caption_ids), context.label_mask.long()], dim=1)
    context_mask = context.mask.long()
    total = length + context_mask.shape[1]
    mask = torch.zeros(images, total, total, dtype=torch.long, device=device)
    mask[:, :length, :length] = torch.ones(length, length, device=device).tril().long()
    mask[:, :length, length:] = context_mask[:, None]
    mask[:, length:, length:] = context_mask[:, None] * context_mask[:, :, None]
    input_ids = torch.cat([caption_ids, context.label_ids], dim=1)
    return ModelInputs(input_ids, token_types, positions, mask, context.regions)
