"""The model card of a run folder, README.md, made of its own files: what the model is, its scores, how to load it.

The front matter is that of the Hugging Face Hub, scores as ``model-index``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from ita.config.sections import RUN_ENCODER
from ita.data import VIEWS
from ita.reporting.escape import escape_markdown

SCORERS = {"default": "seqeval, default mode (the paper's)", "strict": "seqeval, strict IOB2"}
"""Scorers of metrics.json -> their names."""
SCORES = ("precision", "recall", "f1")
SPLIT = "test"
LOCAL = (".", "/", "~", "results/", "package:")
"""How names of models begin that are no hub ids."""


def model_card(settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The card in Markdown.

    Args:
        settings: settings.json of the run.
        metrics: metrics.json of the run, with the ``licence`` of the data where it is stated.
    """
    front = yaml.safe_dump(front_matter(settings, metrics), sort_keys=False, allow_unicode=True, width=1000)
    sections = [introduction(metrics), *score_section(metrics), *data_section(metrics), *use_section(settings)]
    return f"---\n{front}---\n\n" + "\n".join([*sections, *loading_section(), *training_section(settings, metrics)])


def name_of(metrics: Mapping[str, Any]) -> str:
    """Name of the model: system, encoder and data set."""
    system, encoder = metrics["system"], metrics["encoder"]
    name = (system.get("name") or system.get("key") or "tagger").replace(RUN_ENCODER, str(encoder.get("key")))
    return f"{name}, {encoder.get('key') or encoder['model']}, {metrics['dataset'] or 'unnamed data'}"


def front_matter(settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What the hub reads of the card."""
    models = [metrics["encoder"]["model"], *metrics["encoder"].get("further_models", [])]
    bases = [model for model in models if not model.startswith(LOCAL)]
    tags = ["named-entity-recognition", "ita"]
    if settings.get("regions") or any(view != "t" for view in metrics["system"].get("views", [])):
        tags.append("multimodal")
    return {
        "library_name": "ita",
        "pipeline_tag": "token-classification",
        "tags": tags,
        **({"base_model": bases} if bases else {}),
        "metrics": list(SCORES),
        "model-index": [{"name": name_of(metrics), "results": list(index_results(metrics))}],
    }


def index_results(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Results of the ``model-index``: one for each split and view."""
    dataset = metrics["dataset"] or "unnamed data"
    for split, views in metrics["scores"].items():
        for view, scores in views.items():
            values = [
                {
                    "type": score,
                    "name": f"{score} ({SCORERS[scorer]})",
                    "value": round(scores[scorer][score], 2),
                    "args": {"view": VIEWS[view], "scorer": scorer},
                }
                for scorer in SCORERS
                for score in SCORES
            ]
            yield {
                "task": {"type": "token-classification", "name": f"Named-entity recognition, view {VIEWS[view]}"},
                "dataset": {
                    "name": f"{dataset}, {split}, view {VIEWS[view]}",
                    "type": dataset,
                    "split": split,
                    **({"revision": str(metrics["label_version"])} if metrics.get("label_version") else {}),
                },
                "metrics": values,
            }


def introduction(metrics: Mapping[str, Any]) -> str:
    """What the model is."""
    views = " and ".join(VIEWS[view] for view in metrics["system"].get("views", ["t", "it"]))
    return (
        f"# {escape_markdown(name_of(metrics))}\n\n"
        "A tagger of named entities in posts with images: an encoder with a linear-chain CRF, "
        f"trained on the view{'s' if ' and ' in views else ''} {views} (T: the text; I+T: text of the image and the "
        "text), by [ITA](https://arxiv.org/abs/2112.06482) (Wang et al., NAACL 2022).\n"
    )


def score_section(metrics: Mapping[str, Any]) -> list[str]:
    """Scores of both scorers, of both views, and of each type."""
    rows = [
        "## Scores",
        "",
        "| split | view | scorer | precision | recall | F1 | entities |",
        "|---|---|---|---|---|---|---|",
    ]
    for split, views in metrics["scores"].items():
        for view, scores in views.items():
            for scorer, name in SCORERS.items():
                values = " | ".join(f"{scores[scorer][score]:.2f}" for score in SCORES)
                rows.append(f"| {split} | {VIEWS[view]} | {name} | {values} | {scores[scorer]['support']} |")
    rows += [
        "",
        f"These are of one seed, {metrics['seed']}; the tables of the project have mean and deviation over seeds.",
        "",
    ]
    by_view = metrics["scores"].get(SPLIT, {})
    types = sorted({name for scores in by_view.values() for name in scores["default"]["types"]})
    if types:
        rows += [f"| {SPLIT} F1 by type | {' | '.join(map(escape_markdown, types))} |", "|---|" + "---|" * len(types)]
    for view, scores in by_view.items():
        cells = [scores["default"]["types"].get(name, {}).get("f1") for name in types]
        rows.append(f"| {VIEWS[view]} | {' | '.join('' if cell is None else f'{cell:.2f}' for cell in cells)} |")
    return [*rows, ""]


def data_section(metrics: Mapping[str, Any]) -> list[str]:
    """Data set, label version and licence."""
    lines = [
        "## Data",
        "",
        f"- Data set: {escape_markdown(metrics['dataset'] or 'not named')}",
        f"- Label version: {escape_markdown(str(metrics.get('label_version') or 'unknown'))}",
        f"- SHA-256 of the evaluated posts: `{metrics['inputs']['posts']}`",
        f"- Licence of the data: {escape_markdown(metrics.get('licence') or 'not stated; ask those who give it out')}",
    ]
    return [*lines, ""]


def use_section(settings: Mapping[str, Any]) -> list[str]:
    """What the model is for, and what not."""
    types = ", ".join(map(escape_markdown, sorted({tag[2:] for tag in settings["tags"] if "-" in tag})))
    return [
        "## Intended use",
        "",
        f"Finding entities of the types {types} in short posts like those of its data, with or without an "
        "image. Other languages, long documents and formal text were not evaluated. Posts name people: its output must "
        "not be used to profile, rank or monitor them, and no decision about a person may rest on it alone.",
        "",
    ]


def loading_section() -> list[str]:
    """How to load the model."""
    return [
        "## How to load",
        "",
        "```python",
        "from ita import Tagger",
        "",
        'tagger = Tagger.from_pretrained("FOLDER_OR_HUB_ID")',
        'tagger.predict([{"text": "a post", "image": "photo.jpg"}])[0].to_dict()',
        "```",
        "",
        "or `ita predict FOLDER_OR_HUB_ID posts.csv`. `AutoModel` and `AutoTokenizer` of transformers open the encoder "
        "alone, with the trained weights (its pooler, where it has one, was not trained; a T5 is opened by "
        "`AutoModelForTextEncoding`).",
        "",
    ]


def training_section(settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    """How the model was trained, and by which code."""
    training, versions = metrics["training"], settings["versions"]
    encoders = escape_markdown(", ".join([metrics["encoder"]["model"], *metrics["encoder"].get("further_models", [])]))
    averaged = training.get("averaged_epochs", 1)
    kept = (
        f"the mean of the weights after the last {averaged}"
        if averaged > 1
        else f"the best on the dev posts: {training['best_epoch']}"
    )
    lines = [
        "## Training",
        "",
        f"- Encoder: {encoders}; context: {metrics['system'].get('context', 'none')}; alignment: "
        f"{metrics['system'].get('alignment') or 'none'}; regions: {metrics['system'].get('regions') or 'none'}",
        f"- Seed {metrics['seed']}, {training['epochs']} epochs ({kept}), "
        f"{training['updates']} updates, {training['seconds']} s on {training['device']}, {settings['precision']}",
        f"- Code: ita {versions['ita']}, commit {settings.get('commit') or 'unknown'}; torch {versions.get('torch')}, "
        f"transformers {versions.get('transformers')}",
        "- All settings are in settings.json, the learning curve is in history.csv.",
    ]
    return [*lines, ""]
