"""Schemas, and results/README.md, which explains them."""

import json
import re

import pandas as pd
import pyarrow.parquet as pq
import pytest

from ita.io import parquet, schemas
from ita.io.schemas import SCHEMAS, arrow_schema, type_name
from tests.support.paths import ROOT

README = ROOT / "results" / "README.md"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column_is_described_in_the_file(name, tmp_path):
    parquet.write(name, [], tmp_path / "t.parquet")
    fields = pq.read_schema(tmp_path / "t.parquet")
    assert {field.name: field.metadata[b"description"].decode() for field in fields} == {
        column.name: column.description for column in SCHEMAS[name].columns
    }
    assert fields.equals(arrow_schema(name))


def test_types_in_words():
    types = {column.name: type_name(column.type) for name in SCHEMAS for column in SCHEMAS[name].columns}
    assert (types["post_id"], types["rank"], types["score"]) == ("string", "int32", "float32")
    assert types["tokens"] == "list of string"
    assert types["attributes"] == "list of (label string, score float32)"


def test_the_readme_has_the_columns_of_the_schemas(tmp_path):
    text = README.read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(re.sub(r"(?m)^\| `post_id`.*\n", "", text), encoding="utf-8")
    schemas.main([str(tmp_path / "README.md")])
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == text, (
        "write it again: python -m ita.io.schemas results/README.md"
    )
    for schema in SCHEMAS.values():
        assert f"`{schema.file}`" in text


def test_the_readme_says_how_to_read_metadata(tmp_path, monkeypatch):
    parquet.write(
        "posts", [{"post_id": "a", "tokens": ["b"]}], tmp_path / "results/demo/posts.parquet", {"label_version": "own"}
    )
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    exec(code, names)
    assert names["metadata"] == {"table": "posts", "label_version": "own"}
    assert names["descriptions"]["tokens"] == "words of the post"
    assert isinstance(names["posts"], pd.DataFrame)
    assert json.dumps([list(tokens) for tokens in names["posts"]["tokens"]]) == '[["b"]]'
