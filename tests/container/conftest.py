"""The image, built once for all tests of this folder."""

import os
import shutil

import pytest

from tests.support.image import Builder


@pytest.fixture(scope="session")
def builder(tmp_path_factory):
    for program in ("buildah", "mmdebstrap"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: apt-get install -y buildah mmdebstrap")
    if os.geteuid():
        pytest.skip("builds as root")
    return Builder(tmp_path_factory.mktemp("builder"))


@pytest.fixture(scope="session")
def image(builder):
    return builder.image()


@pytest.fixture(scope="session")
def container(builder, image):
    with builder.container(image) as name:
        yield name
