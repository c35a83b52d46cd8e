"""The stage table: every kind in all formats, and what they say about the runs."""

import json
from typing import get_args, get_type_hints

import pandas as pd
import pytest
from jinja2 import Template

from ita.cli import run_stage
from ita.config import Table
from ita.io import parquet
from ita.io.files import read_json
from ita.stages import table
from tests.support import made_runs
from tests.support.html_page import assert_harmless
from tests.support.made_reports import F1, make_table, table_settings
from tests.support.made_runs import edit, of_system, predictions_of
from tests.support.paths import ROOT

NOTE = "Synthetic posts: the scores say nothing about tweets."


@pytest.fixture
def metrics(tmp_path):
    """Runs with given F1."""
    paths = made_runs.write(tmp_path, made_runs.posts())
    made_runs.overwrite(paths, F1)
    return paths


def test_every_format_says_what_was_used(tmp_path, metrics):
    files = make_table(tmp_path, table_settings(note=NOTE), metrics)
    content = read_json(files.provenance, "")
    assert len(content["inputs"]) == 2 * len(metrics)
    assert "bert/ita-all/seed2/metrics.json" in content["inputs"]
    assert "bert/ita-all/seed2/predictions.parquet" in content["inputs"]
    metadata = content["metadata"]
    assert metadata["seeds"] == [1, 2, 3]
    assert metadata["encoders"] == {"bert": "BERT"}
    assert metadata["systems"]["crf"] == ["BERT-CRF"]
    assert metadata["split"] == "test"
    assert metadata["commit"] == content["commit"]
    for path in (files.markdown, files.html, files.latex):
        text = path.read_text()
        for stated in ("labels v1", "seeds 1, 2, 3", "BERT (bert-base-cased)", "ITA-All+CVA", "85.18", NOTE):
            assert stated in text, (path.suffix, stated)
        assert "Minimum detectable difference" in text
    rows = assert_harmless(files.html.read_text()).one("table").rows()
    assert rows[0][:4] == ["Encoder", "Approach", "Trained on", "T"]
    assert rows[2][rows[0].index("I+T")] == "91.33 ± 1.53‡"
    numbers = pd.read_csv(files.csv)
    assert set(numbers["label_version"]) == {"v1"}
    assert numbers["it_mean"].tolist()[1] == pytest.approx(91.3333)


def test_the_same_runs_make_the_same_files(tmp_path, metrics):
    def contents(paths):
        files = make_table(tmp_path, table_settings(), paths, list(reversed(predictions_of(paths))))
        return {name: path.read_bytes() for name, path in vars(files).items() if name != "provenance"}

    assert contents(metrics) == contents(list(reversed(metrics)))


def test_a_note_is_printed_only_where_there_is_one(tmp_path, metrics):
    assert NOTE not in make_table(tmp_path, table_settings(), metrics).markdown.read_text()


@pytest.mark.parametrize("kind", ["best", "labels", "types"])
def test_other_kinds_of_runs(tmp_path, metrics, kind):
    files = make_table(tmp_path, table_settings(kind, ["crf", "ita-all-cva"]), metrics)
    numbers = pd.read_csv(files.csv)
    ours = numbers[numbers["mean" if kind != "types" else "f1_mean"].notna()]
    assert set(ours["system"]) == {"crf", "ita-all-cva"}


def test_tables_of_posts_and_images(tmp_path, metrics):
    rows = made_runs.posts()
    tables = {name: tmp_path / f"{name}.parquet" for name in ("posts", "images", "ocr")}
    images = [{"image_id": row["image_id"], "status": "ok", "attempts": 1} for row in rows if row["image_id"]]
    texts = [{"image_id": row["image_id"], "text": "SALE", "engine": "e", "version": "1"} for row in images]
    for name, content in (("posts", rows), ("images", images), ("ocr", texts)):
        parquet.write(name, content, tables[name], {"label_version": "v1"})
    files = make_table(tmp_path, table_settings("analysis", name="analysis"), metrics, **tables)
    inputs = read_json(files.provenance, "")["inputs"]
    assert {"posts", "images", "ocr/tesseract"} <= inputs.keys()
    assert "image" in read_json(files.provenance, "")["metadata"]["display"]["columns"]
    settings = table_settings(name="table6")
    settings["table"] = {"kind": "ocr", "ocr_engines": ["paddle"]}
    files = make_table(tmp_path, settings, posts=tables["posts"], ocr=tables["ocr"])
    content = read_json(files.provenance, "")
    assert content["inputs"].keys() == {"posts", "ocr/paddle"}
    assert content["metadata"]["split"] is None
    assert "OCR engines e 1" in files.markdown.read_text()


def test_runs_that_do_not_fit_are_refused(tmp_path, metrics, capsys):
    def refused(*words, paths=metrics, **settings):
        make_table(tmp_path, table_settings(**settings), paths, expect=1)
        error = capsys.readouterr().err
        assert all(word in error for word in words), error

    refused("no run of ita-all with bert", paths=[p for p in metrics if p not in of_system(metrics, "ita-all")])
    first = metrics[0]
    content = first.read_text()
    edit(first, label_version="v2")
    refused("different labels (v1, v2)")
    first.write_text("{")
    refused(str(first), "the metrics of a run")
    first.write_text(content.replace('"test"', '"dev"'))
    refused("no scores on the split 'test'")
    edit(first, encoder="bert-base-cased")
    refused("does not say of which data set, encoder, system and seed it is", "run evaluate again")
    first.write_text(content)
    refused("table.baseline names 'nobody'", baseline="nobody")
    predictions = first.with_name("predictions.parquet")
    rows, metadata = parquet.rows("predictions", predictions), parquet.metadata(predictions)
    parquet.write("predictions", rows[1:], predictions, metadata)
    refused("different posts")
    assert not (tmp_path / "out").exists(), "nothing is left behind"


def test_several_ocr_tables_for_an_analysis_are_refused(tmp_path, metrics, capsys):
    settings = table_settings("analysis", name="analysis")
    paths = [str(tmp_path / name) for name in ("a", "b")]
    outputs = [
        word
        for name in ("csv", "markdown", "latex", "html", "provenance")
        for word in (f"--{name}", str(tmp_path / name))
    ]
    assert run_stage(table, ["--settings", json.dumps(settings), *outputs, "--ocr", *paths]) == 1
    assert "reads one OCR table: give --ocr once" in capsys.readouterr().err


def test_the_report_describes_every_kind():
    template = Template((ROOT / "workflow" / "report" / "table.rst").read_text())
    kinds = get_args(get_type_hints(Table)["kind"])
    captions = {
        kind: template.render(
            snakemake={
                "params": {"settings": json.dumps({"table": {"kind": kind}})},
                "wildcards": {"table": "table1"},
            }
        ).partition("\n")[0]
        for kind in kinds
    }
    assert len(set(captions.values())) == len(kinds) == 6 and all(map(str.strip, captions.values())), captions


@pytest.mark.parametrize("kind", ["f1", "types"])
def test_a_row_whose_encoder_saw_test_posts_is_marked(tmp_path, metrics, kind):
    for path in of_system(metrics, "ita-all"):
        edit(path, encoder_overlap={"v1": {"posts": 12, "of": 60}, "another": {"posts": 3, "of": 4}})
    for path in metrics:
        edit(path, test_overlap={"another": {"posts": 1500, "of": 3000}, "v1": {"posts": 2, "of": 60}})
    files = make_table(tmp_path, table_settings(kind=kind), metrics)
    text = files.markdown.read_text()
    assert text.count("ITA-All §") >= 2, "the row and the note on it"
    assert "12 posts of this data set's test split" in text
    if kind == "f1":
        assert "1,500 of the 3,000 test posts of another stand in the training posts" in text
        assert "test posts of v1" not in text
