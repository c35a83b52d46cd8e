"""The stage paper: one folder with all tables and figures."""

import json

import pytest

from ita.cli import run_stage
from ita.io import parquet
from ita.io.files import sha256
from ita.io.provenance import provenance_of
from ita.stages import paper
from tests.support import made_runs
from tests.support.html_page import assert_harmless
from tests.support.made_reports import figure_settings, make_figure, make_table, table_settings
from tests.support.paths import ROOT

NOTE = "Synthetic posts."


@pytest.fixture
def files(tmp_path):
    """Files of one table, one figure and the cases."""
    metrics = made_runs.write(tmp_path, made_runs.posts(20))
    table = make_table(tmp_path, table_settings(), metrics)
    figure = make_figure(tmp_path / "out", figure_settings("captions"), metrics)
    cases = [tmp_path / "out" / f"cases.{suffix}" for suffix in ("html", "md", "parquet")]
    for path in cases:
        path.write_text("<!doctype html><title>Cases</title>")
    return [*vars(table).values(), *sorted(figure.parent.glob(f"{figure.stem}.*")), *cases]


def write_data(folder):
    """posts.parquet and images.parquet."""
    split = {"file": "train.txt", "sha256": "ab", "posts": 3, "tokens": 9, "label_version": "v1", "spans": 0}
    metadata = {"splits": {"train": split}, "label_version": "v1", **provenance_of({})}
    parquet.write("posts", [], folder / "posts.parquet", metadata)
    parquet.write("images", [{"image_id": "a", "status": "ok"}], folder / "images.parquet")


def collect(folder, files, expect=0, left_out=None, **section):
    section = {"tables": ["table1"], "figures": ["figure2"], **section}
    settings = {"paper": section, "dataset": "twitter17", "note": NOTE, "left_out": left_out or {}}
    benchmarks = folder / "benchmarks" / "posts.tsv"
    benchmarks.parent.mkdir(exist_ok=True)
    benchmarks.write_text("s\tmax_rss\tcpu_time\n1.5\t100\t1\n")
    write_data(folder)
    output = folder / "paper"
    arguments = ["--settings", json.dumps(settings), "--files", *files, "--benchmarks", benchmarks.parent]
    arguments += ["--posts", folder / "posts.parquet", "--images", folder / "images.parquet"]
    arguments += ["--card", folder / "data_card.md"]
    assert run_stage(paper, [*map(str, arguments), "--output", str(output)]) == expect
    return output


def test_the_folder_holds_all_files_and_pages_that_show_them(tmp_path, files):
    output = collect(tmp_path, files)
    for path in files:
        assert (output / path.name).read_bytes() == path.read_bytes()
    others = {path.name for path in output.iterdir()} - {path.name for path in files}
    pages = {"index.md", "index.html", "paper.json", "data_card.md", "ro-crate-metadata.json", "workflow"}
    assert others == {*pages, *(f"cost.{suffix}" for suffix in ("csv", "md", "tex", "html", "json"))}
    hashes = json.loads((output / "paper.json").read_text())["outputs"]
    assert hashes == {path.name: sha256(path) for path in output.iterdir() if path.name in hashes}
    assert pages - hashes.keys() == {"paper.json", "ro-crate-metadata.json", "workflow"}
    root = assert_harmless((output / "index.html").read_text())
    assert [section.attributes["id"] for section in root.all("section")] == ["table1", "figure2", "cost"]
    table, cost = root.all("table")
    assert table.rows() == assert_harmless((output / "table1.html").read_text()).one("table").rows()
    assert cost.rows()[1][:4] == ["posts", "", "1", "1.5"]
    assert root.one("img").attributes["alt"].startswith("Figure 2. F1 over the number of captions")
    assert root.texts("p", class_="note")[0] == NOTE
    for link in root.all("a"):
        target = link.attributes["href"]
        assert target.startswith("#") or (output / target).exists(), target
    assert not list(tmp_path.glob(".paper*"))


def test_the_list_says_what_each_shows(tmp_path, files):
    listing = (collect(tmp_path, files) / "index.md").read_text()
    (table,) = [line for line in listing.splitlines() if line.startswith("| Table 1.")]
    cells = [cell.strip() for cell in table.strip("|").split("|")]
    assert cells[1:5] == ["BERT-CRF, ITA-All, ITA-All+CVA", "BERT", "1, 2, 3", "v1"]
    assert "[tex](table1.tex)" in cells[6]
    assert "| Figure 2." in listing
    assert "[md](cases.md)" in listing
    assert NOTE in listing


def test_what_is_left_out_is_named_with_the_reason(tmp_path, files):
    output = collect(tmp_path, files, left_out={"figure3": "no system reads <images>"})
    note = "Left out: figure3 (no system reads <images>)."
    assert note in assert_harmless((output / "index.html").read_text()).texts("p", class_="note")
    assert note.replace("<", r"\<").replace(">", r"\>") in (output / "index.md").read_text()


def test_the_folder_is_replaced_as_a_whole(tmp_path, files):
    output = collect(tmp_path, files)
    (output / "stale").write_text("")
    collect(tmp_path, [path for path in files if path.stem != "cases"], cases=False)
    assert not (output / "stale").exists()
    assert not list(output.glob("cases.*"))
    assert "cases" not in (output / "index.md").read_text()


def test_what_is_missing_is_named(tmp_path, files, capsys):
    for name in ("figure2.pdf", "cases.html"):
        collect(tmp_path, [path for path in files if path.name != name], expect=1)
        assert f"{name}: not among --files" in capsys.readouterr().err
    (tmp_path / "out/table1.json").write_text("{}")
    collect(tmp_path, files, expect=1)
    assert "table1.json: not the .json of a table or figure" in capsys.readouterr().err
    assert not (tmp_path / "paper").exists()
    assert not list(tmp_path.glob(".paper*"))


def test_a_run_crate_describes_every_file_of_the_folder(tmp_path, files):
    output = collect(tmp_path, files)
    graph = json.loads((output / "ro-crate-metadata.json").read_text())["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    assert len(entities) == len(graph)
    described = {name: entity["sha256"] for name, entity in entities.items() if "File" in entity["@type"]}
    there = [path for path in output.rglob("*") if path.is_file() and path.name != "ro-crate-metadata.json"]
    assert described == {path.relative_to(output).as_posix(): sha256(path) for path in there}
    root, run = entities["./"], entities["#run"]
    assert {part["@id"] for part in root["hasPart"]} == set(described)
    workflow = entities[root["mainEntity"]["@id"]]
    assert run["instrument"] == root["mainEntity"] and "ComputationalWorkflow" in workflow["@type"]
    assert (output / workflow["@id"]).read_bytes() == (ROOT / "Snakefile").read_bytes()
    assert {"table1.csv", "figure2.svg", "paper.json"} <= {made["@id"] for made in run["result"]}
    assert entities[run["object"][0]["@id"]]["sha256"] == "ab"
    assert root["license"]["@id"] in entities and workflow["programmingLanguage"]["@id"] in entities


def test_the_card_lies_beside_the_folder_and_in_it(tmp_path, files):
    output = collect(tmp_path, files)
    card = (tmp_path / "data_card.md").read_text()
    assert card == (output / "data_card.md").read_text()
    assert "- Label version: v1" in card
