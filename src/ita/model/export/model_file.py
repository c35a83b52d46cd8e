"""The whole graph of a run folder, and the files that `ita export` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from onnx import ModelProto, helper
from torch import Tensor

import ita
from ita.config import System
from ita.errors import UserError
from ita.io.files import added_files, atomic
from ita.model.bert import FAMILY, EncoderConfig, packable
from ita.model.checkpoint import load_model, read_config
from ita.model.crf import CRF
from ita.model.export.encoder import add_encoder
from ita.model.export.entities import add_entities
from ita.model.export.graph import Graph, value
from ita.model.export.recursions import ChainScores, add_backward, add_forward, add_log_partition
from ita.model.inputs import ViewEncoder
from ita.model.tagger import Tagger, input_layout

OPSET = 20
IR_VERSION = 9
"""Of ONNX 1.15: ONNX Runtime 1.17 and later read it."""
SINGLE_FILE_LIMIT = 1_800_000_000
"""Bytes of weights in one file; protobuf ends at 2 GiB. Larger ones lie beside the graph."""
INPUTS = (
    value("input_ids", "int64", "rows", "subwords"),
    value("attention_mask", "int64", "rows", "subwords"),
    value("first_subwords", "int64", "posts", "words"),
    value("lengths", "int64", "posts"),
)
OUTPUTS = (
    value("tags", "int64", "posts", "words"),
    value("span_ends", "int64", "posts", "words"),
    value("span_posteriors", "float", "posts", "words"),
    value("log_partition", "float", "posts"),
    value("emissions", "float", "posts", "words", "tags"),
)
DESCRIPTION = """\
Named-entity tagger: encoder, emissions and linear-chain CRF (exact Viterbi, forward-backward) for any number of posts.

Inputs. input_ids, attention_mask (rows, subwords): one row a post, or several windows of a long one; 0 in the mask is
padding. first_subwords (posts, words): where the first subword of each word is, row * subwords + position in the row;
-1 for a word without subwords and in padding. lengths (posts): words of each post, at least 1.

Outputs. tags (posts, words): number of each word's tag, 0 in padding. span_ends (posts, words): the word after the last
one of the entity that starts at a word, 0 where none starts. span_posteriors (posts, words): probability of that entity
with its tags. log_partition (posts). emissions (posts, words, tags).
"""


def export(folder: Path, file: Path, int8: bool = False) -> None:
    """Writes the ONNX file of a run folder and, beside it, the files of its tokenizer.

    Args:
        folder: run folder.
        file: the ONNX file; weights of 2 GB and more go into FILE.data.
        int8: matrix products with weights in 8 bits.

    Raises:
        UserError: for a folder without a model, or a system that the graph cannot hold.
    """
    tagger, view_encoder, settings = load_model(folder)
    check_exportable(tagger, settings)
    config = read_config(folder)
    if not packable(config):
        raise UserError(
            f"{folder}: the encoder is of type {config.get('model_type')!r}; ita export knows "
            f"{', '.join(sorted(FAMILY))} with absolute positions"
        )
    graph = build_graph(tagger, EncoderConfig.from_dict(config), settings["tags"], int8)
    with added_files(file.parent) as part:
        view_encoder.tokenizer.save(part)
    write_model(graph, file, metadata(settings, view_encoder, config, int8))


def check_exportable(tagger: Tagger, settings: Mapping[str, Any]) -> None:
    """Refuses systems that read more than the subwords of one encoder.

    Raises:
        UserError: saying what the system does.
    """
    layout, paper = tagger.layout, input_layout(System())
    reasons = {
        "reads image regions": bool(settings.get("regions")) or tagger.fusion is not None,
        "has several encoders": len(tagger.encoders) > 1,
        "tags every subword (label_scheme: x_subword)": layout.label_scheme != paper.label_scheme,
        "takes the mean of a word's subwords (pooling: mean)": layout.pooling != paper.pooling,
        "reads its context as a second segment": layout.context_token_type != paper.context_token_type,
        "has a recurrent layer (rnn)": tagger.rnn is not None,
    }
    if obstacles := [reason for reason, holds in reasons.items() if holds]:
        raise UserError(
            f"this system {' and '.join(obstacles)}; ita export takes systems that read text, that of images included, "
            "by one encoder: use one such as crf or ita-all-cva"
        )


def build_graph(tagger: Tagger, config: EncoderConfig, tag_names: Sequence[str], int8: bool = False) -> Graph:
    """The nodes of a tagger.

    Args:
        tagger: encoder, linear layer, CRF.
        config: of the encoder.
        tag_names: the K tags.
        int8: matrix products with weights in 8 bits; those of the linear layer to the tags stay as they are.
    """
    graph = Graph(int8=int8)
    word_lengths = graph.add("Unsqueeze", "lengths", graph.ints(1))
    words = graph.add("Squeeze", graph.size("first_subwords", 1), graph.ints(0))
    word = graph.add("Range", graph.scalar(0, np.int64), words, graph.scalar(1, np.int64))
    is_word = graph.add("Less", word, word_lengths)  # (B, W)
    emissions = _add_emissions(graph, tagger, config, is_word)
    graph.rename(emissions, "emissions")
    scores = chain_scores(tagger.crf)
    to_from = graph.weight(scores.transitions.T)
    # Loops go over the first axis.
    emissions = graph.add("Transpose", emissions, perm=[1, 0, 2])
    is_word = graph.add("Transpose", is_word, perm=[1, 0])
    forward = add_forward(graph, emissions, scores, to_from)
    backward = add_backward(graph, emissions, is_word, forward, scores, to_from)
    entities = add_entities(graph, emissions, is_word, forward, backward, scores, tag_names)
    tags = graph.add("Where", is_word, backward.tags, graph.scalar(0, np.int64))
    by_word = {"tags": tags, "span_ends": entities.ends, "span_posteriors": entities.posteriors}
    for name, values in by_word.items():
        graph.rename(graph.add("Transpose", values, perm=[1, 0]), name)
    graph.rename(add_log_partition(graph, emissions, "lengths", is_word, forward, scores), "log_partition")
    return graph


def make_model(graph: Graph, data: tuple[BinaryIO, str] | None = None) -> ModelProto:
    """The model of a tagger's nodes; ``data`` as for :meth:`Graph.proto`."""
    return helper.make_model(
        graph.proto("tagger", INPUTS, OUTPUTS, data),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ita",
        producer_version=ita.__version__,
        doc_string=DESCRIPTION,
    )


def _add_emissions(graph: Graph, tagger: Tagger, config: EncoderConfig, is_word: str) -> str:
    """(B, W, K), in which a word without subwords has the emissions of the zero vector."""
    weights = {name: array(tensor) for name, tensor in tagger.encoder.state_dict().items()}
    has_subword = graph.add("GreaterOrEqual", "first_subwords", graph.scalar(0, np.int64))
    is_read = graph.add("And", has_subword, is_word)
    flat = graph.cast(graph.add("Reshape", is_read, graph.ints(-1)), "int64")
    words = graph.add("Reshape", graph.add("NonZero", flat), graph.ints(-1))
    slots = graph.add("Gather", graph.add("Reshape", "first_subwords", graph.ints(-1)), words)
    # Slot 0, the first special token, comes along, so that a batch without any subword is no special case.
    slots = graph.add("Concat", graph.ints(0), slots, axis=0)
    vectors = add_encoder(graph, weights, config, "input_ids", "attention_mask", slots)
    bias = array(tagger.linear.bias)
    emissions = graph.linear(vectors, array(tagger.linear.weight), bias, exact=True)
    of_words = graph.add("Slice", emissions, graph.ints(1), graph.ints(2**31), graph.ints(0))
    rows = graph.add("Concat", graph.weight(bias[None]), of_words, axis=0)
    number = graph.add("Mul", graph.add("CumSum", flat, graph.scalar(0, np.int64)), flat)
    shaped = graph.add("Reshape", number, graph.add("Shape", "first_subwords"))
    return graph.add("Gather", rows, shaped)


def chain_scores(crf: CRF) -> ChainScores:
    """Scores of a CRF with its constraints."""
    _, transitions, start, end = crf.potentials(crf.start.detach())
    return ChainScores(array(transitions), array(start), array(end))


def array(tensor: Tensor) -> Any:
    """Values of a tensor in fp32."""
    return tensor.detach().float().cpu().numpy()


def metadata(
    settings: Mapping[str, Any], view_encoder: ViewEncoder, config: Mapping[str, Any], int8: bool
) -> dict[str, str]:
    """What a program needs to use the graph, each value as JSON."""
    tokenizer = view_encoder.tokenizer
    values = {
        "tags": settings["tags"],
        "cls_id": tokenizer.cls_id,
        "sep_id": tokenizer.sep_id,
        "pad_id": config.get("pad_token_id") or 0,
        "max_length": view_encoder.max_length,
        "run": settings.get("run", {}),
        "views": settings["settings"].get("system", {}).get("views", []),
        "label_version": settings.get("label_version"),
        "precision": "int8" if int8 else "fp32",
    }
    return {name: json.dumps(item, ensure_ascii=False) for name, item in values.items()}


def write_model(graph: Graph, file: Path, properties: Mapping[str, str]) -> None:
    """Writes the file, and weights of more than ``SINGLE_FILE_LIMIT`` bytes beside it."""
    data_file = file.with_name(f"{file.name}.data")
    if sum(array.nbytes for array in graph.arrays.values()) > SINGLE_FILE_LIMIT:
        with atomic(data_file) as part, open(part, "wb") as data:
            model = make_model(graph, (data, data_file.name))
    else:
        model = make_model(graph)
        data_file.unlink(missing_ok=True)  # of an earlier, larger model
    helper.set_model_props(model, dict(properties))
    with atomic(file) as part:
        onnx.save_model(model, part)
