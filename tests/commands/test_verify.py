"""``ita verify``: results as they were made hold, and every kind of change is told with its place."""

import json
import shutil

import pytest

from ita.commands import verify
from ita.io import parquet
from ita.io.files import sha256
from tests.support import made_runs
from tests.support.made_results import make_displays, make_results, place, restate, rewrite, write_contexts

CRF, ALL = "runs/bert/crf/seed1", "runs/bert/ita-all/seed2"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results of a data set: six runs, a table, a figure, cases."""
    results, metrics = make_results(tmp_path_factory.mktemp("made"))
    make_displays(results, metrics, ("table1", "table5"))
    return results


@pytest.fixture
def results(made, tmp_path):
    """A copy to change."""
    return shutil.copytree(made, tmp_path / "twitter17")


@pytest.fixture
def told(results, capsys):
    """A function that verifies a part and gives the lines that say FAIL."""

    def told(part, code=1):
        assert verify.main([str(results / part)]) == code
        lines = capsys.readouterr().out.splitlines()
        failed = [line for line in lines if line.startswith("FAIL")]
        assert bool(failed) == bool(code), lines
        assert not any(str(results) in line for line in lines if "snakemake" in line), "targets, not paths"
        assert not any("--forcerun" in line for line in lines), "it would take the target for a rule"
        assert all(any(after.strip().startswith("->") for after in lines[lines.index(line) :]) for line in failed)
        return failed

    return told


def replaced(file, old, new):
    """Replaces a text once in a file."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_results_as_they_were_made_hold(made, capsys):
    assert verify.main([str(made)]) == 0
    output = capsys.readouterr().out
    assert "bert/ita-all-cva/seed2: names, labels and inputs agree" in output
    assert "table1: " in output and "numbers of 3 rows follow from the predictions of 6 runs" in output
    assert "numbers follow from 6 files of runs" in output and "cases follow from the predictions" in output
    assert output.splitlines()[-1] == "10 checks hold, 0 do not"
    assert verify.main([str(made / CRF), str(made / "table1.md"), str(made / "figure2.svg")]) == 0


@pytest.mark.parametrize("suffix", ["csv", "md", "tex", "html", "json"])
def test_a_digit_changed_by_hand_is_told_with_its_place(results, told, suffix):
    display = json.loads((results / "table1.json").read_text())["metadata"]["display"]
    cell = display["rows"][1][display["columns"].index("I+T")]
    mean = cell.partition(" ")[0]
    with open(results / "table1.csv") as file:
        header, *rows = file.read().splitlines()
    number = rows[1].split(",")[header.split(",").index("it_mean")]
    found = number if suffix == "csv" else mean
    wrong = found[:-1] + ("1" if found[-1] != "1" else "2")
    replaced(results / f"table1.{suffix}", found, wrong)
    first = told(f"table1.{suffix}")[0]
    assert f"table1.{suffix}" in first and wrong in first and found in first, first
    place_of = {"csv": "column it_mean", "json": "ITA-All, I+T), I+T"}.get(suffix, "line ")
    assert place_of in first, first


def test_a_digit_of_metrics_is_told_by_name(results, told):
    metrics = results / CRF / "metrics.json"
    content = json.loads(metrics.read_text())
    content["scores"]["test"]["it"]["strict"]["types"]["LOC"]["recall"] += 1
    metrics.write_text(json.dumps(content))
    assert "bert/crf/seed1, metrics.json: scores.test.it.strict.types.LOC.recall" in told(CRF)[0]
    content["scores"]["test"]["it"]["strict"]["types"]["LOC"]["recall"] -= 1
    content["representation_distance"]["test"] = 0.5
    metrics.write_text(json.dumps(content))
    assert "other result was changed" in told(CRF)[0], "a number that predictions do not give"


def test_a_changed_prediction_is_told(results, told):
    def change(row):
        if row["post_id"] == "test-3" and row["view"] == "t":
            row["predicted"] = ["O"] * len(row["predicted"])
            row["spans"] = []

    rewrite(results / CRF / "predictions.parquet", change=change)
    failed = told("table1.csv")
    assert any("predictions.parquet is not the file that metrics.json was written with" in line for line in failed)
    assert any("scores.test.t.default" in line for line in failed)
    assert any("row 1" in line and "column t_mean" in line for line in failed)
    rewrite(results / CRF / "predictions.parquet", change=lambda row: row.update(spans=[]))
    assert any("its predicted tags and its predicted spans differ" in line for line in told(CRF))


def test_a_swapped_context_table_is_told(results, told):
    rows = parquet.rows("posts", results / "posts.parquet")
    contexts = results / "contexts"
    write_contexts(results, rows, "all")
    assert told("runs/bert/ita-all", code=0) == [], "made again with the same words"
    write_contexts(results, rows, "other")
    (contexts / "other.parquet").replace(contexts / "all.parquet")
    for run in ("runs/bert/ita-all", "runs/bert/ita-all-cva"):
        assert all("contexts/all.parquet: holds other image texts of test" in line for line in told(run))
    told("runs/bert/crf", code=0)
    for name in ("metrics.json", "predictions.parquet"):  # an earlier version states no hash of the content
        assert (results / ALL / name).is_file()
    restate(results / ALL / "metrics.json", evaluation=None)
    assert "contexts/all.parquet is not the file that was read at evaluation" in told(ALL)[0]


@pytest.mark.parametrize("stated", [True, False])
def test_mixed_label_versions_are_told(results, told, stated):
    """Posts of another version, with or without its name."""
    rows = parquet.rows("posts", results / "posts.parquet")
    number = next(number for number, row in enumerate(rows) if row["post_id"] == "test-7")
    rows[number]["tags"] = ["O"] * len(rows[number]["tags"])
    parquet.write("posts", rows, results / "posts.parquet", {"label_version": "v2" if stated else "v1"})
    failed = told(CRF)
    assert any("label versions are mixed" in line for line in failed) == stated
    assert any("posts.parquet has other posts, words or labels of test" in line for line in failed)
    assert any("post 'test-7' has other gold tags" in line for line in failed)


def test_runs_of_two_label_versions_in_one_table_are_told(results, told, tmp_path):
    rows = parquet.rows("posts", results / "posts.parquet")
    shutil.rmtree(results / CRF)
    crf = {"crf": made_runs.SYSTEMS["crf"]}
    place(results, made_runs.write(tmp_path / "other", rows, crf, (1,), version="v2")[0])
    failed = told("table1.csv")
    assert any("settings.json" not in line and "was made with the labels 'v2'" in line for line in failed)
    assert any("runs were made on different labels (v1, v2)" in line for line in failed)


def test_a_deleted_run_and_a_missing_file_are_told(results, told):
    shutil.rmtree(results / CRF)
    assert "bert/crf/seed1: the run was deleted" in told("table1.csv")[0]
    (results / ALL / "predictions.parquet").unlink()
    assert "predictions.parquet: no such file" in told(ALL)[0]
    (results / "table1.tex").unlink()
    assert any("table1.tex: is not there" in line for line in told("table1.csv"))
    replaced(results / "table1.csv", "BERT-CRF", "BERT")
    assert any("table1.csv: not the file that was written" in line for line in told("table1.csv")), "by its hash"


def test_the_file_of_another_seed_is_told(results, told):
    one, two = (results / f"runs/bert/crf/seed{seed}" for seed in (1, 2))
    shutil.copy(two / "metrics.json", one / "metrics.json")
    assert "metrics.json is of the run bert/crf/seed2" in told("runs/bert/crf")[0]
    shutil.copy(two / "predictions.parquet", one / "predictions.parquet")
    failed = told("table1.csv")
    assert any("predictions.parquet is of the run bert/crf/seed2" in line for line in failed)
    assert any("both are of the run bert/crf/seed2" in line for line in failed)


def test_another_model_is_told(results, told):
    (results / CRF / "model.safetensors").write_text("trained again")
    assert f"{CRF}/model.safetensors is not the file that was read" in told(CRF)[0]


def test_a_run_evaluated_again_makes_tables_old(results, told):
    metrics = results / CRF / "metrics.json"
    restate(metrics, scores=json.loads(metrics.read_text())["scores"])
    (line,) = told("table5.csv")[:1]
    assert "is not the file that it was made from" in line


def test_figures_and_cases(results, told):
    replaced(results / "figure2.csv", "ITA-All", "ITA-ALL")
    assert "figure2.csv: row" in told("figure2.csv")[0]
    with open(results / "figure2.svg", "a") as file:
        file.write("<!-- drawn by hand -->")
    assert any("figure2.svg: not the file that was written" in line for line in told("figure2.csv"))
    rows, about = parquet.rows("cases", results / "cases.parquet"), parquet.metadata(results / "cases.parquet")
    parquet.write("cases", rows[1:], results / "cases.parquet", about)
    assert f"post {rows[0]['post_id']!r} ({rows[0]['kind']}) is missing" in told("cases.html")[0]


def test_results_of_earlier_versions_are_checked_as_far_as_they_go(results, told, capsys):
    content = json.loads((results / "table1.json").read_text())
    for name in ("outputs", "environment"):
        del content[name]
    for name in ("evaluation", "task_versions", "runs"):
        del content["metadata"][name]
    for path in (results / "runs/bert/crf").glob("*/metrics.json"):
        restate(path, evaluation=None, task_versions=None)
        rewrite(path.with_name("predictions.parquet"), {"results_sha256": None})
        about = {"predictions_sha256": None, "seed": json.loads(path.read_text())["seed"]}
        made_runs.edit(path, **about)
        for name in ("metrics.json", "predictions.parquet"):
            content["inputs"][f"bert/crf/{path.parent.name}/{name}"] = sha256(path.with_name(name))
    (results / "table1.json").write_text(json.dumps(content))
    assert verify.main([str(results / "table1.csv")]) == 0
    output = capsys.readouterr().out
    assert "bert/crf/seed1: evaluated by an earlier version" in output and "no hashes of its files" in output
    replaced(results / "table1.md", "BERT-CRF", "BERT")
    assert "table1.md: line " in told("table1.csv")[0]


def test_what_cannot_be_checked_is_refused(results, tmp_path, capsys):
    (results / "notes.txt").write_text("mine")
    (results / "empty").mkdir()
    for path, word in ((results / "notes.txt", "expected a table"), (results / "empty", "holds no run")):
        assert verify.main([str(path)]) == 1
        assert word in capsys.readouterr().err
    (tmp_path / "alone.csv").write_text("a\n")
    assert verify.main([str(tmp_path / "alone.csv")]) == 1
    assert "--results" in capsys.readouterr().err
