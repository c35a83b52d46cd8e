"""Runs are found by what their files say, and refused where they do not say it."""

import json
import re
import shutil

import pytest

from ita.data.metrics import TASK_VERSIONS
from ita.errors import UserError
from ita.io import parquet
from ita.reporting.evaluations import unchecked_sentence
from ita.reporting.runs import RunId, Runs, read_predictions_id
from tests.support import made_runs
from tests.support.made_runs import DATASET, edit, predictions_of


def test_metrics_and_predictions_meet_by_their_identity(tmp_path, metrics):
    moved = []
    for number, path in enumerate(reversed(predictions_of(metrics))):
        moved.append(tmp_path / f"{number}.parquet")
        shutil.move(path, moved[-1])
    runs = Runs(DATASET, metrics, moved)
    (run,) = [run for run in runs.of("bert", "ita-all") if run.seed == 2]
    assert run.id == RunId(DATASET, "bert", "ita-all", 2)
    assert read_predictions_id(run.predictions_file) == run.id
    assert made_runs.f1_by_hand(
        [
            {"gold": gold, "predicted": predicted}
            for gold, predicted in zip(
                run.predictions("test", "it").gold, run.predictions("test", "it").predicted, strict=True
            )
        ]
    ) == pytest.approx(run.scores("test", "it")["f1"])


def test_metadata_and_readable_names_of_the_files(metrics):
    runs = Runs(DATASET, metrics, predictions_of(metrics))
    evaluation = runs.metadata["evaluation"]["test"]
    assert evaluation["it"].keys() == {"none", "all", "random"} and evaluation["it"]["none"] == evaluation["t"]
    assert len({evaluation["t"], *evaluation["it"].values()}) == 3
    assert {name: value for name, value in runs.metadata.items() if name != "evaluation"} == {
        "seeds": [1, 2, 3],
        "label_version": "v1",
        "models": {"bert": "bert-base-cased"},
        "run_commits": [],
        "task_versions": TASK_VERSIONS,
        "runs": len(metrics),
    }
    assert len(runs.files) == 2 * len(metrics)
    assert runs.files["bert/crf/seed1/metrics.json"] == metrics[0]
    assert runs.files["bert/crf/seed1/predictions.parquet"] == metrics[0].with_name("predictions.parquet")
    assert [run.seed for run in runs.of("bert", "crf")] == [1, 2, 3]


def test_models_of_a_system_that_names_its_encoders(metrics):
    """They say nothing about the encoder of its block."""
    for path in metrics:
        metric = json.loads(path.read_text())
        if metric["system"]["key"] == "ita-all":
            encoder = {**metric["encoder"], "model": "a", "further_models": ["b"]}
            edit(path, encoder=encoder, system={**metric["system"], "encoders": ["{encoder}", "vinvl"]})
    metadata = Runs(DATASET, metrics, predictions_of(metrics)).metadata
    assert metadata["models"] == {"bert": "bert-base-cased"}
    assert metadata["system_models"] == {"ita-all": ["a", "b"]}


def refused(metrics, predictions, *words):
    with pytest.raises(UserError) as error:
        Runs(DATASET, metrics, predictions)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "values",
    [{"encoder": "bert-base-cased"}, {"system": {"views": ["t"]}}, {"dataset": None}, {"seed": None}],
)
def test_metrics_that_do_not_say_which_run_they_are_of(metrics, values):
    edit(metrics[0], **values)
    refused(
        metrics, (), str(metrics[0]), "does not say of which data set, encoder, system and seed", "run evaluate again"
    )


def test_predictions_that_do_not_say_which_run_they_are_of(metrics):
    path = metrics[0].with_name("predictions.parquet")
    parquet.write("predictions", parquet.rows("predictions", path), path, {"seed": 1})
    refused(metrics, [path], str(path), "does not say", "run evaluate again")


def test_runs_that_do_not_fit_together(tmp_path, metrics):
    edit(metrics[0], dataset="twitter15")
    refused(metrics, (), str(metrics[0]), "a run on 'twitter15', expected runs on 'twitter17'")
    edit(metrics[0], dataset=DATASET, label_version="v2")
    refused(metrics, (), "different labels (v1, v2)")
    edit(metrics[0], label_version="v1", seed=2)
    refused(metrics, (), str(metrics[0]), str(metrics[1]), "bert/crf/seed2")


def test_files_of_another_kind(tmp_path, metrics):
    refused([tmp_path / "none.json"], (), "none.json", "the metrics of a run")
    (tmp_path / "broken.json").write_text("{")
    refused([tmp_path / "broken.json"], (), "broken.json", "not JSON")
    edit(metrics[0], scores=None)
    refused(metrics, (), str(metrics[0]), "scores missing")
    refused([], metrics[:1], str(metrics[0]), "not a readable Parquet file")
    refused([], [tmp_path / "none.parquet"], "none.parquet: no such file")


def test_what_a_run_does_not_have(metrics):
    runs = Runs(DATASET, metrics)
    with pytest.raises(UserError, match="no run of nobody with bert: expected its metrics.json among --metrics"):
        runs.of("bert", "nobody")
    (run,) = [run for run in runs.of("bert", "crf") if run.seed == 1]
    with pytest.raises(UserError, match="no scores on the split 'dev'; add it to evaluate.splits"):
        run.scores("dev", "t")
    missing = re.escape("bert/crf/seed1: predictions.parquet of this run is missing among --predictions")
    with pytest.raises(UserError, match=missing):
        run.predictions("test", "t")


def test_old_files_are_told_apart_from_broken_ones(metrics):
    """What an older version wrote: the model's name as encoder, the settings as system."""
    old = {"seed": 1, "label_version": "v1", "scores": {}, "encoder": "bert-base-cased", "system": {"views": ["t"]}}
    metrics[0].write_text(json.dumps(old))
    refused(metrics[:1], (), "as files of this version do; run evaluate again")


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ("t", "different posts, words or labels (split test, view T)"),
        ("it", "image texts or regions (split test, view I+T, context all)"),
    ],
)
def test_runs_on_other_inputs_cannot_stand_in_one_table(metrics, view, words):
    """Another hash in I+T is refused among runs of one context, whatever their system."""
    run = next(path for path in metrics if json.loads(path.read_text())["system"]["key"] == "ita-all-cva")
    hashes = json.loads(run.read_text())["evaluation"]["test"]
    edit(run, evaluation={"test": {**hashes, view: "0" * 64}})
    refused(metrics, (), str(run), words, "evaluate both runs again")


def test_runs_by_other_scorers_cannot_stand_in_one_table(metrics):
    edit(metrics[-1], task_versions={**TASK_VERSIONS, "strict": 2})
    refused(metrics, (), str(metrics[-1]), "different versions of 'strict'")


def test_runs_of_earlier_versions_are_counted(metrics):
    for path in metrics[:2]:
        edit(path, evaluation=None, task_versions=None)
    metadata = Runs(DATASET, metrics).metadata
    assert metadata["unchecked_runs"] == ["bert/crf/seed1", "bert/crf/seed2"]
    (sentence,) = unchecked_sentence(metadata)
    assert sentence.startswith(f"2 of {len(metrics)} runs")
