"""Reference outputs of official detectors: a folder with golden.json, golden.npz, images, and weights of any name."""

import json

import numpy as np
import torch
from PIL import Image

from ita.io.image_formats import is_image_name
from ita.vision.pretrained import WEIGHT_SUFFIXES
from ita.vision.types import DecodedImage


class Reference:
    """Cases, values and images of a folder; nothing about their number, names or sizes is assumed."""

    def __init__(self, folder):
        self.folder = folder
        self.description = json.loads((folder / "golden.json").read_text())
        self.values = np.load(folder / "golden.npz")
        self.cases = self.description["cases"]
        self.batches = self.description.get("batches", {})
        self.weights = sorted(file for file in folder.iterdir() if file.suffix in WEIGHT_SUFFIXES)
        names = self.description.get("images") or sorted(
            file.name for file in folder.iterdir() if is_image_name(file.name)
        )
        self.images = [DecodedImage(name, Image.open(folder / name).convert("RGB")) for name in names]
        assert self.cases and self.weights and self.images, f"{folder} holds no reference outputs"

    def __getitem__(self, name):
        return torch.from_numpy(self.values[name])

    def group(self, prefix):
        """The values whose names begin with ``prefix/``, by the rest of their name."""
        names = [name for name in self.values.files if name.startswith(f"{prefix}/")]
        return {name.removeprefix(f"{prefix}/"): self[name] for name in names}


def assert_close(actual, expected, tolerance):
    """Values of equal shape that differ by an absolute tolerance at most."""
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0)
