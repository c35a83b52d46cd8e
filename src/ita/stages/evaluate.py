"""evaluate: model -> metrics.json, predictions.parquet.

Every model is evaluated on both views, whichever it was trained on. ``representation_distance`` is how far the image
moves what represents a word (the paper's Fig. 3), null where it has nothing to say.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Evaluate
from ita.data import VIEWS
from ita.data.metrics import report
from ita.errors import UserError
from ita.io import features as seen
from ita.io import parquet
from ita.io.files import write_json
from ita.io.provenance import provenance_of
from ita.log import progress
from ita.stages.train import contexts_of, images_of, peak_memory_mb


def work(
    settings: dict[str, Any],
    metrics: Path,
    predictions: Path,
    model: Path,
    history: Path,
    posts: Path,
    context: Path,
    features: Sequence[Path] = (),
) -> None:
    """Tags the evaluation splits in both views and scores them.

    Args:
        settings: ``evaluate``.
        metrics: metrics.json to write.
        predictions: predictions.parquet to write.
        model: model.safetensors of a model folder.
        history: history.csv of its training.
        posts: posts.parquet.
        context: the context table that the I+T view reads.
        features: shards of the features of regions that it reads, for a model that was trained on such.

    Raises:
        UserError: when features and model do not fit together.
    """
    import torch

    from ita.model import device
    from ita.model.checkpoint import load_model
    from ita.model.distance import Distance
    from ita.model.inference import Prediction, tag
    from ita.model.inputs import encode_views

    chosen = read_section(settings, "evaluate", Evaluate)
    where = device.resolve(chosen.device)
    device.use_threads(chosen.threads)
    tagger, encoder, about = load_model(model.parent)
    rows = parquet.rows("posts", posts)
    contexts = contexts_of(rows, context)
    regions = regions_for(about, features, images_of(rows, chosen.splits))
    if regions:
        tagger.look(torch.from_numpy(regions.vectors))
    tagger.to(where)
    dtype = device.arithmetic(where, chosen.precision, tagger.encoder.config.hidden_size)
    tagged_posts: list[dict[str, Any]] = []
    scores: dict[str, dict[str, Any]] = {}
    distances: dict[str, float | None] = {}
    for split in chosen.splits:
        of_split = [row for row in rows if row["split"] == split]
        views = encode_views(encoder, of_split, contexts, regions)
        # Without anything of the image the views are the same.
        same = not any(
            contexts[row["post_id"]]["tokens"] or len(one.regions)
            for row, one in zip(of_split, views["it"], strict=True)
        )
        distance = Distance([len(row["tokens"]) for row in of_split])
        witness = {"t": None if same else distance.keep, "it": distance.compare}
        gold = [row["tags"] for row in of_split]
        scores[split] = {}
        tagged: dict[str, list[Prediction]] = {}
        for view in VIEWS:
            if view == "it" and same:
                tagged[view], scores[split][view] = tagged["t"], scores[split]["t"]
            else:
                started = time.monotonic()
                tagged[view] = tag(
                    tagger,
                    views[view],
                    about["tags"],
                    batch_size=chosen.batch_size,
                    max_subwords=chosen.max_subwords,
                    device=where,
                    dtype=dtype,
                    progress=partial(progress, total=None, what=f"{split} {view}", unit="batch"),
                    witness=witness[view],
                )
                seconds = time.monotonic() - started
                scores[split][view] = {
                    **report(gold, [one.tags for one in tagged[view]]),
                    "seconds": round(seconds, 3),
                    "words_per_second": round(sum(map(len, gold)) / seconds, 1),
                    "words_truncated": sum(one.truncated for one in views[view]),
                }
            tagged_posts += [
                {
                    "post_id": row["post_id"],
                    "split": split,
                    "view": view,
                    "tokens": row["tokens"],
                    "gold": row["tags"],
                    "predicted": one.tags,
                    "spans": [
                        {**span._asdict(), "posterior": sure}
                        for span, sure in zip(one.spans, one.posteriors, strict=True)
                    ],
                }
                for row, one in zip(of_split, tagged[view], strict=True)
            ]
        distances[split] = None if same else distance.mean()
    inputs = {"model": model, "posts": posts, "context": context, **{file.name: file for file in features}}
    origin = provenance_of(settings, inputs)
    trained = about["settings"]
    facts = {
        "label_version": about["label_version"],
        "seed": about["seed"],
        "system": trained["system"],
        "encoder": trained["encoder"]["model"],
        "scores": scores,
        "representation_distance": distances,
        "training": training_facts(history, about),
        "peak_memory_mb": peak_memory_mb(where.type),
        **origin,
    }
    versions = {"label_version": about["label_version"], "seed": about["seed"]}
    parquet.write("predictions", tagged_posts, predictions, {**origin, **versions})
    write_json(metrics, facts)


def regions_for(about: Mapping[str, Any], features: Sequence[Path], images: Collection[str]) -> seen.Features | None:
    """The features of regions that a model reads, of some images; None for a model that reads none.

    Args:
        about: its settings.json.
        features: shards.
        images: names.

    Raises:
        UserError: when they are missing, superfluous or of another width than those it was trained on.
    """
    trained = about.get("regions")
    if not trained:
        if features:
            raise UserError("--features are given, but the model was trained without regions: leave them out")
        return None
    if not features:
        raise UserError(f"the model reads regions of the detector '{trained['detector']}': give its --features")
    regions = seen.read(features, images)
    if regions.width != trained["width"]:
        raise UserError(
            f"{features[0]}: regions of {regions.width} numbers, expected {trained['width']}; the model was trained on "
            f"those of the detector '{trained['detector']}'"
        )
    return regions


def training_facts(history: Path, about: dict[str, Any]) -> dict[str, Any]:
    """What training took: epochs, the best one, seconds, peak memory in MB, where."""
    with open(history, newline="", encoding="utf-8") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    return {
        "epochs": len(seconds),
        "best_epoch": about["best_epoch"],
        "seconds": round(sum(seconds), 2),
        "seconds_per_epoch": round(sum(seconds) / len(seconds), 2),
        "peak_memory_mb": about["peak_memory_mb"],
        "device": about["device"],
        "words_truncated": about["words_truncated"],
    }
