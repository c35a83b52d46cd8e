"""Cases from made-up runs in which it is known where image text helped."""

import base64
import io
import json
import re

import pytest
from PIL import Image

from ita.cli import run_stage
from ita.io import parquet
from ita.reporting.cases_page import pieces, plain
from ita.stages import cases
from tests.support.pictures import scene, table

GOLD = ["B-PER", "I-PER", "O"]
WRONG = ["B-PER", "O", "O"]
TOKENS = ["<b>Mia", "Ray*</b>", "&co"]
EVIL = "<script>alert(1)</script>"
# post: for each of three seeds, whether text-only, image text and aligned are right.
RIGHT = {
    "p1": ["-+-", "-++", "-+-"],
    "p2": ["-+-", "-++", "+++"],
    "p3": ["-+-", "+++", "---"],
    "p4": ["+-+", "+-+", "+-+"],
    "p5": ["+-+", "+--", "+-+"],
    "p6": ["+-+", "+--", "+--"],
    "p0": ["+++", "-+-", "-+-"],
}
ROLES = {"text_only": ("crf", "t"), "image_text": ("ita-all", "it"), "aligned": ("ita-all-cva", "it")}


def made(folder, labels=None, skip=None):
    """Writes the inputs; returns arguments of the stage."""
    folder.mkdir(exist_ok=True)
    scene(600, 300).save(folder / "one.png")
    table(folder, one="one.png", two=None, three="gone.png")
    image_of = {"p1": "one", "p2": "two", "p4": "three"}
    posts = [
        {"post_id": p, "split": "test", "image_id": image_of.get(p), "tokens": TOKENS, "tags": GOLD, "repaired": 0}
        for p in RIGHT
    ]
    parquet.write("posts", posts, folder / "posts.parquet")
    context = [
        {"post_id": p, "tokens": ["a", EVIL, "<EOS>", "dog"], "kinds": ["ga", "ga", "sep", "la"], "cut": 0}
        for p in RIGHT
    ]
    parquet.write("contexts", context, folder / "all.parquet")
    paths = []
    for place, (system, used) in enumerate(ROLES.values()):
        for seed in range(3):
            path = folder / "runs" / "bert" / system / f"seed{seed + 1}" / "predictions.parquet"
            rows = [
                {
                    "post_id": post,
                    "split": split,
                    "view": view,
                    "tokens": TOKENS,
                    "gold": GOLD,
                    # What was found elsewhere must not matter.
                    "predicted": GOLD if (split, view) == ("test", used) and seeds[seed][place] == "+" else WRONG,
                }
                for post, seeds in RIGHT.items()
                for split in ("dev", "test")
                for view in ("t", "it")
            ]
            path.parent.mkdir(parents=True, exist_ok=True)
            version = (labels or {}).get(system, "v1")
            parquet.write("predictions", rows, path, {"label_version": version, "seed": seed + 1})
            if (system, seed) != skip:
                paths.append(path)
    return ["--predictions", *paths, "--posts", folder / "posts.parquet", "--images", folder / "images.parquet"] + [
        "--context",
        folder / "all.parquet",
    ]


def run(folder, arguments, expect=0, dataset="mine", **chosen):
    settings = {"cases": chosen, "dataset": dataset, "names": {"image_text": "ITA <All>"}}
    output = folder / "cases.parquet"
    files = ["--output", output, "--markdown", output.with_suffix(".md"), "--html", output.with_suffix(".html")]
    assert run_stage(cases, [*map(str, [*arguments, *files]), "--settings", json.dumps(settings)]) == expect
    return output


def test_cases_are_those_of_most_seeds(tmp_path):
    output = run(tmp_path, made(tmp_path))
    rows = parquet.rows("cases", output)
    assert [(row["kind"], row["post_id"], row["agreeing"], row["shown_seed"]) for row in rows] == [
        ("helped", "p1", 3, 1),
        ("helped", "p0", 2, 2),
        ("helped", "p2", 2, 1),
        ("misled", "p4", 3, 1),
        ("misled", "p5", 2, 1),
    ]
    assert all(row["seeds"] == 3 and row["tokens"] == TOKENS and row["gold"] == GOLD for row in rows)
    assert (rows[0]["text_only"], rows[0]["image_text"], rows[0]["aligned"]) == (WRONG, GOLD, WRONG)
    assert (rows[0]["image_id"], rows[1]["image_id"]) == ("one", None)
    assert rows[0]["kinds"] == ["ga", "ga", "sep", "la"]
    about = parquet.metadata(output)
    assert about["counts"] == {"helped": 3, "misled": 2}
    assert (about["label_version"], len(about["inputs"])) == ("v1", 12)


def test_the_page_stands_alone_and_nothing_in_it_is_code(tmp_path):
    output = run(tmp_path, made(tmp_path), thumbnail=100)
    page = output.with_suffix(".html").read_text()
    assert "<script" not in page and "<b>" not in page and "ITA <All>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;b&gt;Mia Ray*&lt;/b&gt; <small>PER</small>" in page
    assert "ITA &lt;All&gt;" in page
    assert not re.search(r"(src|href)=['\"](?!data:)", page)
    assert "default-src 'none'" in page
    pictures = re.findall(r"base64,([A-Za-z0-9+/=]+)'", page)
    assert len(pictures) == 1, "one image is there, one missing, one gone"
    with Image.open(io.BytesIO(base64.b64decode(pictures[0]))) as image:
        assert (image.format, image.size) == ("JPEG", (100, 50))
    without = run(tmp_path, made(tmp_path), thumbnail=0).with_suffix(".html").read_text()
    assert "base64" not in without


def test_markdown_shows_some_and_counts_all(tmp_path):
    text = run(tmp_path, made(tmp_path), count=1).with_suffix(".md").read_text()
    assert text.count("\n### ") == 2
    assert "helped in 3 posts" in text.replace("\\", "")
    assert "**\\<b\\>Mia Ray\\*\\</b\\>** (PER) \\&co" in text
    assert "- image text (la): dog" in text
    assert "made by the project" not in text
    none = run(tmp_path, made(tmp_path), dataset="demo", split="dev").with_suffix(".md").read_text()
    assert none.count("None.") == 2
    assert "made by the project" in none


def test_the_same_runs_make_the_same_files(tmp_path):
    outputs = [run(tmp_path, arguments) for arguments in (made(tmp_path), made(tmp_path))]
    before = [outputs[0].with_suffix(end).read_bytes() for end in (".md", ".html")]
    arguments = made(tmp_path)
    arguments[1:10] = arguments[9:0:-1]
    run(tmp_path, arguments)
    assert [outputs[1].with_suffix(end).read_bytes() for end in (".md", ".html")] == before


@pytest.mark.parametrize(
    ("inputs", "chosen", "message"),
    [
        ({"labels": {"crf": "v2"}}, {}, "different labels (v2, v1)"),
        ({"skip": ("ita-all", 1)}, {}, "ita-all has the seeds [1, 3], the systems together [1, 2, 3]"),
        ({}, {"encoder": "xlmr"}, "no run of crf with xlmr"),
    ],
)
def test_runs_that_do_not_fit_are_refused(tmp_path, capsys, inputs, chosen, message):
    output = run(tmp_path, made(tmp_path, **inputs), expect=1, **chosen)
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_pieces_and_plain_text():
    assert list(pieces(["a", "b", "c", "d"], ["O", "B-X", "I-X", "B-Y"])) == [("a", ""), ("b c", "X"), ("d", "Y")]
    assert list(pieces([], [])) == []
    assert plain("www.x.org - *_` <a> &lt; e@f.g") == r"www\.x.org - \*\_\` \<a\> \&lt; e\@f.g"
    assert plain("a|b\n[c](http://d)") == r"a\|b \[c\](http\://d)"
