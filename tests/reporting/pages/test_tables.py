"""Data of the page of tables: the numbers behind each cell, drawings, titles, facts of runs."""

import json
import statistics

import pytest

from ita.errors import UserError
from ita.io import parquet
from ita.reporting.pages.run_facts import flat, run_facts
from ita.reporting.pages.shown_table import ShownTable
from ita.reporting.pages.table_scores import sorting_value
from ita.reporting.pages.tables_page import write_tables_page
from ita.reporting.pages.whiskers import MARGIN, WIDTH, Difference, Scale
from tests.support import made_runs
from tests.support.hostile import TEXTS
from tests.support.html_page import parse
from tests.support.made_dataset import read_script
from tests.support.made_reports import make_table, table_settings

LABELS = [*made_runs.LABEL_SCHEMES]
KINDS = {
    "f1": ("ita-all", ("T", "I+T"), "I+T"),
    "best": ("ita-all", ("mean",), "mean"),
    "labels": ("umt-words", ("F1",), "F1"),
    "types": ("ita-all", ("LOC F1", "PER P"), "LOC F1"),
    "analysis": ("ita-all", ("ECE",), ""),
}
"""Kind -> a row, columns that hold scores, and one whose differences are drawn."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Tables of every kind: name -> paths of JSON and CSV."""
    folder, rows = tmp_path_factory.mktemp("tables"), made_runs.posts(30)
    parquet.write("posts", rows, folder / "posts.parquet")
    parquet.write("images", [], folder / "images.parquet")
    files = {"posts": folder / "posts.parquet", "images": folder / "images.parquet"}
    metrics = made_runs.write(folder, rows, made_runs.ALL_SYSTEMS, seeds=(1, 2))
    made_runs.state_training(metrics, dict.fromkeys(made_runs.ALL_SYSTEMS, 120))
    paths = {}
    for kind in KINDS:
        systems = LABELS if kind == "labels" else ["crf", "ita-all", "ita-all-cva"]
        settings = table_settings(kind, systems, kind, entries=made_runs.ALL_SYSTEMS, resamples=100)
        outputs = make_table(folder, settings, metrics, **(files if kind == "analysis" else {}))
        paths[kind] = outputs.provenance, outputs.csv
    return paths


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_leads_to_the_numbers_that_it_shows(made, kind):
    system, headings, drawn = KINDS[kind]
    details = []
    table = ShownTable.read(*made[kind], details)
    panels = table.panels()
    records = [
        (cell, details[cell.detail])
        for panel in panels
        for row in panel.rows
        for cell in row
        if cell.detail is not None
    ]
    assert {record["runs"] for _, record in records} >= {f"bert/{system}"}
    assert {*headings} <= {record["column"].partition(",")[0] for _, record in records}
    digits = 1 if kind == "types" else 2
    for cell, record in records:
        mean = statistics.mean(record["seeds"])
        assert record["text"] == cell.text and cell.text.startswith(f"{mean:.{digits}f}")
        assert record["mean"] == cell.sort == pytest.approx(mean, abs=1e-3)
        assert record["training"][0] == ["updates", "120"]
    columns = [column for panel in panels for column in panel.columns]
    assert any(column.drawn and column.heading.startswith(f"{drawn} − ") for column in columns) == bool(drawn)
    assert any(column.drawn for column in columns) == bool(drawn)
    if drawn:
        one = next(record for _, record in records if record["runs"] == f"bert/{system}" and record["compared"])
        compared = one["compared"][0]
        assert compared["low"] <= compared["gain"] <= compared["high"] and len(compared["p"]) == 4


def test_differences_are_those_of_the_csv(made):
    details = []
    (panel,) = ShownTable.read(*made["f1"], details).panels()
    place = next(n for n, column in enumerate(panel.columns) if column.heading == "I+T − BERT-CRF (T)")
    cells = {row[0].text: row[place] for row in panel.rows}
    assert cells["BERT-CRF"].text == "" and cells["BERT-CRF"].sort == ""
    gain = details[-1]["mean"] - details[0]["mean"]
    assert details[-1]["row"] == "ITA-All+CVA, BERT" and cells["ITA-All+CVA"].text == f"{gain:+.2f}"
    assert [column.heading for column in panel.columns if column.hidden] == ["Encoder", "p T", "p I+T"]


def test_drawings_share_a_scale_with_zero():
    differences = [Difference(2.0, 1.0, 3.0), Difference(-0.5, -1.0, 0.2)]
    scale = Scale.of(differences)
    assert (scale.at(-1.0), scale.at(3.0)) == (MARGIN, WIDTH - MARGIN)
    assert scale.at(0.0) < scale.at(1.0) and scale.ticks == [0.0, 2.5]
    assert [difference.excludes_zero for difference in differences] == [True, False]
    assert differences[1].text == "95 % interval -1.00 to +0.20"
    assert Scale.of([]).ticks, "a table without differences is no special case"


@pytest.mark.parametrize(
    ("text", "number"),
    [("81.20 ± 1.00‡", 81.2), ("1,266", 1266), ("203.8 k", 203_800), ("-0.17", -0.17), ("52.0 (+5.8)", 52), ("", None)],
)
def test_cells_are_sorted_by_their_numbers(text, number):
    assert sorting_value(text) == number


def test_titles_differ_and_names_too(tmp_path, made):
    again = []
    for path in made["f1"]:
        again.append(tmp_path / f"table4{path.suffix}")
        text = path.read_text().replace('"name": "f1"', '"name": "table4"').replace("F 1. F1 of", "Table 4. F1 of")
        again[-1].write_text(text)
    write_tables_page(tmp_path, "twitter17", [made["f1"][0], again[0]], [made["f1"][1], again[1]], [])
    titles = parse((tmp_path / "tables.html").read_text()).texts("h2")
    assert titles[1].startswith("Table 4. F1 of") and titles[1].endswith("BERT-CRF, ITA-All, ITA-All+CVA")
    with pytest.raises(UserError, match="are called"):
        write_tables_page(tmp_path, "d", [made["f1"][0], *[again[0]] * 2], [made["f1"][1], *[again[1]] * 2], [])
    with pytest.raises(UserError, match="not the JSON and the CSV of one table"):
        write_tables_page(tmp_path, "d", [made["f1"][0]], [made["best"][1]], [])


def test_names_in_tables_do_no_harm(tmp_path, made):
    stated = json.loads(made["f1"][0].read_text())
    for row, text in zip(stated["metadata"]["display"]["rows"], TEXTS, strict=False):
        row[1] = text
    (tmp_path / "t.json").write_text(json.dumps(stated))
    (tmp_path / "t.csv").write_text(made["f1"][1].read_text())
    write_tables_page(tmp_path, TEXTS[0], [tmp_path / "t.json"], [tmp_path / "t.csv"], [])
    root = parse((tmp_path / "tables.html").read_text())
    texts = [" ".join(text.split()) for text in TEXTS[:3]]
    assert [cell.text for cell in root.all("th", scope="row")] == texts
    assert [script.attributes.keys() for script in root.all("script")] == [{"defer", "src"}] * 4
    assert read_script(tmp_path / "data" / "tables.js")["cells"][0]["row"] == f"{TEXTS[0]}, BERT"


def test_runs_come_with_settings_and_links(tmp_path):
    run = {"dataset": "d", "encoder": "b", "system": "c d", "seed": 2}
    path = tmp_path / "d" / "runs" / "b" / "c d" / "seed2" / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"run": run, "settings": {"seed": 2, "train": {"epochs": 3, "compile": False}}}))
    facts = run_facts([path], tmp_path / "d" / "report")["b/c d"]
    assert facts["settings"] == [["train.epochs", "3"], ["train.compile", "false"]]
    links = dict(facts["seeds"][0]["links"])
    assert links["settings"] == "../runs/b/c%20d/seed2/settings.json"
    assert links["train log"] == "../../logs/d/train/b/c%20d/seed2.log"
    assert [*flat({"a": {"b": [1, None]}, "c": {}})] == [["a.b", "1, null"], ["c", "{}"]]
    path.write_text("{}")
    with pytest.raises(UserError, match="does not say which run it is of"):
        run_facts([path], tmp_path)
