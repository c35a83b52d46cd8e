"""Comparisons of systems whose runs share some seeds, all, or none."""

import pytest

from ita.errors import UserError
from ita.io import parquet
from ita.reporting.comparisons import Comparisons, ViewResults, add_corrected_p, significance_mark
from ita.reporting.runs import Runs
from ita.significance.counts import micro_f1
from tests.support.made_runs import DATASET, predictions_of


def results(metrics, system, seeds=(1, 2, 3)):
    runs = Runs(DATASET, metrics, predictions_of(metrics)).of("bert", system)
    view = "t" if system == "crf" else "it"
    return ViewResults([run for run in runs if run.seed in seeds], "test", view)


def test_counts_give_the_f1_of_every_seed_and_types_add_up(metrics):
    image = results(metrics, "ita-all")
    assert image.counts().shape == (3, 60, 3)
    assert micro_f1(image.counts()).tolist() == pytest.approx(image.f1())
    assert (image.counts("PER") + image.counts("LOC") == image.counts()).all()


def test_only_shared_seeds_are_paired(metrics):
    baseline = results(metrics, "crf")
    comparisons = Comparisons(200, 1)
    part = comparisons.compare(baseline, results(metrics, "ita-all", (2, 3)))
    assert len(part["p_bootstrap_seeds"].split()) == 2
    same = comparisons.compare(results(metrics, "crf", (2, 3)), results(metrics, "ita-all", (2, 3)))
    assert part["p_bootstrap"] == same["p_bootstrap"]
    assert part["p_paired_t"] == same["p_paired_t"]
    none = comparisons.compare(results(metrics, "crf", (1,)), results(metrics, "ita-all", (2, 3)))
    assert none.keys() == {"gain", "p_welch", "p_paired_t"}
    assert none["p_paired_t"] is None
    assert len(comparisons.standard_errors) == 2


def test_runs_on_other_posts_are_refused(metrics):
    path = metrics[0].with_name("predictions.parquet")
    rows, metadata = parquet.rows("predictions", path), parquet.metadata(path)
    parquet.write("predictions", rows[1:], path, metadata)
    with pytest.raises(UserError, match="evaluated on different posts than its other seeds"):
        results(metrics, "crf").counts()
    with pytest.raises(UserError, match="evaluated on different posts than .*; evaluate both again"):
        Comparisons(100, 1).compare(results(metrics, "crf", (1,)), results(metrics, "ita-all", (1,)))


def test_marks_by_corrected_and_uncorrected_p():
    rows = [{"p_welch": 0.01}, {"p_welch": 0.04}, {"p_welch": 0.5}, {}]
    add_corrected_p(rows, [""], 0.05)
    assert [row["p_welch_holm"] for row in rows] == [pytest.approx(0.03), pytest.approx(0.08), 0.5, None]
    assert [row["mark"] for row in rows] == ["‡", "†", "", ""]
    assert rows[0]["p_bootstrap_holm"] is None, "not tested"
    assert significance_mark(0.05, 0.05, 0.05) == "", "strictly below"
