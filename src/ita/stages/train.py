"""train: posts, context, region features -> run folder with model.safetensors, settings.json, history.csv.

A run folder is a model folder: ``ita evaluate`` and ``ita predict`` read it. A run that was killed continues from its
last finished epoch when the same command is given again.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ita.cli import read_section
from ita.config import Encoder, Loss, System, Train
from ita.errors import UserError
from ita.io.files import write_json, write_text
from ita.io.provenance import provenance_of
from ita.log import log

if TYPE_CHECKING:
    from ita.model.dataset import Corpus, EncodedPosts
    from ita.model.schedule import TrainingConfig
    from ita.model.tagger import Tagger
    from ita.model.tokenizer import Tokenizer
    from ita.model.vocabulary import TrimmedVocabulary

SPLITS = ("train", "dev")


class Settings(NamedTuple):
    """The sections of the stage's settings."""

    train: Train
    encoder: Encoder
    system: System
    loss: Loss
    seed: int
    run: dict[str, Any]
    """Names of dataset, encoder and system in the configuration, and the seed; None where unknown."""


class PreparedRun(NamedTuple):
    """A run before its first epoch."""

    tagger: Tagger
    tokenizer: Tokenizer
    splits: dict[str, EncodedPosts]
    trimmed: TrimmedVocabulary | None
    """None where the whole vocabulary is trained."""
    config: TrainingConfig
    record: dict[str, Any]
    """What settings.json says about data and model."""


def work(
    settings: dict[str, Any],
    output: Path,
    history: Path,
    run_settings: Path,
    checkpoint: Path,
    posts: Path,
    context: Path,
    features: Sequence[Path] = (),
) -> None:
    """Trains one tagger with one seed.

    Args:
        settings: ``train``, ``encoder``, ``system``, ``loss``, ``seed`` and, to name the run in its files, ``run``.
        output: model.safetensors of the run folder; config.json and tokenizer files are written beside it.
        history: history.csv, one row per epoch.
        run_settings: settings.json of the run folder.
        checkpoint: folder of the last finished epoch, from which a killed run continues; removed at the end.
        posts: posts.parquet.
        context: a context table of the same posts.
        features: shards of the region features of their images, for a system that reads them.

    Raises:
        UserError: for settings that do not fit together, or an encoder that cannot be loaded.
    """
    sections = read_sections(settings, features)
    # Imported here so that `ita --help` and a wrong setting answer at once.
    from ita.model import trainer
    from ita.model.checkpoint import save_model
    from ita.model.device import peak_memory_mb

    run = prepare(sections, posts, context, features)
    inputs = {"posts": posts, "context": context, **{file.name: file for file in features}}
    record = {"run": sections.run, **provenance_of(settings, inputs), **run.record}
    identity = json.dumps([settings, record["inputs"], run.config.tag_names], sort_keys=True)
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()
    train, dev = (run.splits[split] for split in SPLITS)
    state = trainer.fit(run.tagger, train, dev, run.config, checkpoint / "state.pt", fingerprint)

    record |= {"best_epoch": state.best_epoch, "peak_memory_mb": peak_memory_mb(run.config.device)}
    write_text(history, history_csv(state.history, sections.run))
    write_json(run_settings, record)
    weights = run.trimmed.restore(state.best) if run.trimmed else state.best
    save_model(output.parent, weights, run.tagger.encoder.config, run.tokenizer)
    shutil.rmtree(checkpoint, ignore_errors=True)
    log.info("best epoch %d, dev F1 %.2f", state.best_epoch, state.best_score)


def prepare(sections: Settings, posts: Path, context: Path, features: Sequence[Path]) -> PreparedRun:
    """Loads the data, builds the model and encodes the posts."""
    import torch

    from ita.model.checkpoint import load_encoder, max_input_length
    from ita.model.dataset import load_corpus
    from ita.model.device import compute_dtype, resolve_device, use_threads
    from ita.model.inputs import ViewEncoder
    from ita.model.schedule import TrainingConfig
    from ita.model.tagger import input_layout

    train, system = sections.train, sections.system
    device, threads = resolve_device(train.device), use_threads(train.threads)
    torch.manual_seed(sections.seed)
    corpus = load_corpus(posts, context, features, SPLITS)
    tag_names = corpus.tag_names(system.label_scheme, system.tag_format)
    model, tokenizer = load_encoder(sections.encoder, padded=train.padding == "all")
    layout = input_layout(system)
    view_encoder = ViewEncoder(tokenizer, max_input_length(model.config, tokenizer, train.max_length), layout)
    tagger = build_tagger(model, tag_names, train, system, corpus)
    splits = {split: corpus.encode(split, tag_names, view_encoder, system.tag_format) for split in SPLITS}
    warn_truncated(splits, view_encoder.max_length)
    splits, trimmed = trim(tagger, splits, train)
    tagger.to(device)
    dtype = compute_dtype(device, train.precision, model.config.hidden_size)
    record = {
        "label_version": corpus.label_version,
        "tags": tag_names,
        "max_length": view_encoder.max_length,
        "seed": sections.seed,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "precision": str(dtype).removeprefix("torch."),
        "threads": threads,
        "words_truncated": {split: encoded.truncated for split, encoded in splits.items()},
        **region_record(system, corpus, splits),
    }
    config = TrainingConfig(train, system, sections.loss, sections.seed, tag_names, device, dtype, layout)
    return PreparedRun(tagger, tokenizer, splits, trimmed, config, record)


def read_sections(settings: Mapping[str, Any], features: Sequence[Path]) -> Settings:
    """The sections of the settings.

    Raises:
        UserError: for a wrong setting, or views, alignment and regions that do not fit together.
    """
    system = read_section(settings, "system", System)
    check_features(system, features)
    seed = int(settings.get("seed", 0))
    names = settings.get("run") or {}
    return Settings(
        read_section(settings, "train", Train),
        read_section(settings, "encoder", Encoder),
        system,
        read_section(settings, "loss", Loss),
        seed,
        {**{key: names.get(key) for key in ("dataset", "encoder", "system")}, "seed": seed},
    )


def check_features(system: System, features: Sequence[Path]) -> None:
    """Raises UserError for features that are lacking or that nothing reads."""
    if system.regions and not features:
        raise UserError(f"the system reads regions of the detector '{system.regions}': give its --features")
    if features and not system.regions:
        raise UserError("--features are given, but the system reads no regions: set its setting regions, or leave them")


def build_tagger(model: Any, tag_names: Sequence[str], train: Train, system: System, corpus: Corpus) -> Tagger:
    """A tagger with new linear layers and a new CRF on top of an encoder."""
    import torch

    from ita.model.tagger import Tagger

    region_dim = corpus.features.width if corpus.features else 0
    tagger = Tagger(model, tag_names, train.word_dropout, train.constrained, train.padding, region_dim, system)
    if corpus.features:
        tagger.set_region_features(torch.from_numpy(corpus.features.vectors))
    if train.compile:
        tagger.compile_encoder()
    return tagger


def trim(
    tagger: Tagger, splits: dict[str, EncodedPosts], train: Train
) -> tuple[dict[str, EncodedPosts], TrimmedVocabulary | None]:
    """Leaves the encoder only the subwords of the posts, where training is the same without the rest."""
    from ita.model.bert import Bert
    from ita.model.vocabulary import trim_vocabulary

    # With weight decay the rows of unused subwords would shrink all the same.
    if not train.trim_vocabulary or train.weight_decay or not isinstance(tagger.encoder, Bert):
        return splits, None
    posts = chain.from_iterable(view for encoded in splits.values() for view in encoded.views.values())
    trimmed = trim_vocabulary(tagger.encoder, posts, "encoder.")
    return {split: encoded.map_views(trimmed.renumber) for split, encoded in splits.items()}, trimmed


def warn_truncated(splits: Mapping[str, EncodedPosts], max_length: int) -> None:
    """Says how much of the training posts' context is not read."""
    truncated = splits["train"].truncated
    if truncated:
        log.warning("train: %d context words did not fit into %d subwords and were truncated", truncated, max_length)


def region_record(system: System, corpus: Corpus, splits: Mapping[str, EncodedPosts]) -> dict[str, Any]:
    """What settings.json says about image regions; nothing for a system that reads none."""
    if corpus.features is None:
        return {}
    regions = {
        "detector": system.regions,
        "engine": corpus.feature_engine,
        "width": corpus.features.width,
        "posts": {split: encoded.with_regions for split, encoded in splits.items()},
    }
    return {"regions": regions}


def history_csv(history: Sequence[Mapping[str, float]], run: Mapping[str, Any]) -> str:
    """One row per epoch: names of the run, loss terms, dev F1 in percent, seconds, subwords per second."""
    names = {key: run[key] for key in ("encoder", "system", "seed")}
    text = io.StringIO()
    writer = csv.DictWriter(text, [*names, *history[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**names, **{name: round(value, 6) for name, value in row.items()}} for row in history)
    return text.getvalue()
