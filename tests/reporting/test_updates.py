"""What rows state of their training, and the comparison with the control of as many updates."""

import json

import pandas as pd
import pytest
from scipy import stats

from ita.reporting.runs import Runs
from ita.reporting.tables import f1, types
from ita.reporting.updates import short_count, training_cells, training_display
from tests.support import made_runs
from tests.support.made_reports import F1, table_inputs, table_settings
from tests.support.made_runs import CONTROL, DATASET, SYSTEMS, state_training

ENTRIES = SYSTEMS | CONTROL
UPDATES = {"crf": 100, "ita-all": 100, "ita-all-cva": 200, "ita-random": 100, "crf-updates": 200}
CONTROL_F1 = [79.0, 80.0, 82.0]
ROWS = ["crf", "crf-updates", "ita-all", "ita-all-cva"]


@pytest.fixture
def metrics(tmp_path, post_rows):
    """Runs with given F1, with the control."""
    paths = made_runs.write(tmp_path, post_rows, ENTRIES)
    made_runs.overwrite(paths, F1 | {"crf-updates": {"t": CONTROL_F1}})
    return paths


def build(metrics, systems=ROWS, **section):
    return f1.build(*table_inputs(metrics, table_settings(systems=systems, entries=ENTRIES, **section)))


def numbers(table):
    return table.numbers.set_index("system")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, ""),
        (7, "7"),
        (999, "999"),
        (1000, "1.0 k"),
        (999_949, "999.9 k"),
        (999_950, "1.0 M"),
        (1_234_567, "1.2 M"),
        (5e9, "5.0 G"),
    ],
)
def test_short_counts(count, text):
    assert short_count(count) == text


def test_every_row_states_updates_and_subwords(metrics):
    state_training(metrics, UPDATES)
    table = build(metrics)
    assert numbers(table)["updates"].to_dict() == {row: UPDATES[row] for row in ROWS}
    assert table.display["updates"].tolist() == ["100", "200", "100", "200"]
    assert set(table.display["subwords"]) == {"1.2 M"}
    assert any(note.startswith("updates: optimizer steps") for note in table.notes)


def test_metrics_of_an_older_version_leave_empty_cells(metrics):
    table = build(metrics)
    assert table.numbers[["updates", "subwords"]].isna().all(axis=None)
    assert not {"updates", "subwords", "vs crf-updates T"} & set(table.display)
    assert not [note for note in table.notes if "updates" in note]
    state_training(metrics[:1], UPDATES)
    runs = Runs(DATASET, metrics).of("bert", "crf")
    assert training_cells(runs) == {"updates": None, "subwords": None}, "one of three seeds states it"
    assert training_cells(runs[:1]) == {"updates": 100.0, "subwords": 1234567.0}
    assert training_display(pd.DataFrame({"updates": [None, 12345.0]})) == {"updates": ["", "12,345"]}


def test_rows_of_two_views_are_compared_with_the_control_on_text(metrics):
    state_training(metrics, UPDATES)
    table = build(metrics)
    rows = numbers(table)
    values = {view: F1["ita-all-cva"][view] for view in ("t", "it")}
    ps = {view: stats.ttest_ind(values[view], CONTROL_F1, equal_var=False).pvalue for view in values}
    for view, f1_of_view in values.items():
        row = rows.loc["ita-all-cva"]
        assert row[f"{view}_updates_gain"] == pytest.approx(sum(f1_of_view) / 3 - sum(CONTROL_F1) / 3)
        assert row[f"{view}_updates_p_welch"] == pytest.approx(ps[view])
        paired = stats.ttest_rel(f1_of_view, CONTROL_F1).pvalue
        assert row[f"{view}_updates_p_paired_t"] == pytest.approx(paired)
        assert row[f"{view}_updates_p_welch_holm"] == pytest.approx(max(ps[view], 2 * min(ps.values())))
        for test in ("bootstrap", "randomisation"):
            assert 0 <= row[f"{view}_updates_p_{test}"] <= 1
    assert rows.drop("ita-all-cva")[["t_updates_gain", "it_updates_gain"]].isna().all(axis=None), "one view only"
    assert table.display["vs crf-updates T"].tolist() == ["", "", "", "+1.17"]
    assert table.display["vs crf-updates I+T"].tolist() == ["", "", "", "+0.83"]
    (note,) = [note for note in table.notes if note.startswith("vs crf-updates")]
    assert "'BERT-CRF (updates)' on text" in note and "over these 2 comparisons" in note


def test_a_mark_against_the_control(metrics):
    state_training(metrics, UPDATES)
    made_runs.overwrite(metrics, {"ita-all-cva": {"t": [90, 91, 92], "it": [90, 91, 93]}})
    table = build(metrics)
    assert numbers(table).loc["ita-all-cva", "t_updates_mark"] == "‡"
    assert table.display["vs crf-updates T"].tolist()[-1] == "+10.67‡"


def test_the_two_families_of_comparisons_are_corrected_apart(metrics):
    alone = build(metrics).numbers["it_p_welch_holm"].dropna().tolist()
    state_training(metrics, UPDATES)
    assert build(metrics).numbers["it_p_welch_holm"].dropna().tolist() == alone


def test_other_numbers_of_updates_are_not_compared(metrics):
    state_training(metrics, UPDATES | {"crf-updates": 199})
    table = build(metrics)
    assert table.numbers[["t_updates_gain", "it_updates_gain"]].isna().all(axis=None)
    assert "ITA-All+CVA: not compared with 'BERT-CRF (updates)', which was trained with another number of updates." in (
        table.notes
    )


def test_a_baseline_of_fewer_updates_is_named(metrics):
    state_training(metrics, UPDATES)
    (note,) = [note for note in build(metrics).notes if "more updates than" in note]
    assert note.startswith("BERT-CRF (updates); ITA-All+CVA: trained with more updates than BERT-CRF, ")
    assert note.endswith("; vs crf-updates compares with a system of as many.")
    state_training(metrics, dict.fromkeys(UPDATES, 100))
    assert not [note for note in build(metrics).notes if "more updates than" in note]


def test_a_table_without_the_control(metrics):
    state_training(metrics, UPDATES)
    without = build(metrics, updates_control=None)
    assert "vs crf-updates T" not in without.display
    (note,) = [note for note in without.notes if "more updates than" in note]
    assert note.endswith("longer training alone.")


def test_notes_of_systems_and_why_one_seed_has_no_marks(tmp_path, post_rows):
    entries = {**ENTRIES, "ita-all": {**SYSTEMS["ita-all"], "note": "reads everything."}}
    metrics = made_runs.write(tmp_path, post_rows, entries, seeds=(1,))
    settings = table_settings(systems=ROWS, entries=entries)
    notes = f1.build(*table_inputs(metrics, settings)).notes
    assert "ITA-All: reads everything." in notes
    assert [note.startswith("Rows of one seed bear no mark") for note in notes].count(True) == 1
    metrics += made_runs.write(tmp_path / "second", post_rows, entries, seeds=(2,))
    notes = f1.build(*table_inputs(metrics, settings)).notes
    assert not any(note.startswith("Rows of one seed") for note in notes)


def test_training_is_read_from_metrics_without_it(metrics):
    content = json.loads(metrics[0].read_text())
    metrics[0].write_text(json.dumps({**content, "training": None}))
    assert Runs(DATASET, metrics[:1]).all[0].training("updates") is None


def test_a_kind_that_does_not_compare_with_the_control_says_nothing_of_it(metrics):
    state_training(metrics, UPDATES)
    settings = table_settings("types", ["crf", "crf-updates", "ita-all-cva"], entries=ENTRIES)
    notes = types.build(*table_inputs(metrics, settings)).notes
    assert not [note for note in notes if "not compared" in note or note.startswith("vs crf-updates")]
    (longer,) = [note for note in notes if "more updates than" in note]
    assert longer.startswith("BERT-CRF (updates); ITA-All+CVA: ")
