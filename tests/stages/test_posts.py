"""The posts stage."""

import hashlib
import http.server
import json
import re
import threading
import zipfile

import pytest
from hypothesis import strategies as st

from ita.cli import run_stage
from ita.data import SPLITS
from ita.io import parquet
from ita.stages import posts

UMT = "IMGID:1\nNew\tB-LOC\nYork\tI-LOC\n!\tO\n\nIMGID:2\nhi\tO\n"
TAGS = st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), max_size=8)


def run(tmp_path, files, **settings):
    output = tmp_path / "out" / "posts.parquet"
    settings_json = json.dumps({"posts": {"files": files, **settings}})
    code = run_stage(
        posts, ["--settings", settings_json, "--cache", str(output.parent / "downloads"), "--output", str(output)]
    )
    return code, output


def test_stage_repairs_renames_and_reports_duplicates(tmp_path, capsys):
    texts = {"train": "IMGID:1\na\tI-MISC\n\nIMGID:2\nb\tO\n", "dev": "IMGID:3\na\tO\n", "test": "IMGID:4\nc\tB-PER\n"}
    files = {}
    for split, text in texts.items():
        (tmp_path / split).write_text(text)
        files[split] = str(tmp_path / split)
    code, output = run(tmp_path, files, rename={"MISC": "OTHER"})
    assert code == 0
    table = parquet.read("posts", output)
    rows = table.to_pylist()
    assert [row["post_id"] for row in rows] == ["train-00001", "train-00002", "dev-00001", "test-00001"]
    assert (rows[0]["tags"], rows[0]["repaired"]) == (["B-OTHER"], 1)
    metadata = parquet.metadata(table)
    pair = ["train-00001", "dev-00001"]
    assert metadata["duplicates"] == {"train/dev": {"texts": 1, "pairs": 1, "examples": [pair]}}
    assert (
        "train/dev: 1 pairs of posts with the same words, for example ['train-00001', 'dev-00001']"
        in capsys.readouterr().err
    )
    train = metadata["splits"]["train"]
    assert train.pop("label_version").startswith("own (")
    assert train == {
        "file": str(tmp_path / "train"),
        "sha256": hashlib.sha256(texts["train"].encode()).hexdigest(),
        "posts": 2,
        "tokens": 2,
        "spans": 1,
        "types": {"OTHER": 1},
        "repaired": 1,
        "repairs": {"start I-MISC": 1},
    }
    assert re.fullmatch(r"own \([0-9a-f]{8}\)", metadata["label_version"])


def test_posts_from_a_server_are_checked_and_fetched_once(tmp_path, capsys):
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(UMT.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        files = {split: f"http://127.0.0.1:{server.server_port}/{split}.txt" for split in SPLITS}
        hashes = dict.fromkeys(files, hashlib.sha256(UMT.encode()).hexdigest())
        assert run(tmp_path, files, sha256=hashes)[0] == 1
        assert "name its path, or a mirror's URL, in posts.files.train" in capsys.readouterr().err
        assert requests == []
        assert run(tmp_path, files, sha256={**hashes, "dev": "0" * 64}, allow_private=True)[0] == 1
        code, output = run(tmp_path, files, sha256=hashes, allow_private=True)
        assert code == 0
        assert requests.count("/train.txt") == 1, "the same bytes are not fetched again"
        server.shutdown()
    assert len(parquet.rows("posts", output)) == 6


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "posts.files is empty: name local files in posts.files"),
        ({"train": "nowhere.txt"}, "nowhere.txt: cannot read it"),
        (
            {"train": "{folder}/a", "dev": "{folder}/a"},
            "posts.files.test is missing: training needs train, dev and test",
        ),
        (dict.fromkeys(SPLITS, "{folder}/ids"), "the post id 'train-p' names 2 posts; ids must be unique"),
    ],
)
def test_stage_says_what_is_missing(tmp_path, capsys, files, message):
    (tmp_path / "a").write_text('{"tokens": ["a"], "tags": ["O"]}')
    (tmp_path / "ids").write_text('{"tokens": ["a"], "tags": ["O"], "id": "p"}\n' * 2)
    paths = {split: name.format(folder=tmp_path) for split, name in files.items()}
    code, output = run(tmp_path, paths, format="jsonl")
    assert code == 1
    assert not output.exists()
    assert message in capsys.readouterr().err


def test_relation_data_come_in_one_file_and_have_no_test_posts(tmp_path, capsys):
    """As published: the first 3,576 of 4,471 tweets train."""
    rows = "".join(f"{n},word {n},{n % 2}\n" for n in range(5))
    (tmp_path / "data.csv").write_text("tweet_id,tweet,image_adds\n" + rows)
    files = dict.fromkeys(("train", "dev"), str(tmp_path / "data.csv"))
    code, output = run(tmp_path, files, format="relation", ranges={"train": "1-3", "dev": "4-5"})
    assert code == 0
    table = parquet.read("posts", output)
    posts_read = [(row["split"], row["post_id"], row["image_id"], row["related"]) for row in table.to_pylist()]
    train = [("train", "0", "T0", False), ("train", "1", "T1", True), ("train", "2", "T2", False)]
    assert posts_read == [*train, ("dev", "3", "T3", True), ("dev", "4", "T4", False)]
    splits = parquet.metadata(table)["splits"]
    assert [(splits[split]["posts"], splits[split]["related"]) for split in ("train", "dev")] == [(3, 1), (2, 1)]
    for numbers in ("4-6", "3-2"):
        assert run(tmp_path, files, format="relation", ranges={"dev": numbers})[0] == 1
        assert f"posts.ranges.dev: found {numbers}, expected a range within the 5 posts" in capsys.readouterr().err
    assert run(tmp_path, {"train": files["train"]}, format="relation")[0] == 1
    assert "posts.files.dev is missing" in capsys.readouterr().err
    assert run(tmp_path, files, format="relation", ranges={"dev": "all"})[0] == 1
    assert "posts.ranges.dev" in capsys.readouterr().err


FACTS = {
    "twitter2015": ("UMT Twitter-2015", [(4000, 64439, 6352, 186), (1000, 16178, 1594, 53), (3257, 52822, 5207, 135)]),
    "twitter2017": ("UMT Twitter-2017", [(3373, 53007, 6049, 0), (723, 11309, 1324, 0), (723, 11330, 1351, 0)]),
}


@pytest.mark.parametrize("name", FACTS)
def test_real_counts_and_label_versions(data, tmp_path, name):
    version, expected = FACTS[name]
    files = dict(zip(SPLITS, (f"{data / name}/{file}.txt" for file in ("train", "valid", "test")), strict=True))
    code, output = run(tmp_path, files)
    assert code == 0
    metadata = parquet.metadata(parquet.read("posts", output))
    assert metadata["label_version"] == version
    counts = [tuple(metadata["splits"][s][key] for key in ("posts", "tokens", "spans", "repaired")) for s in SPLITS]
    assert counts == expected
    pairs = {splits: summary["pairs"] for splits, summary in metadata["duplicates"].items()}
    assert pairs == ({"train/dev": 2, "train/test": 4, "dev/test": 3} if "2015" in name else {"train/dev": 1})


TEXT = "RT @you: it's\u00a0great \U0001f468\u200d\U0001f469\u200d\U0001f467 #NBA"
NEW = {
    "jsonl": [
        json.dumps({"id": 7, "text": TEXT, "image": "https://x.y/a.jpg"}),
        json.dumps({"tokens": ["a", "b"]}),
        "{",
    ],
    "csv": ["id,text,image,further", f'7,"{TEXT}",https://x.y/a.jpg,z', "", '8,"a b",,'],
    "tsv": ["text\timage_id", f"{TEXT}\t5"],
    "text": [TEXT, "a b"],
}


@pytest.mark.parametrize("layout", [*NEW, "zip"])
def test_new_posts_keep_their_text_and_say_why_they_cannot_be_read(tmp_path, layout):
    name = "jsonl" if layout == "zip" else layout
    file, content = tmp_path / "new", ("\ufeff" + "\n".join(NEW[name])).encode()
    file.write_bytes(content)
    location = str(file)
    if layout == "zip":
        with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
            archive.writestr("folder/new", content)
        location = f"{tmp_path / 'new.zip'}::folder/new"
    code, output = run(tmp_path, {"new": location}, format=name)
    assert code == 0
    rows = parquet.rows("posts", output)
    first = rows[0]
    assert first["text"] == TEXT and {row["split"] for row in rows} == {"new"}
    words = ["RT", "@", "you", ":", "it", "'", "s", "great", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "#", "NBA"]
    assert first["tokens"] == words == [TEXT[start:end] for start, end in first["offsets"]]
    assert [row["tags"] for row in rows] == [None] * len(rows)
    expected = {"jsonl": ["7", "new-00002", "new-00003"], "csv": ["7", "8"], "tsv": ["new-00001"]}
    assert [row["post_id"] for row in rows] == expected.get(name, ["new-00001", "new-00002"])
    if name in ("jsonl", "csv"):
        assert first["image_url"] == "https://x.y/a.jpg" and len(first["image_id"]) == 16
    if name == "jsonl":
        assert (rows[1]["text"], rows[1]["offsets"], rows[1]["tokens"]) == (None, None, ["a", "b"])
        assert rows[2]["tokens"] == [] and "expected a JSON object" in rows[2]["error"]
    metadata = parquet.metadata(output)
    split = metadata["splits"]["new"]
    assert (split["posts"], split["unreadable"]) == (len(rows), int(name == "jsonl"))
    assert split["sha256"] == hashlib.sha256(content).hexdigest() and metadata["label_version"] is None


def test_ranges_and_ids_of_new_posts(tmp_path, capsys):
    (tmp_path / "new").write_text("".join(json.dumps({"id": n % 4, "text": f"a {n}"}) + "\n" for n in range(6)))
    files = {"new": str(tmp_path / "new")}
    code, output = run(tmp_path, files, format="jsonl", ranges={"new": "2-4"})
    assert code == 0 and [row["post_id"] for row in parquet.rows("posts", output)] == ["1", "2", "3"]
    output.unlink()
    assert run(tmp_path, files, format="jsonl")[0] == 1 and not output.exists()
    assert "the post id '0' names 2 posts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"files": {"new": "a", "train": "b"}, "format": "csv"}, "'new' holds posts without tags and stands alone"),
        ({"files": {"new": "a"}}, "posts.format: found umt; expected one of jsonl, csv, tsv, parquet, text"),
        ({"files": {"train": "a"}, "format": "tsv"}, "posts.format: tsv has no tags; name its file in posts.files.new"),
        (
            {"files": {"new": "a"}, "format": "csv", "columns": {"text": "t"}},
            "new posts have the columns text or tokens",
        ),
        ({"files": {"new": "{folder}/empty"}, "format": "jsonl"}, "no posts found; expected the format 'jsonl'"),
    ],
)
def test_what_does_not_fit_new_posts_is_told(tmp_path, capsys, settings, message):
    (tmp_path / "empty").touch()
    files = {split: name.format(folder=tmp_path) for split, name in settings["files"].items()}
    assert run(tmp_path, files, **{key: value for key, value in settings.items() if key != "files"})[0] == 1
    assert message in capsys.readouterr().err


def write_splits(tmp_path, **texts):
    for split, text in texts.items():
        (tmp_path / split).write_text(text)
    return {split: str(tmp_path / split) for split in texts}


def test_ids_that_restart_in_each_split_are_told_apart(tmp_path, capsys):
    texts = {split: f'{{"id": "0", "tokens": ["{split}"], "tags": ["O"]}}\n' for split in SPLITS}
    code, output = run(tmp_path, write_splits(tmp_path, **texts), format="jsonl")
    assert code == 0
    table = parquet.read("posts", output)
    assert [row["post_id"] for row in table.to_pylist()] == ["train-0", "dev-0", "test-0"]
    assert parquet.metadata(table)["ids_in_several_splits"] == 1
    assert "1 ids are in several splits" in capsys.readouterr().err


def test_numbered_tags_of_another_scheme_are_read_and_told(tmp_path):
    names = ["O", "S-PER", "B-PER", "E-PER"]
    (tmp_path / "names.json").write_text(json.dumps({"features": {"ner_tags": {"feature": {"names": names}}}}))
    texts = dict.fromkeys(SPLITS, "Ann\tx\t1\n\nAnn\tx\t2\nLee\tx\t3\n")
    settings = {"columns": {"tags": 3}, "features": str(tmp_path / "names.json")}
    code, output = run(tmp_path, write_splits(tmp_path, **texts), **settings)
    assert code == 0
    assert [row["tags"] for row in parquet.rows("posts", output)] == [["B-PER"], ["B-PER", "I-PER"]] * 3
    assert parquet.metadata(output)["splits"]["dev"]["converted"] == {"E": 1, "S": 1}


def test_equal_texts_cost_as_much_as_others(tmp_path, capsys):
    """3,000 in each of two splits: 9 million pairs, of which a few are named."""
    texts = {"train": "a\tO\n\n" * 3000, "dev": "a\tO\n\n" * 3000, "test": "b\tO\n"}
    code, output = run(tmp_path, write_splits(tmp_path, **texts))
    assert code == 0
    summary = parquet.metadata(output)["duplicates"]["train/dev"]
    assert (summary["texts"], summary["pairs"], len(summary["examples"])) == (1, 9_000_000, 1)
    assert output.stat().st_size < 1_000_000 and len(capsys.readouterr().err) < 1000


def test_many_types_are_counted_in_a_few_lines(tmp_path, capsys):
    """As of a column that holds no tags of types."""
    text = "".join(f"a\tB-t{number}\n" for number in range(5000))
    code, output = run(tmp_path, write_splits(tmp_path, train=text + "a\tB-t7\n", dev=text, test=text))
    assert code == 0
    train = parquet.metadata(output)["splits"]["train"]
    assert len(train["types"]) == 100 and train["further_types"] == 4900 and train["types"]["t7"] == 2
    assert len(capsys.readouterr().err) < 10_000
