"""Tables: written atomically, checked when read."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ita.errors import UserError
from ita.io import parquet
from ita.io.schemas import SCHEMAS

ROWS = [{"image_id": str(number), "text": f"text {number}"} for number in range(5000)]


@pytest.fixture
def ocr(tmp_path):
    """A table of two row groups."""
    parquet.write("ocr", ROWS, tmp_path / "ocr.parquet", {"note": 1})
    return tmp_path / "ocr.parquet"


def test_a_table_is_read_as_it_was_written(ocr):
    table = parquet.read("ocr", ocr)
    assert table.column_names == [column.name for column in SCHEMAS["ocr"].columns]
    assert table.to_pylist() == parquet.rows("ocr", ocr) == list(parquet.stream("ocr", ocr))
    assert table.to_pylist() == [{"confidence": None, "engine": None, "version": None, **row} for row in ROWS]
    assert parquet.metadata(table) == parquet.metadata(ocr) == {"table": "ocr", "note": 1}
    assert parquet.read("ocr", ocr, ["text"]).column_names == ["text"]


def test_batches_do_not_cross_row_groups(ocr):
    sizes = [batch.num_rows for batch in parquet.batches("ocr", ocr, 3000, ["text"])]
    assert sizes == [3000, 1096, 904]


@pytest.mark.parametrize("sizes", [(5000,), (1, 4999), (4096, 904), (2500, 2500)])
def test_row_groups_do_not_depend_on_how_rows_are_added(ocr, tmp_path, sizes):
    with parquet.create("ocr", tmp_path / "again.parquet") as writer:
        start = 0
        for size in sizes:
            writer.add(ROWS[start : start + size])
            start += size
        writer.metadata = {"note": 1}
    assert (tmp_path / "again.parquet").read_bytes() == ocr.read_bytes()


def test_a_table_appears_complete_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), parquet.create("ocr", tmp_path / "ocr.parquet") as writer:
        writer.add(ROWS)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_tables_are_checked_when_they_are_read(ocr, tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    table = pq.read_table(ocr)
    columns = table.drop_columns(["text"]).replace_schema_metadata({"ita": '{"table": "ocr"}'})
    pq.write_table(columns, tmp_path / "older.parquet")
    for name, file, message in [
        ("captions", "ocr", r"ocr\.parquet: expected the table 'captions', found 'ocr'"),
        ("ocr", "other", "expected the table 'ocr', found 'a Parquet file of another origin'"),
        ("ocr", "older", "columns differ from the table 'ocr' of this version; run its stage again"),
        ("ocr", "broken", "not a readable Parquet file"),
        ("ocr", "absent", "no such file; the stage that writes the table 'ocr' has to run first"),
    ]:
        for reader in (parquet.read, parquet.rows, lambda *names: list(parquet.stream(*names))):
            with pytest.raises(UserError, match=message):
                reader(name, tmp_path / f"{file}.parquet")


def test_files_without_an_optional_column_are_read(tmp_path):
    """posts.parquet of versions that knew no relation data."""
    row = {"post_id": "a", "tokens": ["b"], "tags": ["O"], "related": True}
    parquet.write("posts", [row], tmp_path / "posts.parquet")
    older = pq.read_table(tmp_path / "posts.parquet").drop_columns(["related"])
    older = older.replace_schema_metadata({"ita": '{"table": "posts"}'})
    pq.write_table(older, tmp_path / "older.parquet")
    assert parquet.rows("posts", tmp_path / "posts.parquet")[0]["related"] is True
    assert parquet.rows("posts", tmp_path / "older.parquet") == older.to_pylist()
    pq.write_table(older.drop_columns(["repaired"]), tmp_path / "older.parquet")
    with pytest.raises(UserError, match="columns differ from the table 'posts'"):
        parquet.check("posts", tmp_path / "older.parquet")


def test_a_table_is_read_in_parts(tmp_path):
    """Arrow left alone reads far ahead: memory would grow with the number of images."""
    values = np.random.default_rng(0).random(512, dtype=np.float32)
    rows = ({"image_id": str(n), "width": 1, "height": 1, "regions": 1, "features": values} for n in range(4000))
    parquet.write("features", rows, tmp_path / "f.parquet")  # 8 MB of values
    before, peak, count = pa.total_allocated_bytes(), 0, 0
    for batch in parquet.batches("features", tmp_path / "f.parquet", 16):
        peak, count = max(peak, pa.total_allocated_bytes() - before), count + len(batch)
    assert count == 4000 and peak < 2**20
    image_ids = [row["image_id"] for row in parquet.stream("features", tmp_path / "f.parquet", 5)]
    assert image_ids == list(map(str, range(4000)))


@pytest.mark.parametrize("rows", [range(0), range(7, 9), range(4000, 4200), range(4096, 5000), range(9000)])
def test_a_range_of_rows_is_read_alone(ocr, rows):
    texts = [row["text"] for row in parquet.stream("ocr", ocr, 512, ["text"], rows)]
    assert texts == [row["text"] for row in ROWS[rows.start : rows.stop]]
    assert parquet.count("ocr", ocr) == len(ROWS)


def test_a_changed_bit_is_told_wherever_it_is(tmp_path):
    """Pages have checksums, and our metadata and the number of rows one of their own."""
    rows = [{"image_id": str(number), "text": f"text {number % 7}"} for number in range(60)]
    parquet.write("ocr", rows, tmp_path / "ocr.parquet", {"note": "that"})
    whole = (tmp_path / "ocr.parquet").read_bytes()
    expected = parquet.rows("ocr", tmp_path / "ocr.parquet"), parquet.metadata(tmp_path / "ocr.parquet")
    chance, told = np.random.default_rng(0), 0
    for place in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(chance.integers(8))
        (tmp_path / "ocr.parquet").write_bytes(changed)
        try:
            found = parquet.rows("ocr", tmp_path / "ocr.parquet"), parquet.metadata(tmp_path / "ocr.parquet")
        except UserError as error:
            told += "not a readable Parquet file" in str(error)
        else:
            assert found == expected, place
    assert told > len(whole) / 6


def test_files_of_earlier_versions_have_no_checksums(ocr, tmp_path):
    table = pq.read_table(ocr).replace_schema_metadata({"ita": '{"table": "ocr", "note": 1}'})
    pq.write_table(table, tmp_path / "older.parquet")
    assert parquet.rows("ocr", tmp_path / "older.parquet") == parquet.rows("ocr", ocr)
    assert parquet.metadata(tmp_path / "older.parquet") == {"table": "ocr", "note": 1}
