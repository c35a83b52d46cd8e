"""What the tests of both Faster R-CNN detectors share."""

import pytest
import torch

from ita.vision.types import DecodedImage
from tests.support.pictures import scene


def decoded_scenes(*sizes):
    """Images of coloured boxes of some sizes, each different."""
    return [DecodedImage(str(number), scene(*size, number)) for number, size in enumerate(sizes)]


def assert_independent_of_batches(detector):
    """Regions of an image are the same whatever else is handed over; some sizes are equal, some are not."""
    images = decoded_scenes((120, 80), (80, 120), (120, 80), (120, 80), (97, 97))
    for image, together in zip(images, detector.regions(images), strict=True):
        (alone,) = detector.regions([image])
        assert [item.label for item in together.objects] == [item.label for item in alone.objects]
        for item, expected in zip(together.objects, alone.objects, strict=True):
            assert item.score == pytest.approx(expected.score, abs=1e-5)
            assert item.box == pytest.approx(expected.box, abs=1e-2)
            assert dict(item.attributes) == pytest.approx(dict(expected.attributes), abs=1e-4)
        torch.testing.assert_close(together.features, alone.features, atol=1e-4, rtol=1e-4)
