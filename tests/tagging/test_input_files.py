"""Posts from files and streams."""

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ita.errors import UserError
from ita.tagging.input_files import count_records, format_of, read_records
from ita.tagging.posts import UnreadablePost, parse_post


def read(content, format_name):
    content = content.encode() if isinstance(content, str) else content
    return list(read_records(io.BufferedReader(io.BytesIO(content)), format_name, "posts"))


def values(content, format_name):
    return [record.values for record in read(content, format_name)]


def test_formats_by_name():
    names = ["a.json", "a.csv", "a.TSV", "a.jsonl", "b.parquet", "a.txt", "-", "a"]
    assert [format_of(name) for name in names] == [
        *("jsonl", "csv", "tsv", "jsonl", "parquet", "lines", "lines", "lines"),
    ]


def test_lines_of_json_and_of_text():
    content = 'aa\u2028bb\x0cc\r\n\n{"text": "b", "id": 1}\n  \nlast'
    assert values(content, "lines") == [{"text": "aa\u2028bb\x0cc"}, {"text": "b", "id": 1}, {"text": "last"}]
    assert [record.line for record in read(content, "lines")] == [1, 3, 5]
    assert values('{"text": "b"}', "text") == [{"text": '{"text": "b"}'}]
    assert values("a\rb\r", "lines") == [{"text": "a"}, {"text": "b"}]


@pytest.mark.parametrize("line", ["{", '{"text": }', "{" * 100_000])
def test_broken_json_is_told_of_its_line(line):
    first, broken, last = read(f"a\n{line}\nb", "lines")
    assert "expected a JSON object or plain text" in broken.error and broken.line == 2
    assert (first.values, last.values) == ({"text": "a"}, {"text": "b"})


def test_json_lines_hold_objects():
    text, number = read("plain\n[1]\n", "jsonl")
    assert "expected a JSON object" in text.error and "found a JSON list" in number.error


@pytest.mark.parametrize(("format_name", "content"), [("lines", '{"text": "a"}'), ("lines", "a"), ("csv", '"text"\na')])
def test_a_byte_order_mark_is_no_text(format_name, content):
    assert values("\ufeff" + content, format_name) == [{"text": "a"}]
    if content.startswith("{"):
        assert values(f"{content}\n\ufeff{content}", format_name) == [{"text": "a"}] * 2, "of files joined by cat"


def test_rows_of_tables():
    content = 'id,text,image\n1,"a ""b""\nc",x.jpg\n\n2,d,\n3,e\n4,f,y,z\n'
    first, second, short, long = read(content, "csv")
    assert first.values == {"id": "1", "text": 'a "b"\nc', "image": "x.jpg"}
    assert second.values == {"id": "2", "text": "d", "image": None} and short.values == {"id": "3", "text": "e"}
    assert long.error == "expected 3 cells, found 4" and [row.line for row in (first, second, short, long)] == [
        1,
        2,
        3,
        4,
    ]
    assert values('text\tid\na "b\t7\n', "tsv") == [{"text": 'a "b', "id": "7"}]
    assert len(values("text\n" + "a" * 300_000, "csv")[0]["text"]) == 300_000
    assert csv.field_size_limit() >= 300_000


@pytest.mark.parametrize("format_name", ["lines", "csv"])
def test_bytes_that_are_not_utf8_cost_their_own_line_alone(format_name):
    content = b"text\n" * (format_name == "csv") + b"good\nb\xff\xfed\nalso\n"
    records = read(content, format_name)
    assert [record.values["text"] for record in (records[0], records[2])] == ["good", "also"]
    with pytest.raises(UnreadablePost, match="character 1 the byte 0xFF"):
        parse_post(records[1].values)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
@pytest.mark.parametrize("format_name", ["csv", "lines", "jsonl"])
def test_another_encoding_is_named(encoding, format_name):
    with pytest.raises(UserError, match=f"{encoding.upper()}; expected UTF-8"):
        read("text\na\n".encode(encoding), format_name)


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "a", "text": "b"}',
        '{"text": ' + "9" * 5000 + "}",
        '{"text": "a\\ud83d b", "id": 7}',
        '{"tokens": ["a", "\\ud83d"], "id": 7}',
        '{"text": "a", "x": ' + "[" * 900 + '"\\udfff"' + "]" * 900 + "}",
        '{"text": "a", "image": {"a": 1}}',
        '{"text": "a", "image": ["1.jpg"]}',
        '{"text": "a", "image": true}',
        '{"text": "a", "image": 1.5}',
    ],
)
def test_a_bad_line_costs_one_answer(line):
    """And keeps what else can be read of it, such as its id."""
    first, bad, last = read(f"a\n{line}\nb", "lines")
    assert (first.values, last.values) == ({"text": "a"}, {"text": "b"})
    if bad.error is None:
        with pytest.raises(UnreadablePost) as error:
            parse_post(bad.values)
        assert len(str(error.value)) < 300 and bad.values.get("id", 7) == 7


@pytest.mark.parametrize("content", ["", "id,words\n1,a\n"])
def test_a_table_needs_posts(content):
    with pytest.raises(UserError, match="expected a column 'text' or 'tokens', found"):
        read(content, "csv")


def parquet_file(table):
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=3)
    return file.getvalue()


def test_parquet_with_images(tmp_path):
    texts = [f"a{number}" for number in range(7)]
    images = [{"bytes": bytes([number]), "path": None} for number in range(7)]
    content = parquet_file(pa.table({"text": texts, "image": images, "id": range(7)}))
    records = read(content, "parquet")
    assert [record.values["text"] for record in records] == texts and [record.line for record in records] == [
        *range(1, 8)
    ]
    assert [parse_post(record.values).image for record in records] == [bytes([number]) for number in range(7)]
    (tmp_path / "a.parquet").write_bytes(content)
    assert count_records(tmp_path / "a.parquet", "parquet") == 7

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    assert len(list(read_records(Pipe(content), "parquet", "posts"))) == 7


def test_text_of_parquet_that_is_not_utf8():
    broken = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\3\0\0\0"), pa.py_buffer(b"ab\xff")]
    )
    first, second = read(parquet_file(pa.table({"text": broken})), "parquet")
    assert first.values == {"text": "a"}
    with pytest.raises(UnreadablePost, match="byte 0xFF"):
        parse_post(second.values)


def test_no_parquet_file():
    with pytest.raises(UserError, match="not a readable Parquet file"):
        read("text\na", "parquet")


def test_lines_are_counted(tmp_path):
    (tmp_path / "a").write_text("\n".join(json.dumps({"text": "a"}) for _ in range(5)) + "\n")
    assert (count_records(tmp_path / "a", "lines"), count_records(tmp_path / "a", "csv")) == (5, None)


def test_columns_of_one_name_are_told():
    with pytest.raises(UserError, match="posts:1: expected columns of different names, found 'text' twice"):
        read("text,id,text\na,1,b\n", "csv")


def test_half_a_character_in_a_list_in_a_cell():
    (record,) = read('tokens\n"[""hi"", ""\\ud83d""]"\n', "csv")
    with pytest.raises(UnreadablePost, match="has at character 0 the surrogate"):
        parse_post(record.values)
    (record,) = read("tokens\n" + "[" * 100_000 + "\n", "csv")
    assert len(parse_post(record.values).tokens) == 1, "a word of brackets"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_list_of_json_holds_a_post_an_item(mark):
    content = mark + json.dumps([{"text": "a"}, {"text": "b\ud83d"}, 3, {"text": "c"}], indent=1)
    first, half, number, last = read(content, "jsonl")
    assert (first.values, last.values) == ({"text": "a"}, {"text": "c"}) and (first.line, last.line) == (2, 9)
    assert number.error == "expected a JSON object, found a JSON int"
    with pytest.raises(UnreadablePost, match="half a character"):
        parse_post(half.values)
    with pytest.raises(UserError, match="posts:2: not JSON: "):
        read('[{"text": "a"},\n{"text"]', "jsonl")
    assert values('[1]\n{"text": "a"}\n', "jsonl") == [{}, {"text": "a"}], "lines of which one is a list"
