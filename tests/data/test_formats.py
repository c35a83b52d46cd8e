"""Annotation formats: every reader, and what it says about malformed files."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ita.data.class_labels import read_names
from ita.data.formats import STANDARD, read_posts
from ita.data.records import Layout
from ita.data.tags import repair
from ita.errors import UserError

UMT = "IMGID:1\nNew\tB-LOC\nYork\tI-LOC\n!\tO\n\nIMGID:2\nhi\tO\n"


def read(text, format_name="umt", layout=STANDARD):
    return read_posts(text.encode() if isinstance(text, str) else text, "f", format_name, layout)


def test_umt():
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


def test_three_line():
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


def test_empty_words_of_a_context_are_left_out():
    (post,) = read("a\tO\n<EOS>\tX\n\tX\nb\tX\n\tX\n", "ita")
    assert (post.tokens, post.context) == (["a"], ("b",))
    for text, format_name in (("a\tO\n\tX\n", "ita"), ("a\tO\n\tX\n", "umt"), ("a\tO\n\tO\n", "ita")):
        with pytest.raises(UserError, match="f:2: expected"):
            read(text, format_name)


def test_ita():
    (post,) = read("a\tO\nb\tB-PER\n<EOS>\tX\nc\tB-X\n<EOS>\tX\nd\tX\n", "ita")
    assert (post.tokens, post.tags, post.context) == (["a", "b"], ["O", "B-PER"], ("c", "<EOS>", "d"))


@pytest.mark.parametrize(
    ("text", "format_name", "message"),
    [
        ("IMGID:1\nword\n", "umt", "f:2: expected 'word<TAB>tag', found 'word'"),
        ("IMGID:1\na\tO\nb\tPER\n", "umt", "f:3: expected the tag O, B-TYPE or I-TYPE, found 'PER'"),
        ("IMGID:1\na\tO\n\nIMGID:2\n\n", "umt", "f:4: expected a post with at least one word"),
        ("IMGID:1\n\tO\n", "umt", "f:2: expected 'word<TAB>tag'"),
        (b"IMGID:1\n\xff\tO\n", "umt", "f:2: expected UTF-8 text, found byte 0xff"),
        ("", "umt", "no posts found"),
        ("a b\nO\nx.jpg\n", "three_line", "f:1: expected as many tags as words, found 1 and 2"),
        ("a b\nO O\n", "three_line", "expected three lines a post"),
        (
            '{"tokens": ["a"], "tags": ["O"]}\n{"tokens": ["a"]}\n',
            "jsonl",
            "f:2: expected a key tags or ner_tags or labels, found",
        ),
        ('{"tokens": "a", "tags": ["O"]}\n', "jsonl", "f:1: expected 'tokens' to be a list"),
        ("{\n", "jsonl", "f:1: not JSON: "),
        (b"PAR", "parquet", "f: expected a Parquet file"),
        (b"\xff\xff\xff\xff\x10", "parquet", "found an Arrow file"),
        ("a\tO\nb\tX\n", "ita", "f:2: expected <EOS> before the context, found 'b'"),
        ("a\tO\n<EOS>\tX\nb\tO\n", "ita", "f:3: expected every line after <EOS> to be tagged X, found 'O'"),
    ],
)
def test_malformed_input_is_named_with_its_line(text, format_name, message):
    with pytest.raises(UserError) as error:
        read(text, format_name)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["Acme NNP B-NP B-ORG\nbuys VBZ B-VP O\n", "-DOCSTART- -X- O O\n\nAcme\tNNP\tB-NP\tB-ORG\nbuys\tVBZ\tB-VP\tO\n"],
)
def test_columns_are_chosen_and_never_glued(text):
    with pytest.raises(UserError, match=r"f:\d: expected two columns, word and tag, found 4: .*posts.columns: {tokens"):
        read(text)
    for columns in ({"tokens": 1, "tags": 4}, {"tags": -1}):
        (post,) = read(text, layout=Layout(columns))
        assert (post.tokens, post.tags) == (["Acme", "buys"], ["B-ORG", "O"])
    assert read(text, layout=Layout({"tokens": 2, "tags": 3}))[0].tags == ["B-NP", "B-VP"]
    with pytest.raises(UserError, match="a column 5 .posts.columns.tags., found 4 columns"):
        read(text, layout=Layout({"tags": 5}))
    with pytest.raises(UserError, match="posts.columns.tags: found 'ner', expected the number of a column"):
        read(text, layout=Layout({"tags": "ner"}))


def test_blanks_comments_and_document_lines_are_no_words():
    comments = "-DOCSTART-\tO\n\n# sent_id = 1\n# text = ACME buys # O\nIMGID: 12 \n Acme \t B-ORG \n#\tO\n# \tO\n"
    (post,) = read(comments)
    assert (post.tokens, post.tags, post.image_id) == (["Acme", "#", "#"], ["B-ORG", "O", "O"], "12")
    (post,) = read("# id 5f\tdomain=en\nAcme _ _ B-ORG\n", layout=Layout({"tags": 4}))
    assert post.tokens == ["Acme"]
    assert read("# O\na O\n")[0].tokens == ["#", "a"], "a hashtag is a word"
    with pytest.raises(UserError, match="f:1: expected 'word<TAB>tag'"):
        read("New York\tB-LOC\n")


@pytest.mark.parametrize(
    ("tags", "converted"),
    [
        ("I-PER I-LOC I-LOC", {}),
        ("B-PER B-LOC I-LOC", {}),
        ("S-PER B-LOC E-LOC", {"E": 1, "S": 1}),
        ("U-PER B-LOC L-LOC", {"L": 1, "U": 1}),
        ("S-PER S-LOC E-LOC", {"E": 1, "S": 2}),
    ],
)
@pytest.mark.parametrize("format_name", ["umt", "three_line", "jsonl", "csv", "parquet"])
def test_schemes_are_read_as_iob(tags, converted, format_name):
    words = ["Ann", "New", "York"]
    record = {"tokens": words, "tags": tags.split()}
    lines = "".join(f"{word}\t{tag}\n" for word, tag in zip(words, tags.split(), strict=True))
    texts = {
        "umt": lines,
        "three_line": f"Ann New York\n{tags}\n1.jpg\n",
        "jsonl": json.dumps([record], indent=1),
        "csv": f"tokens;tags\nAnn New York;{tags.split()}\n",
        "parquet": parquet_of([record]),
    }
    (post,) = read(texts[format_name], format_name)
    expected = ["B-PER", "B-LOC", "B-LOC"] if tags.startswith("S-PER S") else ["B-PER", "B-LOC", "I-LOC"]
    assert (repair(post.tags)[0], dict(post.converted)) == (expected, converted)


def parquet_of(records, metadata=None):
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records).replace_schema_metadata(metadata), file)
    return file.getvalue()


@pytest.mark.parametrize("text", ["IMGID:1\nAcme\tB-ORG\n<EOS>\tB-X\na\tB-X\n", "Acme\tB-ORG\n<EOS>\tX\n"])
def test_files_with_contexts_are_not_taken_for_plain_ones(text):
    with pytest.raises(UserError, match="posts.format: ita"):
        read(text)


@pytest.mark.parametrize("key", ["image", "image_id", "image_url", "id"])
@pytest.mark.parametrize("value", [["1.jpg"], {"path": "1.jpg", "bytes": None}, 1.5, 12.0, float("nan"), True, False])
@pytest.mark.parametrize("format_name", ["jsonl", "parquet"])
def test_types_of_values_are_checked(key, value, format_name):
    records = [{"tokens": ["a"], "tags": ["O"], key: value}]
    content = json.dumps(records[0]) if format_name == "jsonl" else parquet_of(records)
    with pytest.raises(UserError, match=f"f:1: expected '{key}' to be a text or a whole number, found "):
        read(content, format_name)


def test_images_under_either_name():
    def image(**values):
        post = read(json.dumps({"tokens": ["a"], "tags": ["O"], **values}), "jsonl")[0]
        return post.image_id, post.image_url

    assert image(image=None, image_id="7") == image(image="", image_id=" 7 ") == image(image=7) == ("7", None)
    assert image(image="https://a/7.jpg", image_id="7") == ("7", "https://a/7.jpg")
    columns = Layout({"tokens": "words", "tags": "ner", "image": "photo", "id": "key"})
    record = {"words": ["a"], "ner": ["O"], "photo": "7", "key": 5}
    (post,) = read(json.dumps(record), "jsonl", columns)
    assert (post.image_id, post.post_id) == ("7", "5")


@pytest.mark.parametrize(
    "line",
    [
        '{"tokens":["a"],"tags":["O"],"x":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"tokens":["a"],"tags":["O"],"image":' + "9" * 5000 + "}",
        '{"tokens":["\\ud800"],"tags":["O"]}',
        '{"tokens":["a"],"tags":["O"],"image":"http://x/\\ud800"}',
        '{"tokens":["a"],"tags":["B-\\udfff"]}',
        '{"tokens":["a"],"tags":["O"],"tokens":["b"]}',
        '{"tokens":["a\\u0000"],"tags":["O"]}',
        '{"tokens":["a", 1],"tags":["O","O"]}',
        '{"tokens":["a", null],"tags":["O","O"]}',
        '{"tokens":[" "],"tags":["O"]}',
        '{"tokens":["a"],"tags":[true]}',
        '{"tokens":["a"],"tags":[1.0]}',
        '{"tokens":["a"],"tags":[0]}',
        '{"tokens":["' + "a" * 100_000 + '"],"tags":["PER"]}',
        "5",
        "null",
        '"a"',
    ],
)
def test_dirty_json_is_told_with_file_and_line(line):
    for format_name in ("jsonl", "spans", "relation"):
        with pytest.raises(UserError, match=r"^f:2: ") as error:
            read('{"tokens":["a"],"tags":["O"],"text":"a","spans":[],"related":1}\n' + line, format_name)
        assert len(str(error.value)) < 400


CLASS_LABEL = {"names": ["O", "B-PER", "I-PER"], "_type": "ClassLabel"}
FEATURES = {
    "pos_tags": {"feature": {"names": ["NN"], "_type": "ClassLabel"}, "_type": "Sequence"},
    "ner_tags": {"feature": CLASS_LABEL, "_type": "Sequence"},
}


@pytest.mark.parametrize(
    "content",
    [
        {"features": FEATURES},
        {"default": {"features": FEATURES}},
        {"features": {"ner_tags": [CLASS_LABEL]}},
        {"id2label": {"0": "O", "1": "B-PER", "2": "I-PER"}, "label2id": {}},
        {"O": 0, "I-PER": 2, "B-PER": 1},
        ["O", "B-PER", "I-PER"],
    ],
)
def test_names_of_numbered_tags(content, tmp_path):
    (tmp_path / "names.json").write_text(json.dumps(content))
    names = read_names(tmp_path / "names.json", ("tags", "ner_tags"))
    record = {"tokens": ["Ann", "Lee"], "ner_tags": [1, 2]}
    (post,) = read(json.dumps(record), "jsonl", Layout({}, names))
    assert post.tags == ["B-PER", "I-PER"]
    assert read("Ann\t1\nLee\t2\n", layout=Layout({}, names))[0].tags == post.tags
    assert read("tokens,ner_tags\nAnn Lee,1 2\n", "csv", Layout({}, names))[0].tags == post.tags
    with pytest.raises(UserError, match="expected a number below 3 for a tag, found 3"):
        read("a\t3\n", layout=Layout({}, names))


def test_parquet_files_of_datasets_bring_their_names():
    metadata = {"huggingface": json.dumps({"info": {"features": FEATURES}})}
    records = [{"id": "0", "tokens": ["Ann"], "pos_tags": [0], "ner_tags": [1]}]
    assert read(parquet_of(records, metadata), "parquet")[0].tags == ["B-PER"]
    with pytest.raises(UserError, match="f:1: expected tags by name, found the number 1; .*posts.tag_names"):
        read(parquet_of(records), "parquet")


@pytest.mark.parametrize("names", [{"a": 1, "b": 1}, {}, [1], "x", {"features": {"text": {"dtype": "string"}}}])
def test_a_file_without_names_is_told(names, tmp_path):
    (tmp_path / "names.json").write_text(json.dumps(names))
    with pytest.raises(UserError, match="expected names of tags"):
        read_names(tmp_path / "names.json", ("tags",))


@pytest.mark.parametrize(
    ("text", "format_name", "likely"),
    [
        ('{"tokens": ["a"], "tags": ["O"]}\n', "umt", "jsonl"),
        ('{"text": "a", "label": []}\n', "jsonl", "spans"),
        ("a\tO\nb\tO\n", "jsonl", "umt"),
        ("a b\nO O\n1.jpg\n", "umt", "three_line"),
        ("tokens,tags\na,O\n", "umt", "csv"),
        (b"PAR1....", "umt", "parquet"),
    ],
)
def test_the_likely_format_is_named(text, format_name, likely):
    with pytest.raises(UserError, match=f"looks like the format '{likely}'"):
        read(text, format_name)


@pytest.mark.parametrize(
    ("cell", "tokens"),
    [
        ("a b", ["a", "b"]),
        ('["a", "\\ud83d\\ude00"]', ["a", "\U0001f600"]),
        ('["a", "b"]', ["a", "b"]),
        ("['a', \"b'\"]", ["a", "b'"]),
    ],
)
def test_lists_in_cells(cell, tokens):
    quoted = '"' + cell.replace('"', '""') + '"'
    assert read(f"id,tokens,tags,image\n7,{quoted},O O,x\n", "csv")[0].tokens == tokens


@pytest.mark.parametrize(
    "cell", ["['a' 'b']", "[__import__('os')]", "[" * 1000, "['a', ['b']]", "['a'", "['\\uf0f', 'a']", "['\\ud83d']"]
)
def test_cells_that_are_no_list_of_words_are_told(cell):
    with pytest.raises(UserError, match="f:2: expected 'tokens' to be a list"):
        read(f'tokens,tags\n"{cell}",O O\n', "csv")
