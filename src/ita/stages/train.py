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
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ita.cli import read_section
from ita.config import Encoder, Loss, System, Train, load
from ita.config.storage import with_local_copies
from ita.data.words import marks_of
from ita.errors import UserError
from ita.io import parquet
from ita.io.files import write_json, write_text
from ita.io.provenance import provenance_of, region_inputs
from ita.log import log

if TYPE_CHECKING:
    from ita.model.dataset import Corpus, EncodedPosts
    from ita.model.inputs import ViewEncoder
    from ita.model.relation_training import RelationData
    from ita.model.schedule import TrainingConfig
    from ita.model.tagger import Tagger
    from ita.model.vocabulary import TrimmedVocabularies

SPLITS = ("train", "dev")


class Settings(NamedTuple):
    """The sections of the stage's settings."""

    train: Train
    encoder: Encoder
    system: System
    loss: Loss
    seed: int
    further_encoders: list[Encoder]
    run: dict[str, Any]
    """Names of dataset, encoder and system in the configuration, and the seed; None where unknown."""


class RunFiles(NamedTuple):
    """Files that a run reads."""

    posts: Path
    context: Path
    features: Sequence[Path]
    objects: Sequence[Path]
    relation_posts: Path | None
    relation_features: Sequence[Path]

    def named(self) -> dict[str, Path]:
        """The same by the names that settings.json has for them."""
        shards = region_inputs(self.features, self.objects)
        if self.relation_posts:
            shards |= {"relation_posts": self.relation_posts}
            shards |= {f"relation/{file.name}": file for file in self.relation_features}
        return {"posts": self.posts, "context": self.context, **shards}


class PreparedRun(NamedTuple):
    """A run before its first epoch."""

    tagger: Tagger
    view_encoder: ViewEncoder
    splits: dict[str, EncodedPosts]
    trimmed: TrimmedVocabularies | None
    """None where the whole vocabulary is trained."""
    relations: RelationData | None
    """What trains the relation gate."""
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
    objects: Sequence[Path] = (),
    relation_posts: Path | None = None,
    relation_features: Sequence[Path] = (),
    bundle: Path | None = None,
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
        objects: shards of the objects that the regions show, for a system that reads their boxes.
        relation_posts: posts.parquet of the relation data, for a system whose relation gate is trained by some.
        relation_features: shards of the region features of their images.
        bundle: tar file for config.json and tokenizer files, for machines that do not see the run folder.

    Raises:
        UserError: for settings that do not fit together, or an encoder that cannot be loaded.
    """
    files = RunFiles(posts, context, features, objects, relation_posts, relation_features)
    sections = read_sections(settings, files)
    # Imported here so that `ita --help` and a wrong setting answer at once.
    from ita.model import trainer
    from ita.model.bundle import pack
    from ita.model.checkpoint import save_model
    from ita.model.device import peak_memory_mb
    from ita.model.integrity import HASHES

    run = prepare(sections, files)
    record = {"run": sections.run, **provenance_of(settings, files.named()), **run.record, **image_record(files)}
    identity = json.dumps([settings, record["inputs"], run.config.tag_names], sort_keys=True)
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()
    train, dev = (run.splits[split] for split in SPLITS)
    state = trainer.fit(run.tagger, train, dev, run.config, checkpoint / "state.pt", fingerprint, run.relations)

    record |= {"best_epoch": state.best_epoch, "dev_f1": round(state.best_score, 4)}
    record |= {"peak_memory_mb": peak_memory_mb(run.config.device)}
    write_text(history, history_csv(state.history, sections.run))
    weights = run.trimmed.restore(state.best) if run.trimmed else state.best
    tokenizers = [encoder.tokenizer for encoder in run.view_encoder.parts]
    save_model(
        output.parent,
        weights,
        run.tagger.encoders,
        tokenizers,
        lambda hashes: write_json(run_settings, {**record, HASHES: hashes}),
    )
    shutil.rmtree(checkpoint, ignore_errors=True)
    if bundle:
        pack(bundle, (output, history, run_settings, checkpoint))
    log.info("best epoch %d, dev F1 %.2f", state.best_epoch, state.best_score)


def prepare(sections: Settings, files: RunFiles) -> PreparedRun:
    """Loads the data, builds the model and encodes the posts."""
    import torch

    from ita.model.checkpoint import encoder_record
    from ita.model.dataset import load_corpus
    from ita.model.device import compute_dtype, device_name, resolve_device, use_threads
    from ita.model.relation_training import relation_updates
    from ita.model.schedule import TrainingConfig

    train, system = sections.train, sections.system
    device, threads = resolve_device(train.device), use_threads(train.threads)
    torch.manual_seed(sections.seed)
    corpus = load_corpus(files.posts, files.context, files.features, SPLITS, files.objects)
    tag_names = corpus.tag_names(system.label_scheme, system.tag_format)
    models, view_encoder = load_encoders(sections)
    corpus, relations = add_relations(corpus, files, view_encoder)
    tagger, projection = build_tagger(models, tag_names, train, system, corpus)
    splits = {split: corpus.encode(split, tag_names, view_encoder, system.tag_format) for split in SPLITS}
    check_subwords(splits["train"])
    warn_truncated(splits, view_encoder.parts[-1].max_length)
    splits, relations, trimmed = trim(tagger, splits, relations, train)
    tagger.to(device)
    dtype = compute_dtype(device, train.precision, models[0].config.hidden_size)
    record = {
        "label_version": corpus.label_version,
        "test_overlap": corpus.test_overlap,
        **encoder_record([sections.encoder, *sections.further_encoders]),
        "tags": tag_names,
        "marks": marks_of(post["tokens"] for post in corpus.posts),
        **max_lengths(view_encoder),
        "seed": sections.seed,
        "device": device_name(device),
        "precision": str(dtype).removeprefix("torch."),
        "threads": threads,
        "words_truncated": {split: encoded.truncated for split, encoded in splits.items()},
        **region_record(system, corpus, splits, projection),
        **relation_record(system, relations),
    }
    layout = view_encoder.layout
    config = TrainingConfig(train, system, sections.loss, sections.seed, tag_names, device, dtype, layout)
    if relations:
        config = replace(config, relation_updates=relation_updates(len(relations.train.views), config))
    return PreparedRun(tagger, view_encoder, splits, trimmed, relations, config, record)


def load_encoders(sections: Settings) -> tuple[list[Any], ViewEncoder]:
    """The encoders of the system, and what makes their inputs."""
    from ita.model.checkpoint import load_encoder, max_input_length
    from ita.model.inputs import side_by_side
    from ita.model.tagger import input_layout

    train, models, tokenizers, lengths = sections.train, [], [], []
    for encoder in (sections.encoder, *sections.further_encoders):
        model, tokenizer = load_encoder(encoder, padded=train.padding == "all")
        models.append(model)
        tokenizers.append(tokenizer)
        lengths.append(max_input_length(model, tokenizer, train.max_length))
    return models, side_by_side(tokenizers, lengths, input_layout(sections.system))


def max_lengths(encoder: ViewEncoder) -> dict[str, Any]:
    """Longest inputs, as settings.json has them."""
    further = [part.max_length for part in encoder.beside]
    return {"max_length": encoder.max_length, **({"further_max_lengths": further} if further else {})}


def add_relations(corpus: Corpus, files: RunFiles, encoder: ViewEncoder) -> tuple[Corpus, RelationData | None]:
    """The corpus with the features of the relation data's images in its table, and these data where there are some."""
    from ita.model.relation_training import load_relation_features, load_relations

    if files.relation_posts is None or corpus.features is None:
        return corpus, None
    joined, features = load_relation_features(files.relation_posts, files.relation_features, corpus.features)
    relations = load_relations(files.relation_posts, features, encoder)
    return replace(corpus, features=joined), relations


def read_sections(settings: Mapping[str, Any], files: RunFiles) -> Settings:
    """The sections of the settings.

    Raises:
        UserError: for a wrong setting, or views, alignment and regions that do not fit together.
    """
    system = read_section(settings, "system", System)
    check_files(system, files)
    further_settings = with_local_copies(settings.get("further_encoders", []))
    further = [load(Encoder, values, "setting further_encoders") for values in further_settings]
    if len(further) != len(system.encoders) - 1:
        raise UserError(
            f"setting system.encoders: {', '.join(system.encoders)}, so further_encoders must hold "
            f"{len(system.encoders) - 1}; found {len(further)}"
        )
    seed = int(settings.get("seed", 0))
    names = settings.get("run") or {}
    return Settings(
        read_section(settings, "train", Train),
        read_section(settings, "encoder", Encoder),
        system,
        read_section(settings, "loss", Loss),
        seed,
        further,
        {**{key: names.get(key) for key in ("dataset", "encoder", "system")}, "seed": seed},
    )


def check_files(system: System, files: RunFiles) -> None:
    """Raises UserError for features, boxes or relation data that are lacking or that nothing reads."""
    if system.regions and not files.features:
        raise UserError(f"the system reads regions of the detector '{system.regions}': give its --features")
    if files.features and not system.regions:
        raise UserError("--features are given, but the system reads no regions: set its setting regions, or leave them")
    if bool(files.objects) != system.region_boxes:
        raise UserError(
            "the system reads the boxes of regions: give the shards of their --objects"
            if system.region_boxes
            else "--objects are given, but the system reads no boxes: set its setting region_boxes, or leave them"
        )
    relation = {"--relation-posts": files.relation_posts, "--relation-features": files.relation_features}
    if system.relation_data and not all(relation.values()):
        raise UserError(
            f"the relation data '{system.relation_data}' train the system's gate: give its {' and '.join(relation)}"
        )
    if any(relation.values()) and not system.relation_data:
        raise UserError(
            f"{' or '.join(relation)} are given, but the system has no relation data: set its setting "
            "relation_data, or leave them"
        )


def build_tagger(
    models: Sequence[Any], tag_names: Sequence[str], train: Train, system: System, corpus: Corpus
) -> tuple[Tagger, str | None]:
    """A tagger with new linear layers and a new CRF on top of encoders; and where its region projection is from."""
    import torch

    from ita.model.region_weights import init_projection
    from ita.model.tagger import Tagger

    region_dim = corpus.features.width if corpus.features else 0
    options = (train.word_dropout, train.constrained, train.padding, region_dim, system, models[1:])
    tagger = Tagger(models[0], tag_names, *options)
    if corpus.features:
        tagger.set_region_features(torch.from_numpy(corpus.features.vectors))
    if train.compile:
        tagger.compile_encoder()
    return tagger, init_projection(tagger.projection, models[-1], system.region_embedding)


def trim(
    tagger: Tagger, splits: dict[str, EncodedPosts], relations: RelationData | None, train: Train
) -> tuple[dict[str, EncodedPosts], RelationData | None, TrimmedVocabularies | None]:
    """Leaves the encoders only the subwords of the posts, where training is the same without the rest."""
    from ita.model.vocabulary import trim_vocabularies

    # With weight decay the rows of unused subwords would shrink all the same.
    if not train.trim_vocabulary or train.weight_decay:
        return splits, relations, None
    views = [view for encoded in splits.values() for view in encoded.views.values()]
    if relations:
        views += [relations.train.views, relations.dev.views]
    further = {f"further_encoders.{number}.": encoder for number, encoder in enumerate(tagger.encoders[1:])}
    trimmed = trim_vocabularies({"encoder.": tagger.encoder, **further}, list(chain.from_iterable(views)))
    splits = {split: encoded.map_views(trimmed.renumber) for split, encoded in splits.items()}
    return splits, relations and relations.map_views(trimmed.renumber), trimmed


def check_subwords(train: EncodedPosts) -> None:
    """Says how many words of the training posts have no subwords; raises UserError where most have none.

    A tokenizer that is read as of another class than the one that wrote it may know no word.
    """
    for number, parts in enumerate(zip(*(post.parts for post in train.views["t"]), strict=True), 1):
        words = sum(len(part.first_subword) for part in parts)
        dropped = sum(int((part.first_subword < 0).sum()) for part in parts)
        if dropped > words / 2:
            raise UserError(
                f"the tokenizer of encoder {number} gives {dropped} of the {words} words of the training posts no "
                "subwords; expected tokenizer files that belong to the encoder"
            )
        if dropped:
            log.info("train: %d of %d words have no subwords and are not read", dropped, words)


def warn_truncated(splits: Mapping[str, EncodedPosts], max_length: int) -> None:
    """Says how much of the training posts' context and image regions is not read."""
    train = splits["train"]
    for count, unit in ((train.truncated, "context words"), (train.truncated_regions, "image regions")):
        if count:
            log.warning("train: %d %s did not fit into %d subwords and were truncated", count, unit, max_length)


def region_record(
    system: System, corpus: Corpus, splits: Mapping[str, EncodedPosts], projection: str | None
) -> dict[str, Any]:
    """What settings.json says about image regions; nothing for a system that reads none."""
    if corpus.features is None:
        return {}
    regions = {
        "detector": system.regions,
        "engine": corpus.feature_engine,
        "width": corpus.features.width,
        **({"projection": projection} if projection else {}),
        "posts": {split: encoded.with_regions for split, encoded in splits.items()},
        "truncated": {split: encoded.truncated_regions for split, encoded in splits.items()},
    }
    return {"regions": regions}


def image_record(files: RunFiles) -> dict[str, Any]:
    """What settings.json says about how images were turned into text and regions, for images of new posts."""
    context = parquet.metadata(files.context)
    record = {"context": context.get("settings", {}).get("context"), **context.get("image_settings", {})}
    if files.features:
        record["regions"] = parquet.metadata(files.features[0]).get("settings", {}).get("detect")
    known = {stage: settings for stage, settings in record.items() if settings is not None}
    return {"images": known} if known else {}


def relation_record(system: System, relations: RelationData | None) -> dict[str, Any]:
    """What settings.json says about what trains a relation gate: 0 posts where NER alone does."""
    if not system.relation_gate:
        return {}
    if relations is None:
        return {"relation_posts": 0}
    splits = {"train": relations.train, "dev": relations.dev}
    counts = {split: {"posts": len(posts.views), "related": sum(posts.related)} for split, posts in splits.items()}
    relation = {"data": system.relation_data, **counts, "left_out": relations.left_out}
    return {"relation_posts": len(relations.train.views), "relation": relation}


def history_csv(history: Sequence[Mapping[str, float]], run: Mapping[str, Any]) -> str:
    """One row per epoch: names of the run, loss terms, dev F1 in percent, seconds, subwords per second."""
    names = {key: run[key] for key in ("encoder", "system", "seed")}
    text = io.StringIO()
    writer = csv.DictWriter(text, [*names, *history[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**names, **{name: round(value, 6) for name, value in row.items()}} for row in history)
    return text.getvalue()
