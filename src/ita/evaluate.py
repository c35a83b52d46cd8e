"""evaluate: model -> metrics.json, predictions.parquet.

Every model is evaluated on both views, whichever it was trained on.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ita import stage, tables
from ita.corpus.scores import report
from ita.settings import Evaluate
from ita.train import contexts_of, peak_memory_mb

VERSION = 1
PREDICTIONS = "predictions.parquet"


def work(settings: dict[str, Any], output: Path, model: Path, posts: Path, context: Path) -> None:
    """Tags the evaluation splits in both views and scores them.

    Args:
        settings: ``evaluate``.
        output: metrics.json; predictions.parquet is written beside it.
        model: model.safetensors of a run folder.
        posts: posts.parquet.
        context: the context table that the I+T view reads.
    """
    from ita import device
    from ita.corpus.views import VIEWS, encode_views
    from ita.model.folder import load_model
    from ita.model.tagging import Tagged, tag

    chosen = stage.section(settings, "evaluate", Evaluate)
    where = device.resolve(chosen.device)
    device.use_threads(chosen.threads)
    tagger, encoder, about = load_model(model.parent)
    tagger.to(where)
    dtype = device.arithmetic(where, chosen.precision, tagger.encoder.config.hidden_size)
    rows = tables.rows("posts", posts)
    contexts = contexts_of(rows, context)
    predictions: list[dict[str, Any]] = []
    scores: dict[str, dict[str, Any]] = {}
    for split in chosen.splits:
        of_split = [row for row in rows if row["split"] == split]
        views = encode_views(encoder, of_split, contexts)
        gold = [row["tags"] for row in of_split]
        scores[split] = {}
        tagged: dict[str, list[Tagged]] = {}
        for view in VIEWS:
            if view == "it" and not any(contexts[row["post_id"]]["tokens"] for row in of_split):
                # Without any context the views are the same.
                tagged[view], scores[split][view] = tagged["t"], scores[split]["t"]
            else:
                started = time.monotonic()
                tagged[view] = tag(
                    tagger,
                    views[view],
                    about["tags"],
                    batch_size=chosen.batch_size,
                    max_pieces=chosen.max_pieces,
                    device=where,
                    dtype=dtype,
                    progress=partial(stage.progress, total=None, what=f"{split} {view}", unit="batch"),
                )
                seconds = time.monotonic() - started
                scores[split][view] = {
                    **report(gold, [one.tags for one in tagged[view]]),
                    "seconds": round(seconds, 3),
                    "words_per_second": round(sum(map(len, gold)) / seconds, 1),
                    "words_cut": sum(one.cut for one in views[view]),
                }
            predictions += [
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
    origin = stage.provenance(settings, {"model": model, "posts": posts, "context": context})
    trained = about["settings"]
    facts = {
        "label_version": about["label_version"],
        "seed": about["seed"],
        "system": trained["system"],
        "encoder": trained["encoder"]["model"],
        "scores": scores,
        "training": training_facts(model.parent / "history.csv", about),
        "peak_memory_mb": peak_memory_mb(where.type),
        **origin,
    }
    versions = {"label_version": about["label_version"], "seed": about["seed"]}
    tables.write("predictions", predictions, output.parent / PREDICTIONS, {**origin, **versions})
    stage.write_json(output, facts)


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
        "words_cut": about["words_cut"],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the stage."""
    inputs = {"model": "model.safetensors of a run", "posts": "posts.parquet", "context": "context table"}
    return stage.main("evaluate", VERSION, work, inputs=inputs, argv=argv)


if __name__ == "__main__":
    sys.exit(main())
