"""A report with all its pages, and one browser for all tests of them."""

import pytest

from ita.io import parquet
from tests.support.browser import browsing, open_posts
from tests.support.hostile import TEXTS
from tests.support.made_dataset import make_tables, run_report, write_runs, write_tables

COUNTS = {"train": 16, "dev": 16, "test": 500}
HOSTILE = "test-0"


@pytest.fixture(scope="package")
def report(tmp_path_factory):
    """A report of more posts than a script holds; the words of the first are hostile."""
    folder = tmp_path_factory.mktemp("report")
    posts = write_tables(folder, COUNTS, 4)
    first = next(post for post in posts if post["post_id"] == HOSTILE)
    first["tokens"] = [" ".join(text.split()) for text in TEXTS]
    first["tags"] = ["B-PER", *["O"] * (len(TEXTS) - 1)]
    parquet.write("posts", posts, folder / "posts.parquet", {"label_version": "v1"})
    predictions = write_runs(folder, posts, seeds=(1, 2, 3))
    return run_report(folder, predictions, tables=make_tables(folder, predictions), thumbnail=64)


@pytest.fixture(scope="package")
def page(report):
    """The page, opened from disk; nothing but files of the report may be asked for, nothing may fail."""
    with browsing(viewport={"width": 1280, "height": 800}) as opened:
        problems, requests = [], []
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.on("console", lambda message: message.type in ("error", "warning") and problems.append(message.text))
        opened.on("request", lambda request: requests.append(request.url))
        opened.set_default_timeout(15_000)
        open_posts(opened, report)
        yield opened
        assert problems == []
        assert all(url.startswith((f"file://{report}/", "data:")) for url in requests), requests
