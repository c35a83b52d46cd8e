"""Memory does not grow with the number of posts: what Python holds while a stage runs, for few posts and for many."""

import json
import tracemalloc

import pytest

from ita.io import parquet
from ita.stages import context, posts

FEW, MANY = 4096, 2 * 4096
"""A row group and two: one is held until it is written."""
SIZES = (1, FEW, MANY)
"""The first for imports."""


def peak(work, *arguments, **options):
    """Most bytes held at a time."""
    tracemalloc.start()
    work(*arguments, **options)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Folder of posts and captions of each size."""
    folder = tmp_path_factory.mktemp("tables")
    for count in SIZES:
        rows = ({"post_id": str(n), "image_id": str(n), "split": "new", "tokens": ["a"]} for n in range(count))
        parquet.write("posts", rows, folder / f"posts-{count}.parquet")
        captions = ({"image_id": str(n), "rank": 0, "caption": f"a dog and {n} cats"} for n in range(count))
        parquet.write("captions", captions, folder / f"captions-{count}.parquet")
    return folder


def test_contexts_are_joined_on_disk(tables, tmp_path):
    peaks = {}
    for count in SIZES:
        files = {name: tables / f"{name}-{count}.parquet" for name in ("posts", "captions")}
        output = tmp_path / f"{count}.parquet"
        peaks[count] = peak(context.work, {"context": {"kinds": ["ga"]}}, output, cache=tmp_path, **files)
        assert parquet.rows("contexts", output)[-1]["tokens"] == ["a", "dog", "and", str(count - 1), "cats"]
    assert peaks[MANY] < 1.2 * peaks[FEW]


def test_new_posts_pass_through(tmp_path):
    peaks = {}
    for count in SIZES:
        file = tmp_path / f"{count}.jsonl"
        file.write_text("".join(json.dumps({"text": f"post {n} of many"}) + "\n" for n in range(count)))
        settings = {"posts": {"format": "jsonl", "files": {"new": str(file)}}}
        peaks[count] = peak(posts.work, settings, tmp_path / f"{count}.parquet", cache=tmp_path)
    assert peaks[MANY] < 1.2 * peaks[FEW]
