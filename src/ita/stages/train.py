"""train: posts, context and features of regions -> runs/{encoder}/{system}/seed{seed}/.

The run folder is a model folder: model.safetensors, config.json, tokenizer files, settings.json, history.csv. A run
that was killed goes on from its last finished epoch when the same command is given again.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import resource
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Encoder, Loss, System, Train
from ita.data.tags import spans, tag_set, to_bioes
from ita.errors import UserError
from ita.io import features as seen
from ita.io import parquet
from ita.io.features import Features
from ita.io.files import write_json, write_text
from ita.io.provenance import provenance_of
from ita.log import log

SPLITS = ("train", "dev")


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
        settings: ``train``, ``encoder``, ``system``, ``loss`` and ``seed``.
        output: model.safetensors of the model folder; config.json and tokenizer files are written beside it.
        history: history.csv, one row per epoch.
        run_settings: settings.json of the model folder.
        checkpoint: folder of the last finished epoch, from which a killed run goes on; removed at the end.
        posts: posts.parquet.
        context: a context table of the same posts.
        features: shards of the features of their images' regions, for a system that reads such.

    Raises:
        UserError: for settings that do not fit together, or an encoder that cannot be had.
    """
    # Imported here so that `ita --help` and a wrong setting answer at once.
    import torch

    from ita.model import checkpoint as saving
    from ita.model import device, trainer
    from ita.model.bert import Bert
    from ita.model.inputs import ViewEncoder
    from ita.model.schedule import TrainingConfig
    from ita.model.tagger import Tagger
    from ita.model.vocabulary import trim_vocabulary

    chosen = read_section(settings, "train", Train)
    encoder = read_section(settings, "encoder", Encoder)
    system = read_section(settings, "system", System)
    loss = read_section(settings, "loss", Loss)
    seed = int(settings.get("seed", 0))
    check(system, features)
    where = device.resolve(chosen.device)
    threads = device.use_threads(chosen.threads)
    torch.manual_seed(seed)

    table = parquet.read("posts", posts)
    rows = table.to_pylist()
    contexts = contexts_of(rows, context)
    regions = seen.read(features, images_of(rows, SPLITS)) if system.regions else None
    model, tokenizer = saving.load_encoder(encoder, padded=chosen.padding == "all")
    views = ViewEncoder(tokenizer, saving.longest_input(model.config, tokenizer, chosen.max_length))
    names = tag_set(span.type for row in rows for span in spans(row["tags"]))
    width = regions.width if regions else 0
    tagger = Tagger(model, names, chosen.word_dropout, chosen.constrained, chosen.padding, width)
    train, dev = (
        examples([row for row in rows if row["split"] == split], contexts, names, views, regions) for split in SPLITS
    )
    cut = {
        split: sum(post.truncated for post in some.views["it"])
        for split, some in zip(SPLITS, (train, dev), strict=True)
    }
    pruned = None
    # With weight decay the rows of pieces that never occur would shrink all the same.
    if chosen.trim_vocabulary and not chosen.weight_decay and isinstance(model, Bert):
        pruned = trim_vocabulary(model, chain(*train.views.values(), *dev.views.values()), "encoder.")
        train, dev = (
            replace(some, views={view: pruned.renumber(posts) for view, posts in some.views.items()})
            for some in (train, dev)
        )
    if chosen.compile:
        tagger.compile_encoder()
    if regions:
        tagger.look(torch.from_numpy(regions.vectors))
    tagger.to(where)
    dtype = device.arithmetic(where, chosen.precision, model.config.hidden_size)

    about = {
        **provenance_of(settings, {"posts": posts, "context": context, **{file.name: file for file in features}}),
        "label_version": parquet.metadata(table).get("label_version"),
        "tags": names,
        "max_length": views.max_length,
        "seed": seed,
        "device": torch.cuda.get_device_name() if where.type == "cuda" else "cpu",
        "precision": str(dtype).removeprefix("torch."),
        "threads": threads,
        "words_truncated": cut,
    }
    if regions:
        about["regions"] = {
            "detector": system.regions,
            "engine": parquet.metadata(features[0]).get("engine"),
            "width": regions.width,
            "posts": {
                split: sum(len(post.regions) > 0 for post in some.views["it"])
                for split, some in zip(SPLITS, (train, dev), strict=True)
            },
        }
    if cut["train"]:
        log.warning("train: %d context words did not fit into %d pieces and were cut", cut["train"], views.max_length)
    stamp = hashlib.sha256(json.dumps([settings, about["inputs"], names], sort_keys=True).encode()).hexdigest()
    plan = TrainingConfig(chosen, system, loss, seed, names, where, dtype)
    result = trainer.fit(tagger, train, dev, plan, checkpoint / "state.pt", stamp)

    about["best_epoch"] = result.best_epoch
    about["peak_memory_mb"] = peak_memory_mb(where.type)
    write_text(history, history_csv(result.history))
    write_json(run_settings, about)
    best = pruned.restore(result.best) if pruned else result.best
    saving.save_model(output.parent, best, model.config, tokenizer)
    shutil.rmtree(checkpoint, ignore_errors=True)
    log.info("best epoch %d, dev F1 %.2f", result.best_epoch, result.best_score)


def check(system: System, features: Sequence[Path]) -> None:
    """Raises UserError for views, alignment and regions that do not fit together."""
    if system.alignment != "none" and system.views != ["t", "it"]:
        raise UserError(f"cross-view alignment needs both views: set views to [t, it], found {system.views}")
    if system.regions and "it" not in system.views:
        raise UserError(f"regions are read in the view it: add it to the system's views, found {system.views}")
    if system.regions and not features:
        raise UserError(f"the system reads regions of the detector '{system.regions}': give its --features")
    if features and not system.regions:
        raise UserError("--features are given, but the system reads no regions: set its setting regions, or leave them")


def images_of(rows: Sequence[Mapping[str, Any]], splits: Collection[str]) -> set[str]:
    """Names of the images of some splits."""
    return {row["image_id"] for row in rows if row["split"] in splits and row["image_id"]}


def contexts_of(rows: Sequence[Mapping[str, Any]], context: Path) -> dict[str, dict[str, Any]]:
    """Rows of a context table by post_id.

    Raises:
        UserError: when a post has no row there.
    """
    contexts = {row["post_id"]: row for row in parquet.rows("contexts", context)}
    for row in rows:
        if row["post_id"] not in contexts:
            raise UserError(f"{context}: has no row for the post {row['post_id']!r}; it was made from other posts")
    return contexts


def examples(
    rows: Sequence[Mapping[str, Any]],
    contexts: Mapping[str, Any],
    names: Sequence[str],
    views: Any,
    regions: Features | None = None,
) -> Any:
    """Posts of one split as the training loop reads them."""
    from ita.model.inputs import encode_views
    from ita.model.schedule import Examples

    index = {name: number for number, name in enumerate(names)}
    tags = [[index[tag] for tag in to_bioes(row["tags"])] for row in rows]
    return Examples(encode_views(views, rows, contexts, regions), tags, [row["tags"] for row in rows])


def history_csv(history: Sequence[Mapping[str, float]]) -> str:
    """One row per epoch: loss terms, dev F1 in percent, seconds, pieces per second."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: round(value, 6) for name, value in row.items()} for row in history)
    return text.getvalue()


def peak_memory_mb(device: str) -> float:
    """Peak memory in MB: of the GPU where there is one, else resident memory of the process."""
    if device == "cuda":
        import torch

        return round(torch.cuda.max_memory_allocated() / 1e6, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)
