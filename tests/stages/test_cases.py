"""The stage cases: all cases as a table, some of them for reading."""

import json

import pytest

from ita.cli import run_stage
from ita.io import parquet
from ita.stages import cases
from tests.support.html_page import assert_harmless
from tests.support.made_cases import SCRIPT, write_predictions, write_tables
from tests.support.made_runs import DATASET

NOTE = "Synthetic posts."


def run(folder, predictions, expect=0, note="", **section):
    settings = {"cases": section, "dataset": DATASET, "note": note, "names": {"image_text": "ITA <All>"}}
    output = folder / "cases.parquet"
    arguments = ["--settings", json.dumps(settings), "--predictions", *predictions, "--output", output]
    arguments += ["--markdown", output.with_suffix(".md"), "--html", output.with_suffix(".html")]
    for option, path in write_tables(folder).items():
        arguments += [f"--{option}", path]
    assert run_stage(cases, [*map(str, arguments)]) == expect
    return output


def test_the_table_holds_all_cases_with_image_and_context(tmp_path):
    output = run(tmp_path, write_predictions(tmp_path), count=1)
    rows = parquet.rows("cases", output)
    assert [(row["kind"], row["post_id"], row["image_id"]) for row in rows] == [
        ("helped", "p1", "one"),
        ("helped", "p0", None),
        ("helped", "p2", "two"),
        ("misled", "p4", "three"),
        ("misled", "p5", None),
    ]
    assert rows[0]["context"] == ["a", SCRIPT, "<EOS>", "dog"]
    assert rows[0]["kinds"] == ["ga", "ga", "sep", "la"]
    metadata = parquet.metadata(output)
    assert metadata["counts"] == {"helped": 3, "misled": 2}
    assert metadata["label_version"] == "v1"
    runs = {
        f"bert/{system}/seed{n}/predictions.parquet" for system in ("crf", "ita-all", "ita-all-cva") for n in (1, 2, 3)
    }
    assert metadata["inputs"].keys() == runs | {"posts", "images", "context"}


def test_the_page_is_complete_and_harmless(tmp_path):
    output = run(tmp_path, write_predictions(tmp_path), thumbnail=100, note=NOTE)
    root = assert_harmless(output.with_suffix(".html").read_text())
    assert len(list(root.all("section", class_="case"))) == 5
    assert len(list(root.all("img"))) == 1, "one image is there, one missing, one gone"
    first = next(root.all("section", class_="case"))
    assert first.texts("dt") == ["gold", "crf", "ITA <All>", "ita-all-cva", "image text: ga", "image text: la"]
    assert first.texts("mark")[0] == "<b>Mia Ray*</b> PER"
    assert first.texts("dd", class_="context") == [f"a {SCRIPT}", "dog"]
    assert root.texts("p", class_="note")[-1] == NOTE
    without = run(tmp_path, write_predictions(tmp_path), thumbnail=0).with_suffix(".html").read_text()
    assert not list(assert_harmless(without).all("img"))


def test_markdown_shows_some_and_counts_all(tmp_path):
    text = run(tmp_path, write_predictions(tmp_path), count=1).with_suffix(".md").read_text()
    assert text.count("\n### ") == 2
    assert "Image text helped in 3 posts" in text
    assert "- image text (la): dog" in text
    assert NOTE not in text
    none = run(tmp_path, write_predictions(tmp_path), note=NOTE, split="dev").with_suffix(".md").read_text()
    assert none.count("None.") == 2
    assert NOTE in none


def test_the_order_of_the_predictions_does_not_matter(tmp_path):
    def contents(predictions):
        output = run(tmp_path, predictions)
        return [output.with_suffix(suffix).read_bytes() for suffix in (".md", ".html", ".parquet")]

    paths = write_predictions(tmp_path)
    first, reverse = contents(paths), contents(list(reversed(paths)))
    assert first[:2] == reverse[:2]


@pytest.mark.parametrize(
    ("inputs", "section", "message"),
    [
        ({"labels": {"crf": "v2"}}, {}, "different labels (v1, v2)"),
        ({}, {"encoder": "xlmr"}, "no run of crf with xlmr"),
    ],
)
def test_runs_that_do_not_fit_are_refused(tmp_path, capsys, inputs, section, message):
    output = run(tmp_path, write_predictions(tmp_path, **inputs), expect=1, **section)
    assert message in capsys.readouterr().err
    assert not [path for path in tmp_path.iterdir() if path.stem == output.stem]
