"""The folder with all tables and figures."""

import json

from ita.cli import run_stage
from ita.stages import paper
from tests.stages import test_figure, test_table
from tests.stages.test_figure import drawn
from tests.stages.test_table import made
from tests.support import made_runs


def everything(folder):
    """Files of one table, one figure and the cases."""
    runs = made_runs.write(folder, made_runs.posts(20))
    table = made(folder, test_table.settings(), runs)
    figure = drawn(folder / "out", test_figure.settings("captions"), "metrics", runs)
    files = sorted(path for stem in (table.stem, figure.stem) for path in (folder / "out").glob(f"{stem}.*"))
    cases = [folder / "out" / f"cases.{form}" for form in ("html", "md", "parquet")]
    for path in cases:
        path.write_text("<!doctype html><title>Cases</title>")
    return files + cases


def collected(folder, files, expect=0, **chosen):
    chosen = {"tables": ["table1"], "figures": ["figure2"], **chosen}
    arguments = ["--settings", json.dumps({"paper": chosen, "dataset": "twitter17"}), "--files", *map(str, files)]
    benchmarks = folder / "benchmarks" / "posts.tsv"
    benchmarks.parent.mkdir(exist_ok=True)
    benchmarks.write_text("s\tmax_rss\tcpu_time\n1.5\t100\t1\n")
    output = folder / "paper"
    assert run_stage(paper, [*arguments, "--benchmarks", str(benchmarks.parent), "--output", str(output)]) == expect
    return output


def test_all_files_and_what_they_state(tmp_path):
    files = everything(tmp_path)
    output = collected(tmp_path, files)
    for path in files:
        assert (output / path.name).read_bytes() == path.read_bytes()
    listing = (output / "index.md").read_text()
    (table,) = [line for line in listing.splitlines() if line.startswith("| Table 1.")]
    for stated in ("BERT-CRF, ITA-All, ITA-All+CVA", "| BERT |", "1, 2, 3", "v1", "(table1.tex)"):
        assert stated in table
    assert "| Figure 2." in listing
    assert "cases.md" in listing
    page = (output / "index.html").read_text()
    assert '<img src="figure2.svg"' in page
    assert page.count("<table") == 2, "Table 1 and the cost"
    assert "1.5" in (output / "cost.md").read_text()
    assert not list(tmp_path.glob(".paper*"))


def test_the_folder_is_replaced_as_a_whole(tmp_path):
    files = everything(tmp_path)
    output = collected(tmp_path, files)
    (output / "stale").write_text("")
    kept = [path for path in files if not path.name.startswith("cases")]
    collected(tmp_path, kept, cases=False)
    assert not (output / "stale").exists()
    assert "cases" not in (output / "index.md").read_text()


def test_what_is_missing_is_named(tmp_path, capsys):
    files = everything(tmp_path)
    collected(tmp_path, [path for path in files if path.name != "figure2.pdf"], expect=1)
    assert "figure2.pdf: not among --files" in capsys.readouterr().err
    collected(tmp_path, [path for path in files if path.name != "cases.html"], expect=1)
    assert "cases.html: not among --files" in capsys.readouterr().err
    (tmp_path / "out/table1.json").write_text("{}")
    collected(tmp_path, files, expect=1)
    assert "table1.json: not the .json of a table or figure" in capsys.readouterr().err
    assert not (tmp_path / "paper").exists()
