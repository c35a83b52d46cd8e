"""The stage report: a folder of pages, what they were made from, inputs that do not fit together."""

import json

from ita.io import parquet
from tests.support.hostile import TEXTS
from tests.support.html_page import Element, parse
from tests.support.made_dataset import make_report, run_report, write_runs, write_tables

COUNTS = {"train": 8, "dev": 2, "test": 6}


def test_the_folder_is_complete_and_says_what_it_was_made_from(tmp_path):
    folder = make_report(tmp_path, COUNTS, note="Made up.")
    made_from = json.loads((folder / "report.json").read_text())
    assert made_from["label_version"] == "v1" and made_from["settings"]["note"] == "Made up."
    names = {"posts", "images", "objects/vinvl", "captions/vinvl", "ocr/tesseract", "contexts/none", "contexts/all"}
    runs = {f"bert/{system}/seed{seed}/predictions.parquet" for system in ("crf", "ita-all") for seed in (1, 2, 3)}
    assert set(made_from["inputs"]) == names | runs
    start = parse((folder / "index.html").read_text())
    assert start.texts("dd")[0] == "6 test, 2 dev, 8 train"
    for page in ("index.html", "posts.html", "report.html"):
        root = parse((folder / page).read_text())
        assert all((folder / address).is_file() for address in addresses(root)), page


def addresses(root: Element) -> set[str]:
    """Files that a page names."""
    named = [
        item.attributes.get(name)
        for tag, name in (("a", "href"), ("link", "href"), ("script", "src"))
        for item in root.all(tag)
    ]
    return {address for address in named if address and not address.startswith("data:")}


def test_names_do_no_harm(tmp_path):
    write_runs(tmp_path, write_tables(tmp_path, COUNTS, 1))
    folder = run_report(tmp_path, [], note=TEXTS[0])
    root = parse((folder / "index.html").read_text())
    assert root.texts("p", class_="note") == [TEXTS[0]]
    assert not list(root.all("script"))


def test_without_pictures_and_runs(tmp_path):
    write_tables(tmp_path, COUNTS, 1)
    folder = run_report(tmp_path, [], thumbnail=0, splits=["dev"])
    assert list((folder / "pictures").iterdir()) == [] and not list((folder / "data").glob("run-*"))
    about = (folder / "data" / "about.js").read_text()
    assert '"pictures":false' in about and '"splits":{"dev":2}' in about


def test_inputs_that_do_not_fit_are_refused(tmp_path, capsys):
    posts = write_tables(tmp_path, COUNTS, 2)
    paths = write_runs(tmp_path, posts, seeds=(1,))
    run_report(tmp_path, [*paths, paths[0]], expect=1)
    assert "both are of the run bert/crf/seed1" in capsys.readouterr().err
    rows, metadata = parquet.rows("predictions", paths[0]), parquet.metadata(paths[0])
    changed = [{**rows[0], "gold": ["O"] * len(rows[0]["gold"])}, *rows[1:]]
    parquet.write("predictions", changed, paths[0], metadata)
    run_report(tmp_path, paths, expect=1)
    said = capsys.readouterr().err
    assert "the gold tags of" in said and "evaluate again" in said
    parquet.write("predictions", rows, paths[0], {**metadata, "label_version": "v2"})
    run_report(tmp_path, paths, expect=1)
    assert "different labels (v1, v2)" in capsys.readouterr().err
    run_report(tmp_path, write_runs(tmp_path, posts, (1,), dataset="other"), expect=1)
    assert "a run on 'other', expected runs on 'made'" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


def test_the_same_inputs_give_the_same_files(tmp_path):
    one, two = (make_report(tmp_path / name, COUNTS) for name in ("one", "two"))
    for path in sorted(one.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (two / path.relative_to(one)).read_bytes(), path
