"""Readers, tags, sources and the posts stage."""

import hashlib
import http.server
import io
import json
import re
import tarfile
import threading
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ita.cli import run_stage
from ita.data import SPLITS
from ita.data import tags as codec
from ita.data.formats import read_posts
from ita.data.label_versions import RELABELLED_TEST_SPANS, label_version
from ita.data.sources import read_source
from ita.errors import UserError
from ita.io import parquet
from ita.stages import posts

UMT = "IMGID:1\nNew\tB-LOC\nYork\tI-LOC\n!\tO\n\nIMGID:2\nhi\tO\n"
TAGS = st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), max_size=8)


def read(text, layout="umt"):
    return read_posts(text.encode() if isinstance(text, str) else text, "f", layout)


def test_umt_layout():
    first, second = read(UMT)
    assert (first.tokens, first.tags, first.image_id) == (["New", "York", "!"], ["B-LOC", "I-LOC", "O"], "1")
    assert (second.tokens, second.image_id) == (["hi"], "2")


def test_crlf_and_lf_read_the_same():
    assert read(UMT.replace("\n", "\r\n")) == read(UMT)


@pytest.mark.parametrize(
    "odd", ["\u00a0", "\ufe0f", "\u200b", "\u200d", "\u0092", "\u00ad", "\x85", "\u2028", "a\u200eb"]
)
def test_odd_words_are_kept(odd):
    (post,) = read(f"IMGID:1\na\tO\n{odd}\tB-PER\nb\tO\n")
    assert post.tokens == ["a", odd, "b"]


def test_three_line_layout():
    (post,) = read("New York\nB-LOC I-LOC\n12.jpg\n", "three_line")
    assert (post.tokens, post.tags, post.image_id) == (["New", "York"], ["B-LOC", "I-LOC"], "12")


def test_jsonl_and_parquet_read_the_same():
    records = [
        {"tokens": ["a", "b"], "tags": ["O", "B-PER"], "image": "x", "id": "p1"},
        {"tokens": ["c"], "tags": ["O"], "image": None, "id": "p2"},
        {"tokens": ["d"], "tags": ["O"], "image": "https://example.org/a.jpg", "id": "p3"},
    ]
    from_json = read("\n".join(map(json.dumps, records)), "jsonl")
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), file)
    assert read(file.getvalue(), "parquet") == from_json
    assert [post.image_id for post in from_json[:2]] == ["x", None]
    assert from_json[2].image_url == "https://example.org/a.jpg"
    assert "/" not in from_json[2].image_id


def test_ita_layout():
    (post,) = read("a\tO\nb\tB-PER\n<EOS>\tX\nc\tB-X\n<EOS>\tX\nd\tX\n", "ita")
    assert (post.tokens, post.tags, post.context) == (["a", "b"], ["O", "B-PER"], ("c", "<EOS>", "d"))


@pytest.mark.parametrize(
    ("text", "layout", "message"),
    [
        ("IMGID:1\nword\n", "umt", "f:2: expected 'word<TAB>tag', found 'word'"),
        ("IMGID:1\na\tO\nb\tPER\n", "umt", "f:3: expected the tag O, B-TYPE or I-TYPE, found 'PER'"),
        ("IMGID:1\na\tO\n\nIMGID:2\n\n", "umt", "f:4: expected a post with at least one word"),
        ("IMGID:1\n\tO\n", "umt", "f:2: expected 'word<TAB>tag'"),
        (b"IMGID:1\n\xff\tO\n", "umt", "f:2: expected UTF-8 text, found byte 0xff"),
        ("", "umt", "no posts found"),
        ("a b\nO\nx.jpg\n", "three_line", "f:1: expected as many tags as words, found 1 and 2"),
        ("a b\nO O\n", "three_line", "expected three lines a post"),
        ('{"tokens": ["a"], "tags": ["O"]}\n{"tokens": ["a"]}\n', "jsonl", "f:2: expected 'tags' to be a list"),
        ('{"tokens": "a", "tags": ["O"]}\n', "jsonl", "f:1: expected 'tokens' to be a list"),
        ("{\n", "jsonl", "f:1: expected a JSON object"),
        (b"PAR", "parquet", "f: expected a Parquet file"),
        ("a\tO\nb\tX\n", "ita", "f:2: expected <EOS> before the context, found 'b'"),
        ("a\tO\n<EOS>\tX\nb\tO\n", "ita", "f:3: expected every line after <EOS> to be tagged X, found 'O'"),
    ],
)
def test_malformed_input_is_named_with_its_line(text, layout, message):
    with pytest.raises(UserError) as error:
        read(text, layout)
    assert message in str(error.value)


@given(TAGS)
def test_repair_gives_valid_tags_with_the_same_spans(tags):
    fixed, changed = codec.repair(tags)
    assert codec.spans(fixed) == codec.spans(tags)
    assert changed == sum(a != b for a, b in zip(tags, fixed, strict=True))
    for before, tag in zip(["O", *fixed], fixed, strict=False):
        assert not tag.startswith("I-") or before[2:] == tag[2:]


@given(TAGS)
def test_bioes_and_back(tags):
    fixed, _ = codec.repair(tags)
    inside = codec.to_bioes(fixed)
    assert codec.from_bioes(inside) == fixed
    assert set(inside) <= set(codec.tag_set(["PER", "LOC"]))
    for start, end, kind in codec.spans(fixed):
        assert inside[end - 1] == ("S-" if end - start == 1 else "E-") + kind


def test_archive_members_and_hashes(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/train.txt", UMT)
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        info = tarfile.TarInfo("train.txt")
        info.size = len(UMT)
        archive.addfile(info, io.BytesIO(UMT.encode()))
    digest = hashlib.sha256((tmp_path / "a.zip").read_bytes()).hexdigest()
    for source, expected in [(f"{tmp_path}/a.zip::in/train.txt", digest), (f"{tmp_path}/a.tgz::train.txt", None)]:
        found = read_source(source, expected, tmp_path, "posts.files.train")
        assert found.content == UMT.encode()
        assert found.sha256 == hashlib.sha256(UMT.encode()).hexdigest()
    for source, message in [
        (f"{tmp_path}/a.zip::nope", "has no file 'nope'; it holds in/train.txt"),
        (f"{tmp_path}/none.txt", "posts.files.train"),
        ("https://example.org/train.txt", "a URL needs its SHA-256"),
    ]:
        with pytest.raises(UserError, match=message.replace(".", r"\.")):
            read_source(source, None, tmp_path, "posts.files.train")
    with pytest.raises(UserError, match="expected 0000"):
        read_source(f"{tmp_path}/a.zip::in/train.txt", "0" * 64, tmp_path, "posts.files.train")


def run(tmp_path, files, **settings):
    output = tmp_path / "out" / "posts.parquet"
    chosen = json.dumps({"posts": {"files": files, **settings}})
    code = run_stage(
        posts, ["--settings", chosen, "--cache", str(output.parent / "downloads"), "--output", str(output)]
    )
    return code, output


def test_stage_repairs_renames_and_reports_duplicates(tmp_path, caplog):
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
    about = parquet.metadata(table)
    assert about["duplicates"] == {"train/dev": [["train-00001", "dev-00001"]]}
    assert about["splits"]["train"]["sha256"] == hashlib.sha256(texts["train"].encode()).hexdigest()
    assert re.fullmatch(r"own \([0-9a-f]{8}\)", about["label_version"])


def test_posts_from_a_server_are_checked_and_fetched_once(tmp_path, capsys):
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
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
        assert asked == []
        assert run(tmp_path, files, sha256={**hashes, "dev": "0" * 64}, allow_private=True)[0] == 1
        code, output = run(tmp_path, files, sha256=hashes, allow_private=True)
        assert code == 0
        assert asked.count("/train.txt") == 1, "the same bytes are not fetched again"
        server.shutdown()
    assert len(parquet.rows("posts", output)) == 6


def test_stage_says_what_is_missing(tmp_path, capsys):
    code, output = run(tmp_path, {"train": "nowhere.txt"})
    assert code == 1
    assert not output.exists()
    assert "nowhere.txt: cannot read it" in capsys.readouterr().err


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
    about = parquet.metadata(parquet.read("posts", output))
    assert about["label_version"] == version
    found = [tuple(about["splits"][s][key] for key in ("posts", "tokens", "spans", "repaired")) for s in SPLITS]
    assert found == expected
    pairs = {pair: len(found) for pair, found in about["duplicates"].items()}
    assert pairs == ({"train/dev": 2, "train/test": 4, "dev/test": 3} if "2015" in name else {"train/dev": 1})


def test_other_labels_on_known_posts_are_noticed(data):
    original = (data / "twitter2015" / "test.txt").read_bytes()
    unix, windows = read(original), read(original.replace(b"\n", b"\r\n"))
    assert label_version("other bytes", windows) == label_version("other bytes", unix) == "UMT Twitter-2015"
    missing = RELABELLED_TEST_SPANS - 5207
    changed = []
    for post in unix:
        tags = list(post.tags)
        if missing and set(tags) == {"O"}:
            tags[0], missing = "B-LOC", missing - 1
        changed.append(type(post)(post.tokens, tags, post.image_id))
    assert label_version("other bytes", changed) == "relabelled Twitter-2015"
    assert label_version("other bytes", [*changed[:-1], unix[0]]).startswith("own")
    unix[0].tags[0] = "B-LOC"
    assert label_version("other bytes", unix).startswith("UMT Twitter-2015, altered")
