"""Registries of backends: every name leads to a class, and an unknown name to a message."""

import pytest

from ita.errors import UserError
from ita.vision import detectors
from ita.vision.backends import load_backend


@pytest.mark.parametrize("name", detectors.BACKENDS)
def test_every_detector_can_be_imported(name):
    assert load_backend(detectors.BACKENDS, name, "detect.backend").__name__.lower().startswith(name.replace("-", ""))


def test_an_unknown_backend_is_named_with_those_there_are():
    with pytest.raises(UserError, match=r"setting detect\.backend: unknown backend 'yolo'; expected one of bottomup, "):
        load_backend(detectors.BACKENDS, "yolo", "detect.backend")
