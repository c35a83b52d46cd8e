"""Table 3: systems with and without labels of all subwords, by both scorers."""

import statistics

import pandas as pd
import pytest
from scipy import stats

from ita.reporting.tables import labels
from tests.support import made_runs
from tests.support.made_reports import table_inputs, table_settings
from tests.support.made_runs import LABEL_SCHEMES

F1 = {
    "crf": {"t": [80.0, 81.0, 82.0], "it": [0.0, 0.0, 0.0]},
    "crf-x": {"t": [70.0, 71.0, 73.0], "it": [0.0, 0.0, 0.0]},
    "umt-words": {"t": [0.0, 0.0, 0.0], "it": [75.0, 76.0, 77.0]},
    "umt": {"t": [0.0, 0.0, 0.0], "it": [75.5, 76.0, 76.0]},
}


@pytest.fixture
def metrics(tmp_path, post_rows):
    """Runs with given F1."""
    paths = made_runs.write(tmp_path, post_rows, LABEL_SCHEMES)
    made_runs.overwrite(paths, F1)
    return paths


def build(metrics, systems=LABEL_SCHEMES, entries=LABEL_SCHEMES, **section):
    settings = table_settings("labels", systems, "table3", entries=entries, **section)
    return labels.build(*table_inputs(metrics, settings))


def rows(table):
    return table.numbers.set_index("system")


def test_f1_in_the_view_trained_on_by_every_scorer(metrics):
    numbers = rows(build(metrics))
    assert numbers["view"].tolist() == ["T", "T", "I+T", "I+T"]
    for system in LABEL_SCHEMES:
        values = F1[system]["t" if system.startswith("crf") else "it"]
        assert numbers.loc[system, "mean"] == pytest.approx(statistics.mean(values))
        assert numbers.loc[system, "std"] == pytest.approx(statistics.stdev(values))
        assert numbers.loc[system, "strict_mean"] == pytest.approx(statistics.mean(values) - 1)
    assert numbers["upstream_mean"].notna().tolist() == [False, True, False, True]
    assert numbers["label_scheme"].tolist() == ["first_subword", "x_subword"] * 2
    assert numbers["tag_format"].tolist() == ["bioes", "iob2", "iob2", "iob2"]


def test_the_scorer_of_upstream_stands_beside_ours(metrics):
    table = build(metrics)
    expected = [
        statistics.mean(run.scores("test", "it", "upstream")["f1"] for run in runs.of("bert", "umt"))
        for runs in [table_inputs(metrics, table_settings("labels", ["umt"], "table3"))[0]]
    ]
    assert rows(table).loc["umt", "upstream_mean"] == pytest.approx(expected[0])
    assert [bool(cell) for cell in table.display["upstream F1"]] == [False, True, False, True]
    assert any("UMT's code" in note for note in table.notes)


def test_a_system_without_x_labels_is_compared_with_the_same_with_them(metrics):
    table = build(metrics)
    numbers = rows(table)
    assert numbers["x_system"].fillna("").tolist() == ["crf-x", "", "umt", ""]
    for system, x_system, view in (("crf", "crf-x", "t"), ("umt-words", "umt", "it")):
        ours, theirs = F1[system][view], F1[x_system][view]
        assert numbers.loc[system, "gain"] == pytest.approx(statistics.mean(ours) - statistics.mean(theirs))
        p = stats.ttest_ind(ours, theirs, equal_var=False).pvalue
        assert numbers.loc[system, "p_welch"] == pytest.approx(p)
        assert pd.isna(numbers.loc[x_system, "gain"])
    assert numbers["mark"].fillna("").tolist() == ["‡", "", "", ""], "BERT-CRF rises, UMT does not"
    assert table.display["vs X labels"].tolist() == ["+9.67‡", "", "+0.17", ""]
    assert "Holm over the 2 comparisons" in " ".join(table.notes)


def test_without_a_partner_nothing_is_compared(metrics):
    table = build(metrics, ["crf", "umt"])
    assert table.numbers["gain"].isna().all() and "vs X labels" not in table.display
    other = {**LABEL_SCHEMES, "umt-words": {**LABEL_SCHEMES["umt-words"], "regions": "vinvl"}}
    assert pd.isna(rows(build(metrics, entries=other)).loc["umt-words", "gain"]), "they differ in more than labels"


def test_the_papers_finding_stands_below(metrics):
    notes = build(metrics).notes
    (finding,) = [note for note in notes if note.startswith("The paper's values are not at hand as text")]
    assert "BERT-CRF scores clearly higher and UMT does not" in finding
    assert not [note for note in notes if "more updates" in note], "nothing is compared with a baseline"


def test_one_seed_has_no_mark_and_a_note_says_why(tmp_path, post_rows):
    table = build(made_runs.write(tmp_path, post_rows, LABEL_SCHEMES, seeds=(1,)))
    assert not table.numbers["mark"].any()
    assert any(note.startswith("Rows of one seed bear no mark") for note in table.notes)
