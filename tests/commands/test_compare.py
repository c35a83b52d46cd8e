"""``ita compare``: what it prints is what the predictions give, on a terminal of 80 columns and as JSON."""

import json

import pytest

from ita.commands import compare
from ita.data.tags import spans
from ita.io import parquet
from tests.support.made_results import make_results, rewrite
from tests.support.made_runs import f1_by_hand


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Runs of three systems, two seeds each, and images of a third of the posts."""
    folder, _ = make_results(tmp_path_factory.mktemp("made"))
    images = [row["image_id"] for row in parquet.rows("posts", folder / "posts.parquet") if row["image_id"]]
    rows = [{"image_id": name, "status": "ok" if number % 2 else "missing"} for number, name in enumerate(images)]
    parquet.write("images", rows, folder / "images.parquet")
    texts = [{"image_id": name, "text": "SALE" if number % 3 else ""} for number, name in enumerate(images)]
    (folder / "ocr").mkdir()
    parquet.write("ocr", [{**row, "engine": "e", "version": "1"} for row in texts], folder / "ocr/tesseract.parquet")
    return folder


@pytest.fixture
def printed(results, capsys):
    """A function that compares two runs and gives what is printed."""

    def printed(a, b, *options, expect=0):
        arguments = [str(results / "runs/bert" / run) for run in (a, b)]
        assert compare.main([*arguments, "--resamples", "300", *options]) == expect
        output = capsys.readouterr()
        return output.err if expect else output.out

    return printed


def rows_of(results, run, view):
    """Rows of the predictions of a run in a view."""
    rows = parquet.rows("predictions", results / "runs/bert" / run / "predictions.parquet")
    return [row for row in rows if row["view"] == view]


def test_numbers_are_those_of_the_predictions(results, printed):
    comparison = json.loads(printed("crf", "ita-all", "--json"))
    assert (comparison["a"]["view"], comparison["b"]["view"]) == ("T", "I+T"), "the views that each is trained on"
    lines = {line["part"]: line for line in comparison["f1"]}
    assert lines.keys() == {
        *("all", "boundaries", "LOC", "PER", "seen", "unseen"),
        *("image", "no image", "OCR text", "no OCR text"),
    }
    for side, system, view in (("a", "crf", "t"), ("b", "ita-all", "it")):
        by_seed = [rows_of(results, f"{system}/seed{seed}", view) for seed in (1, 2)]
        f1 = [f1_by_hand(rows) for rows in by_seed]
        assert comparison[side]["f1"] == pytest.approx(f1)
        assert lines["all"][side]["f1"] == pytest.approx(sum(f1) / 2)
        locations = [
            f1_by_hand(rows, part=lambda row, found: {span for span in found if span.type == "LOC"}) for rows in by_seed
        ]
        assert lines["LOC"][side]["f1"] == pytest.approx(sum(locations) / 2)
        for line in lines.values():
            assert line[side]["low"] <= line[side]["f1"] <= line[side]["high"]
        matrix = comparison["confusion"][side]
        gold = sum(sum(row.values()) for name, row in matrix.items() if name != "(invented)")
        assert gold == lines["all"]["gold"] == 40
        right = sum(matrix[name][name] for name in ("LOC", "PER"))
        same = [len({*spans(row["gold"])} & {*spans(row["predicted"])}) for rows in by_seed for row in rows]
        assert right == pytest.approx(sum(same) / 2)
    for line in lines.values():
        difference = line["difference"]
        assert difference["f1"] == pytest.approx(line["b"]["f1"] - line["a"]["f1"])
        assert difference["low"] <= difference["f1"] <= difference["high"]
    assert lines["seen"]["gold"] + lines["unseen"]["gold"] == 40
    assert lines["image"]["gold"] + lines["no image"]["gold"] == 40
    assert 0 < comparison["p_welch"] <= 1


def test_posts_that_changed(results, printed):
    changed = json.loads(printed("crf/seed1", "ita-all/seed2", "--json"))["changed"]
    a, b = (
        {row["post_id"]: spans(row["predicted"]) == spans(row["gold"]) for row in rows_of(results, run, view)}
        for run, view in (("crf/seed1", "t"), ("ita-all/seed2", "it"))
    )
    assert {post["post_id"] for post in changed["helped"]} == {post for post in a if b[post] and not a[post]} != set()
    assert {post["post_id"] for post in changed["misled"]} == {post for post in a if a[post] and not b[post]} != set()
    for post in changed["helped"]:
        assert post["b"] == post["gold"] != post["a"]
        assert all(entity["surface"] in post["text"] for entity in post["gold"])
    both = json.loads(printed("crf", "ita-all", "--json"))["changed"]["helped"]
    assert {post["agreeing"] for post in both} == {2}, "in more than half of two seeds"


def test_a_system_beside_itself_does_not_differ(printed):
    comparison = json.loads(printed("crf", "crf", "--json", "--view", "t"))
    assert comparison["changed"] == {"helped": [], "misled": []}
    for line in comparison["f1"]:
        assert line["difference"] == {"f1": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


def test_the_page_fits_80_columns_and_has_colours_on_terminals_alone(printed, monkeypatch):
    page = printed("crf", "ita-all", "--limit", "1")
    assert max(map(len, page.splitlines())) <= 80
    assert "\033" not in page
    assert "B  bert/ita-all, view I+T, seeds 1, 2" in page and "test: 40 posts, labels v1" in page
    assert "Helped: " in page and ", 1 shown" in page and page.count("(2 of 2 seeds)") <= 2
    (line,) = [line for line in page.splitlines() if line.startswith("all ")]
    assert line.split()[1] == "40" and line.split()[-1] == "<0.001" or float(line.split()[-1]) <= 1
    monkeypatch.setattr("ita.reporting.terminal.has_colours", lambda stream: True)
    assert "\033[32m" in printed("crf", "ita-all")


def test_no_colours_where_nobody_wants_them(monkeypatch):
    from ita.reporting.terminal import has_colours

    class Terminal:
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert has_colours(Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colours(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not has_colours(Terminal())


def test_what_cannot_be_compared_is_refused(results, printed, tmp_path, capsys):
    assert "no predictions on the split 'dev'" in printed("crf", "ita-all", "--split", "dev", expect=1)
    assert "expected a run folder" in printed("crf", "nothing", expect=1)
    other, _ = make_results(tmp_path, seeds=(3, 4))
    for paths, word in (
        ((results / "runs/bert/crf", other / "runs/bert/crf"), "none in common"),
        ((results / "runs/bert/crf/seed1", other / "runs/bert/ita-all/seed3"), ""),
    ):
        assert compare.main([*map(str, paths), "--resamples", "10"]) == (1 if word else 0)
        assert word in capsys.readouterr().err
    predictions = other / "runs/bert/ita-all/seed3/predictions.parquet"
    rewrite(predictions, {"label_version": "v2"})
    assert compare.main([str(results / "runs/bert/crf/seed1"), str(predictions)]) == 1
    assert "on different posts or labels" in capsys.readouterr().err
