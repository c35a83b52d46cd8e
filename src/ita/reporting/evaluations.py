"""What runs state of their evaluation: runs of one table must have been scored in one way on the same inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ita.data import VIEWS
from ita.errors import UserError

Metrics = Mapping[str, Any]
"""Content of a metrics.json."""

UNCHECKED = (
    "{unchecked} of {runs} runs were evaluated by an earlier version, which states no hash of what it read: that they "
    "were scored on the same posts and image texts was not checked (ita verify checks what can be)."
)
TRAINING = ("updates", "subwords")
INPUTS = {"t": "posts, words or labels", "it": "posts, words, labels, image texts or regions"}


def inputs_of(system: Mapping[str, Any]) -> str:
    """What a system reads of images beside the text, as a readable name: context, regions, and their boxes."""
    regions = system.get("regions")
    boxes = " with boxes" if system.get("region_boxes") else ""
    return str(system.get("context") or "none") + (f" + regions of {regions}{boxes}" if regions else "")


def check_evaluations(runs: Mapping[Path, Metrics]) -> None:
    """Raises UserError for runs that cannot stand in one table.

    The text is the same for all runs of a data set, so all hashes of the view T must agree; those of I+T must agree
    among runs that read the same of the images, whatever their system, encoder and seed. Scorers must be of one
    version. A run that states none of this is passed over.

    Args:
        runs: metrics.json -> its content.
    """
    first_stated: dict[tuple[str, ...], tuple[str, Path]] = {}
    for file, metrics in runs.items():
        for subject, value, problem in _stated(metrics):
            stated, first = first_stated.setdefault(subject, (value, file))
            if stated != value:
                raise UserError(
                    f"{first} and {file}: {problem} ({stated[:12]} and {value[:12]}), so their scores cannot stand in "
                    "one table; evaluate both runs again"
                )


def _stated(metrics: Metrics) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """What must agree between runs: its subject, the value, and what is wrong where it does not."""
    for scorer, version in (metrics.get("task_versions") or {}).items():
        yield ("scorer", scorer), str(version), f"scored by different versions of '{scorer}'"
    for split, views in (metrics.get("evaluation") or {}).items():
        for view, value in views.items():
            inputs = inputs_of(metrics["system"]) if view == "it" else ""
            reading = f", context {inputs}" if inputs else ""
            problem = f"evaluated on different {INPUTS[view]} (split {split}, view {VIEWS[view]}{reading})"
            yield ("inputs", split, view, inputs), value, problem


def evaluation_metadata(runs: Mapping[str, Metrics]) -> dict[str, Any]:
    """What the JSON of a table or figure says of the evaluation of its runs, each value once; nothing without runs.

    Args:
        runs: name of a run -> content of its metrics.json.

    Returns:
        ``evaluation``: hashes of the inputs by split and view, in I+T by what is read; ``task_versions`` of the
        scorers; ``run_models``: encoders by encoder, contexts and regions by what is read; ``run_environments``: the
        machines; ``training``: updates and subwords of each run; ``runs``: how many; ``unchecked_runs``: those that
        state no hashes.
    """
    evaluation: dict[str, Any] = {}
    models: dict[str, Any] = {}
    environments: list[Any] = []
    for metrics in runs.values():
        inputs = inputs_of(metrics["system"])
        for split, views in (metrics.get("evaluation") or {}).items():
            of_split = evaluation.setdefault(split, {"t": views["t"], "it": {}})
            of_split["it"][inputs] = views["it"]
        for part, model in (metrics.get("models") or {}).items():
            models.setdefault(part, {})[metrics["encoder"]["key"] if part == "encoders" else inputs] = model
        if (environment := metrics.get("environment")) and environment not in environments:
            environments.append(environment)
    counts = {name: metrics.get("training") or {} for name, metrics in runs.items()}
    stated = {
        "task_versions": next((metrics["task_versions"] for metrics in runs.values() if "task_versions" in metrics), 0),
        "evaluation": evaluation,
        "run_models": models,
        "run_environments": environments,
        "training": {name: {key: of_run.get(key) for key in TRAINING} for name, of_run in counts.items() if of_run},
        "runs": len(runs),
        "unchecked_runs": [name for name, metrics in runs.items() if "evaluation" not in metrics],
    }
    return {name: value for name, value in stated.items() if value}


def unchecked_sentence(metadata: Mapping[str, Any]) -> list[str]:
    """That some runs could not be compared by their hashes; nothing where all could."""
    unchecked = metadata.get("unchecked_runs") or []
    return [UNCHECKED.format(unchecked=len(unchecked), runs=metadata["runs"])] if unchecked else []
