"""Cases from runs in which it is known where image text helped."""

import re

import pytest

from ita.config import Cases
from ita.errors import UserError
from ita.io import parquet
from ita.reporting.cases import find_cases, read_compared_runs
from tests.support.made_cases import GOLD, TOKENS, WRONG, write_predictions
from tests.support.made_runs import DATASET


def compared(paths, **section):
    return read_compared_runs(paths, DATASET, Cases(**section))


def test_cases_are_those_of_most_seeds(tmp_path):
    runs = compared(write_predictions(tmp_path))
    assert (runs.seeds, len(runs.posts), runs.label_version) == ([1, 2, 3], 7, "v1")
    rows = find_cases(runs)
    assert [(row["kind"], row["post_id"], row["agreeing"], row["shown_seed"]) for row in rows] == [
        ("helped", "p1", 3, 1),
        ("misled", "p4", 3, 1),
        ("helped", "p0", 2, 2),
        ("helped", "p2", 2, 1),
        ("misled", "p5", 2, 1),
    ]
    assert all(row["seeds"] == 3 and row["tokens"] == TOKENS and row["gold"] == GOLD for row in rows)
    assert (rows[0]["text_only"], rows[0]["image_text"], rows[0]["aligned"]) == (WRONG, GOLD, WRONG)
    assert (rows[1]["text_only"], rows[1]["image_text"], rows[1]["aligned"]) == (GOLD, WRONG, GOLD)


def test_the_order_of_the_files_does_not_matter(tmp_path):
    paths = write_predictions(tmp_path)
    assert find_cases(compared(list(reversed(paths)))) == find_cases(compared(paths))


def test_runs_of_other_systems_are_passed_over(tmp_path):
    paths = write_predictions(tmp_path)
    runs = compared(paths, aligned="ita-all")
    assert len(runs.files) == 6
    assert runs.files["bert/crf/seed1/predictions.parquet"] == paths[0]
    assert [row["post_id"] for row in find_cases(runs)] == ["p1", "p0", "p2"], "one system cannot mislead and not"


@pytest.mark.parametrize(
    ("inputs", "section", "message"),
    [
        ({"labels": {"crf": "v2"}}, {}, "different labels (v1, v2)"),
        ({"skip": ("ita-all", 2)}, {}, "ita-all has the seeds [1, 3], the three systems together [1, 2, 3]"),
        ({}, {"encoder": "xlmr"}, "no run of crf with xlmr: expected its predictions among --predictions"),
        ({"splits": ["dev"]}, {}, "crf, seed 1: no test posts; add the split to evaluate.splits"),
        ({"dataset": "twitter15"}, {}, "a run on 'twitter15', expected runs on 'twitter17'"),
    ],
)
def test_runs_that_do_not_fit_are_refused(tmp_path, inputs, section, message):
    paths = write_predictions(tmp_path, **inputs)
    with pytest.raises(UserError, match=re.escape(message)):
        compared(paths, **section)


def test_runs_on_other_posts_are_refused(tmp_path):
    paths = write_predictions(tmp_path)
    rows, metadata = parquet.rows("predictions", paths[-1]), parquet.metadata(paths[-1])
    parquet.write("predictions", rows[:-2], paths[-1], metadata)
    with pytest.raises(UserError, match="ita-all-cva, seed 3: evaluated on different posts"):
        compared(paths)
