"""Shared fixtures: reference outputs and real data, both outside the repository."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _folder(variable, default):
    folder = Path(os.environ.get(variable) or ROOT.parent / "shared" / default)
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; set {variable}")
    return folder


@pytest.fixture(scope="session")
def golden():
    """Folder of reference outputs of the official systems."""
    return _folder("ITA_GOLDEN", "golden")


@pytest.fixture(scope="session")
def data():
    """Folder of real tweets, captions and images."""
    return _folder("ITA_DATA", "data")
