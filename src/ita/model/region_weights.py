"""The weights by which a published encoder reads image regions (Oscar, VinVL), for the tagger's region projection.

BertImgModel (microsoft/Oscar, oscar/modeling/modeling_bert.py) has a linear layer ``img_embedding`` and, where its
config.json says ``use_img_layernorm``, a ``LayerNorm`` of regions beside the weights of BERT.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ita.errors import UserError

REGION_WIDTH = "img_feature_dim"
"""What config.json of such an encoder has and that of others has not."""
LINEAR = ("img_embedding.weight", "img_embedding.bias")
NORMALISATION = ("LayerNorm.weight", "LayerNorm.bias")


def select_region_weights(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """Those of a checkpoint; None for an encoder that reads text alone.

    Args:
        weights: of the checkpoint, by their names without prefix.
        config: config.json of the encoder.
    """
    selected = {name: weights[name] for name in (*LINEAR, *NORMALISATION) if name in weights}
    return selected if selected or REGION_WIDTH in config else None


def init_projection(projection: nn.Module | None, encoder: Any, embedding: str) -> str | None:
    """Gives a region projection the weights of its encoder, where that was published with such.

    Args:
        projection: of a tagger, with values drawn; None for one without.
        encoder: the encoder that reads its vectors.
        embedding: setting ``region_embedding``.

    Returns:
        Where its weights are from: ``encoder`` or ``random``; None without projection.

    Raises:
        UserError: naming weights that are missing, not read, or of another shape.
    """
    if projection is None:
        return None
    weights = getattr(encoder, "region_weights", None)
    if weights is None or embedding == "bert":
        return "random"
    names = (*LINEAR, *NORMALISATION) if embedding == "normalised" else LINEAR
    check_names(weights, names, embedding)
    state = dict(zip(projection.state_dict(), (weights[name] for name in names), strict=True))
    for name, (ours, drawn) in zip(names, projection.state_dict().items(), strict=True):
        if state[ours].shape != drawn.shape:
            raise UserError(
                f"setting encoders.*.model: {name} of the encoder is {tuple(state[ours].shape)}, expected "
                f"{tuple(drawn.shape)} for regions of {projection.state_dict()[next(iter(state))].shape[1]} numbers; "
                "VinVL's regions have 2048 features and, with region_boxes: true, six numbers of their box"
            )
    projection.load_state_dict(state)
    return "encoder"


def check_names(weights: Mapping[str, Tensor], names: tuple[str, ...], embedding: str) -> None:
    """Raises UserError for weights that are missing, or that the setting ``region_embedding`` leaves unread."""
    if missing := [name for name in names if name not in weights]:
        hint = "use a whole checkpoint"
        if embedding == "normalised" and not set(missing) - set(NORMALISATION):
            hint += ", or set region_embedding to plain for an encoder without LayerNorm of regions"
        raise UserError(f"setting encoders.*.model: the weights of the encoder lack {', '.join(missing)}; {hint}")
    if unused := [name for name in weights if name not in names]:
        raise UserError(
            f"setting systems.*.region_embedding: {embedding} does not read {', '.join(unused)} of the encoder; set it "
            "to normalised"
        )
