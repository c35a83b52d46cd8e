"""Simulated runs."""

import pytest

from tests.support import made_runs
from tests.support.made_reports import F1


@pytest.fixture
def post_rows():
    """Made-up posts."""
    return made_runs.posts()


@pytest.fixture
def metrics(tmp_path, post_rows):
    """Metrics of runs on them, whose predictions agree with their metrics."""
    return made_runs.write(tmp_path, post_rows)


@pytest.fixture
def known_metrics(metrics):
    """The same with given F1 in their metrics."""
    made_runs.overwrite(metrics, F1)
    return metrics
