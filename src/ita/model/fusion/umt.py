"""UMT: Unified Multimodal Transformer (Yu et al., ACL 2020), the part between encoder and CRFs.

Text states and the cells of an image grid attend to each other in three cross-attention layers; a gate decides how much
of the image reaches a subword. A second branch of the text sees no image and predicts entity boundaries.
Source: jefferyYu/UMT, my_bert/mner_modeling.py, ``MTCCMBertForMMTokenClassificationCRF``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ita.model.bert import EncoderConfig, Layer
from ita.model.boundary import BoundaryHead
from ita.model.fusion import Fusion
from ita.model.padded_attention import PaddedAttention


class UMT(Fusion):
    """Text states and an image grid -> fused features and auxiliary features.

    Args:
        config: of the encoder; the layers have its width, heads, dropout and epsilon.
        region_dim: D, width of a grid cell.
    """

    second_task = BoundaryHead

    def __init__(self, config: EncoderConfig, region_dim: int) -> None:
        super().__init__(config, region_dim)
        width = config.hidden_size
        self.width = 2 * width
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.heads = config.num_attention_heads
        self.text = Layer(config)
        self.auxiliary_text = Layer(config)
        self.grid_keys = nn.Linear(region_dim, width)
        self.grid_queries = nn.Linear(region_dim, width)
        self.text_to_image = Layer(config)
        self.image_to_text = Layer(config)
        self.text_to_fused = Layer(config)
        self.gate = nn.Linear(2 * width, width)

    def forward(self, states: Tensor, mask: Tensor, grid: Tensor, grid_mask: Tensor | None = None) -> Tensor:
        """Fuses a batch.

        Args:
            states: (B, T, H) of the encoder's last layer.
            mask: (B, T) True for a subword, False for padding.
            grid: (B, V, D) image cells, row by row.
            grid_mask: (B, V) True for a cell, False for padding; None where all are cells.

        Returns:
            (B, T, 3H): 2H fused features, then H of the auxiliary branch, which saw no image.
        """
        states = self.dropout(states)
        over_text = PaddedAttention(self.heads, mask)
        over_image = PaddedAttention(self.heads, grid_mask)
        text = self.text(states, states, over_text)
        auxiliary = self.auxiliary_text(states, states, over_text)
        visual = self.text_to_image(text, self.grid_keys(grid), over_image)
        grid_states = self.image_to_text(self.grid_queries(grid), text, over_text)
        textual = self.text_to_fused(text, grid_states, over_image)
        gate = torch.sigmoid(self.gate(torch.cat([textual, visual], dim=2)))
        return torch.cat([textual, gate * visual, auxiliary], dim=2)
