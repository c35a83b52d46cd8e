"""evaluate: run folder, posts, context, region features -> metrics.json, predictions.parquet, README.md.

Every model is evaluated on both views, whichever it was trained on. ``representation_distance`` is the mean distance
between the word representations of the two views (Fig. 3 of the paper), null where the views are the same.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ita.cli import read_section
from ita.config import Evaluate
from ita.data.evaluation_inputs import evaluation_hashes, results_hash
from ita.data.label_schemes import upstream_scores
from ita.data.metrics import TASK_VERSIONS, report
from ita.data.tags import from_bioes
from ita.errors import UserError
from ita.io import parquet
from ita.io.files import sha256, write_json, write_text
from ita.io.provenance import environment_of, provenance_of, region_inputs
from ita.reporting.model_card import model_card

if TYPE_CHECKING:
    import torch

    from ita.model.evaluation import TaggedSplit, TaggedView

UNNAMED = {"dataset": None, "encoder": None, "system": None}


def work(
    settings: dict[str, Any],
    metrics: Path,
    predictions: Path,
    model: Path,
    history: Path,
    posts: Path,
    context: Path,
    features: Sequence[Path] = (),
    objects: Sequence[Path] = (),
    card: Path | None = None,
) -> None:
    """Tags the evaluation splits in both views and scores them.

    Args:
        settings: ``evaluate``, and the ``licence`` of the data for the model card.
        metrics: metrics.json to write.
        predictions: predictions.parquet to write.
        model: model.safetensors of a run folder.
        history: history.csv of its training.
        posts: posts.parquet.
        context: the context table that the I+T view reads.
        features: shards of the region features that it reads, for a model that was trained with some.
        objects: shards of the objects that the regions show, for a model that was trained with their boxes.
        card: README.md to write, the model card.

    Raises:
        UserError: when features and model do not fit together.
    """
    from ita.model.device import device_name, peak_memory_mb, resolve_device, use_threads

    evaluate = read_section(settings, "evaluate", Evaluate)
    device = resolve_device(evaluate.device)
    threads = use_threads(evaluate.threads)
    tagged = tag_splits(evaluate, device, model.parent, posts, context, features, objects)
    trained, splits = tagged.trained, tagged.splits
    inputs = {"model": model, "posts": posts, "context": context, **region_inputs(features, objects)}
    provenance = provenance_of(settings, inputs)
    run = {**UNNAMED, "seed": trained["seed"], **trained.get("run", {})}
    identity = {"label_version": trained["label_version"], "seed": trained["seed"], "run": run}
    results = {**run_record(trained, run), **score_record(splits), "training": training_record(history, trained)}
    environment = environment_of(device=device_name(device), threads=threads, precision=tagged.precision)
    stated = {
        "task_versions": TASK_VERSIONS,
        "evaluation": tagged.hashes,
        "environment": environment,
        "models": model_record(trained, context),
        **provenance,
    }
    metadata = {**stated, **identity, "results_sha256": results_hash(results)}
    parquet.write("predictions", prediction_rows(splits), predictions, metadata)
    if card is not None:
        evaluated = {**results, "inputs": provenance["inputs"], "licence": settings.get("licence")}
        write_text(card, model_card(trained, evaluated))
    measured = {"peak_memory_mb": peak_memory_mb(device), "predictions_sha256": sha256(predictions)}
    write_json(metrics, {**results, **measured, **stated})


class Tagged(NamedTuple):
    """The evaluation splits after tagging."""

    trained: dict[str, Any]
    """settings.json of the run."""
    splits: dict[str, TaggedSplit]
    hashes: dict[str, dict[str, str]]
    """``evaluation_hashes`` of the splits."""
    precision: str
    """Arithmetic of the encoder's matrix products."""


def tag_splits(
    evaluate: Evaluate,
    device: torch.device,
    folder: Path,
    posts: Path,
    context: Path,
    features: Sequence[Path],
    objects: Sequence[Path],
) -> Tagged:
    """Tags the splits with the model of a run folder."""
    import torch

    from ita.model.checkpoint import load_model
    from ita.model.dataset import load_corpus
    from ita.model.device import compute_dtype
    from ita.model.evaluation import tag_split

    tagger, encoder, trained = load_model(folder)
    check_features(trained, features, objects)
    width = (trained.get("regions") or {}).get("width", 0)
    corpus = load_corpus(posts, context, features, evaluate.splits, objects, width)
    if corpus.features:
        check_width(trained, features, corpus.features.width)
        tagger.set_region_features(torch.from_numpy(corpus.features.vectors))
    tagger.to(device)
    dtype = compute_dtype(device, evaluate.precision, tagger.encoder.config.hidden_size)
    splits: dict[str, TaggedSplit] = {
        split: tag_split(tagger, encoder, trained["tags"], corpus, split, evaluate, device, dtype)
        for split in evaluate.splits
    }
    hashes = evaluation_hashes(corpus.posts, corpus.contexts, corpus.features, evaluate.splits)
    return Tagged(trained, splits, hashes, str(dtype).removeprefix("torch."))


def model_record(trained: Mapping[str, Any], context: Path) -> dict[str, Any]:
    """The models behind a score: pretrained encoders, and what made the visual context and the regions."""
    encoders = trained.get("encoder_models") or [{"model": trained["settings"]["encoder"]["model"]}]
    regions = (trained.get("regions") or {}).get("engine")
    record = {"encoders": encoders, "context": parquet.metadata(context).get("made_by"), "regions": regions}
    return {name: value for name, value in record.items() if value}


def check_features(trained: Mapping[str, Any], features: Sequence[Path], objects: Sequence[Path]) -> None:
    """Raises UserError when region features or boxes are missing or superfluous for a model of such a settings.json."""
    regions = trained.get("regions")
    if regions and not features:
        raise UserError(f"the model reads regions of the detector '{regions['detector']}': give its --features")
    if features and not regions:
        raise UserError("--features are given, but the model was trained without regions: leave them out")
    boxes = bool(trained["settings"]["system"].get("region_boxes"))
    if bool(objects) != boxes:
        raise UserError(
            "the model reads the boxes of regions: give the shards of their --objects"
            if boxes
            else "--objects are given, but the model was trained without boxes: leave them out"
        )


def check_width(trained: Mapping[str, Any], features: Sequence[Path], width: int) -> None:
    """Raises UserError when region features are of another width than those that the model was trained on."""
    regions = trained["regions"]
    if width != regions["width"]:
        raise UserError(
            f"{features[0]}: regions of {width} numbers, expected {regions['width']}; the model was trained on "
            f"those of the detector '{regions['detector']}'"
        )


def split_scores(tagged: TaggedSplit) -> dict[str, dict[str, Any]]:
    """Scores and speed of each view of a split."""
    gold = [post["tags"] for post in tagged.posts]
    if tagged.distance is None:  # the views are the same
        return dict.fromkeys(tagged.views, view_scores(gold, tagged.views["t"]))
    return {name: view_scores(gold, view) for name, view in tagged.views.items()}


def view_scores(gold: Sequence[Sequence[str]], view: TaggedView) -> dict[str, Any]:
    """Scores and speed of one view; where every subword has a label also the scores of UMT's evaluator."""
    labels = [from_bioes(prediction.raw_tags) for prediction in view.predictions if prediction.raw_tags is not None]
    return {
        **report(gold, [prediction.tags for prediction in view.predictions]),
        **({"upstream": upstream_scores(gold, labels)} if labels else {}),
        "seconds": round(view.seconds, 3),
        "words_per_second": round(sum(map(len, gold)) / view.seconds, 1),
        "words_truncated": view.truncated,
    }


def score_record(splits: Mapping[str, TaggedSplit]) -> dict[str, Any]:
    """Scores of each view, and the distance between the views, of each split."""
    return {
        "scores": {split: split_scores(tagged) for split, tagged in splits.items()},
        "representation_distance": {split: tagged.distance for split, tagged in splits.items()},
    }


def prediction_rows(splits: Mapping[str, TaggedSplit]) -> list[dict[str, Any]]:
    """Rows of predictions.parquet: of each split the posts in the T view, then in the I+T view."""
    return [
        {
            "post_id": post["post_id"],
            "split": split,
            "view": name,
            "tokens": post["tokens"],
            "gold": post["tags"],
            "predicted": prediction.tags,
            "spans": [
                {**span._asdict(), "posterior": posterior}
                for span, posterior in zip(prediction.spans, prediction.posteriors, strict=True)
            ],
        }
        for split, tagged in splits.items()
        for name, view in tagged.views.items()
        for post, prediction in zip(tagged.posts, view.predictions, strict=True)
    ]


OVERLAPS = ("test_overlap", "encoder_overlap")
"""Of a run: test posts of public data sets among its training posts, and among those of its encoder."""


def run_record(trained: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """Which run this is: names in the configuration, and the settings that matter to a reader of the scores."""
    settings = trained["settings"]
    encoder = {"key": run["encoder"], "model": settings["encoder"]["model"]}
    if further := settings.get("further_encoders"):
        encoder["further_models"] = [values["model"] for values in further]
    return {
        "dataset": run["dataset"],
        "encoder": encoder,
        "system": {"key": run["system"], **settings["system"]},
        "seed": trained["seed"],
        "label_version": trained["label_version"],
        **{name: trained[name] for name in OVERLAPS if trained.get(name)},
    }


def training_record(history: Path, trained: Mapping[str, Any]) -> dict[str, Any]:
    """What training took: epochs, the best one, updates, subwords read, seconds, peak memory in MB, device."""
    try:
        with open(history, newline="", encoding="utf-8") as file:
            epochs = list(csv.DictReader(file))
        seconds = sum(float(epoch["seconds"]) for epoch in epochs)
        counts = {name: sum(int(epoch[name]) for epoch in epochs) for name in ("updates", "subwords")}
        if not epochs:
            raise ValueError("no epoch")
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(f"{history}: is not the history of a training ({error}); train again") from None
    return {
        "epochs": len(epochs),
        "best_epoch": trained["best_epoch"],
        "averaged_epochs": trained["settings"]["train"].get("average_epochs", 1),
        **counts,
        "seconds": round(seconds, 2),
        "seconds_per_epoch": round(seconds / len(epochs), 2),
        "peak_memory_mb": trained["peak_memory_mb"],
        "device": trained["device"],
        "words_truncated": trained["words_truncated"],
        **{name: trained[name] for name in ("relation_posts",) if name in trained},
    }
