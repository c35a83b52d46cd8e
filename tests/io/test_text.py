"""Text from outside: encodings, line ends, JSON and CSV."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ita.errors import UserError
from ita.io.text import QUOTED, csv_records, decode, load_json, numbered_lines, quote, strings_in

TEXT = "IMGID:1\nCaf\u00e9\tB-LOC\n\u6f22\u5b57\tO\n\na\u2028b\x85c\tO"


@pytest.mark.parametrize("content", [TEXT.encode(), TEXT.encode("utf-8-sig"), TEXT.replace("\n", "\r\n").encode()])
def test_lines_end_in_lf_or_crlf_and_in_nothing_else(content):
    assert list(numbered_lines(content, "f")) == list(enumerate(TEXT.split("\n"), 1))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ["a\tO\n", TEXT, "\u6f22\tO\n\u5b57\tB-PER\n"])
@pytest.mark.parametrize("read", [decode, lambda *names: list(numbered_lines(*names))])
def test_wide_encodings_are_named_with_or_without_their_mark(encoding, text, read):
    with pytest.raises(UserError) as error:
        read(text.encode(encoding), "f")
    name = encoding.upper()
    assert f"f:1: the file is {name}" in str(error.value)
    assert f"iconv -f {name} -t UTF-8 f" in str(error.value)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("Caf\u00e9".encode("latin-1"), "iconv -f LATIN1"),
        ("\u201cCaf\u00e9\u201d".encode("cp1252"), "iconv -f WINDOWS-1252"),
        (b"a\xed\xa0\xbdb", "half a character"),
        (b"a\xe2\x82", "cut off"),
        (b"a\0b", "NUL"),
        (b"a\rb\rc", "CR alone"),
    ],
)
def test_other_bytes_are_named_with_their_line(line, found):
    with pytest.raises(UserError, match=r"^f:3: .*") as error:
        list(numbered_lines(b"x\ny\n" + line, "f"))
    assert found in str(error.value)
    if b"\r" not in line:
        with pytest.raises(UserError, match=r"^f:3: .*"):
            decode(b"x\ny\n" + line, "f")


@pytest.mark.parametrize(
    "start", [b"PK\x03\x04", b"\x1f\x8b\x08", b"PAR1", b"%PDF-1.4", b"version https://git-lfs.github.com/spec/v1\n"]
)
def test_files_that_are_no_text_are_named(start):
    with pytest.raises(UserError, match="f:1: the file is .*; expected UTF-8 text"):
        decode(start, "f")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' is there twice"),
        ('{"x": [{"b": 1, "c": 2, "b": 3}]}', "the key 'b' is there twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "[" * 101 + "]" * 101 + "}", "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "5000 digits"),
        ('{"a": ["so", "cool\\ud83d"]}', "U\\+D83D alone, half a character"),
        ('{"a\\uDFFF": 1}', "U\\+DFFF alone"),
        ("", "Expecting value at column 1"),
    ],
)
def test_what_is_no_clean_json_is_told(text, message):
    with pytest.raises(ValueError, match=message):
        load_json(text)


def test_json_that_is_fine_is_read():
    assert load_json('\ufeff{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}
    assert len(load_json("[" + "[1]," * 500 + "2]")) == 501
    deep = json.loads("[" * 900 + '"a"' + "]" * 900)
    assert list(strings_in(deep)) == ["a"], "however deep"


def rows(text):
    return list(csv_records(numbered_lines(text.encode(), "f"), "f"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_rows_of_csv_know_their_line(delimiter):
    text = '\na,b\n1,"x\ny"\n\n2,z\n'.replace(",", delimiter)
    assert rows(text) == [(3, {"a": "1", "b": "x\ny"}), (6, {"a": "2", "b": "z"})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,a\n", "f:1: expected columns of different names, found 'a' twice"),
        ("a,b\n1,2\n3\n", "f:3: expected 2 cells, as the header has, found 1"),
        ('a,b\n1,"2\n', "f:2: expected a row of a CSV file"),
    ],
)
def test_rows_that_do_not_fit_are_named(text, message):
    with pytest.raises(UserError) as error:
        rows(text)
    assert message in str(error.value)


def test_a_huge_cell_is_a_cell():
    assert len(rows("a\n" + "x" * 300_000)[0][1]["a"]) == 300_000


@given(st.recursive(st.text() | st.integers() | st.floats() | st.binary(), lambda inner: st.lists(inner, max_size=50)))
def test_quotes_are_short_and_of_one_line(value):
    assert len(quote(value)) <= QUOTED
    assert quote(value).isprintable()
