"""Running services: one whose model reads images, with the limits that users get, and one with small limits."""

import pytest

from tests.support import service
from tests.support.runs import trained
from tests.tagging.conftest import pictured

__all__ = ["pictured"]


@pytest.fixture(scope="session")
def run(corpus, tiny_encoder, tmp_path_factory):
    """A tagger of the made-up corpus that reads text alone."""
    system = {"context": "none", "views": ["t"]}
    return trained(corpus, tmp_path_factory.mktemp("runs") / "run", tiny_encoder, system, epochs=8)


@pytest.fixture(scope="session")
def served(tesseract, pictured, tmp_path_factory):
    """A service with all kinds of image text."""
    log = tmp_path_factory.mktemp("served") / "log"
    with service.running(pictured.run("image-text"), log, "--threads", "1") as running:
        yield running


@pytest.fixture(scope="session")
def limited(run, tmp_path_factory):
    """A service with small limits, whose model is as slow as its posts say."""
    limits = ["--max-body", "20000", "--max-posts", "4", "--max-text", "200", "--max-queue-posts", "8"]
    limits += ["--request-seconds", "2.5", "--body-seconds", "2", "--header-seconds", "2", "--max-connections", "100"]
    with service.running(run, tmp_path_factory.mktemp("limited") / "log", *limits, slow=True) as running:
        yield running
