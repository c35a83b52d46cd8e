"""Encoders that transformers runs: which of its models can be one, and how many subwords they read.

There are hundreds of families, and new ones come, so what a tagger needs of a model is tried on a few subwords: vectors
of all of them that depend on nothing but their row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ita.errors import UserError
from ita.model import hub
from ita.model.batching import collate
from ita.model.bert import padding_id, position_offset
from ita.model.encoder import first_subword_vectors
from ita.model.inputs import EncodedView

ROW_LENGTHS = (5, 11)
"""Subwords of the rows on which a model is tried."""
TOLERANCE = 1e-3
"""Of the vectors, whose numbers are about 1; a model that reads padding is off by more than a hundred times that."""


def load_other_encoder(source: Mapping[str, Any], setting: str, pretrained: bool) -> Any:
    """A model of transformers that reads text and gives vectors of its subwords.

    Args:
        source: what ``hub.find`` returned.
        setting: the setting that names the model, for messages.
        pretrained: with its weights; random ones otherwise.

    Raises:
        UserError: for a model that cannot be an encoder; the message says why.
    """
    config = hub.load("AutoConfig", source, setting)
    auto = auto_class(config, f"setting {setting}: '{source['model']}' (type {config.model_type})")
    if pretrained:
        model = hub.load(auto, source, setting, use_safetensors=True, dtype=torch.float32)
    else:
        import transformers

        model = getattr(transformers, auto).from_config(config, dtype=torch.float32)
    # Decoders would keep keys and values that nothing reads.
    model.config.use_cache = False
    return model


def auto_class(config: Any, name: str) -> str:
    """Name of the Auto class of transformers that loads the encoder of a configuration.

    Args:
        config: of transformers.
        name: of the model, for messages.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES

    if not isinstance(getattr(config, "hidden_size", None), int):
        parts = ", ".join(sorted(getattr(config, "sub_configs", {}))) or "no hidden_size"
        raise UserError(f"{name} cannot be an encoder: it reads more than text ({parts}); name its text model")
    if config.model_type in MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES:
        return "AutoModelForTextEncoding"
    if config.is_encoder_decoder:
        raise UserError(
            f"{name} cannot be an encoder: it is an encoder-decoder, whose encoder transformers does not load alone; "
            "expected an encoder such as BERT, or a T5"
        )
    return "AutoModel"


def check_vectors(model: Any, name: str) -> None:
    """Raises UserError unless a model gives each subword a vector that depends on its row alone.

    Args:
        model: of transformers.
        name: of the model, for messages.
    """
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            rows = example_rows(model)
            together = first_subword_vectors(model, collate([rows]), "all")
            alone = torch.cat([first_subword_vectors(model, collate([[row]]), "all") for row in rows])
    except Exception as error:  # whatever a family raises where a text is not what it reads
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{name} cannot be an encoder: it gives no vectors of a text ({reason})") from error
    finally:
        model.train(training)
    expected = (sum(ROW_LENGTHS), model.config.hidden_size)
    if tuple(alone.shape) != expected:
        raise UserError(f"{name} cannot be an encoder: its vectors are {tuple(alone.shape)}, expected {expected}")
    if not alone.isfinite().all():
        raise UserError(f"{name} cannot be an encoder: its vectors are not all finite numbers")
    if not torch.allclose(together, alone, atol=TOLERANCE * max(1.0, float(alone.abs().max())), rtol=TOLERANCE):
        raise UserError(
            f"{name} cannot be an encoder: the vectors of a post change with the padding of its batch, which this "
            "family does not mask"
        )


def example_rows(model: Any) -> list[EncodedView]:
    """Rows of different lengths, of subwords that are no padding."""
    size = len(model.get_input_embeddings().weight)
    ids = np.setdiff1d(np.arange(min(size, 2 * sum(ROW_LENGTHS))), [padding_id(model.config)])
    return [
        EncodedView(np.resize(ids[::-1], length).astype(np.int32), (length,), np.arange(length, dtype=np.int32), 0)
        for length in ROW_LENGTHS
    ]


def position_limit(model: Any) -> int | None:
    """Most subwords that a model's table of positions has room for; None where it has none.

    XLNet says -1, T5 nothing. A table with a padding index has it and the rows before it for other uses.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit <= 0:
        return None
    tables = [module for name, module in model.named_modules() if name.endswith("position_embeddings")]
    padding_ids = [getattr(table, "padding_idx", None) for table in tables]
    return limit - max([position_offset(model.config), *(number + 1 for number in padding_ids if number is not None)])
