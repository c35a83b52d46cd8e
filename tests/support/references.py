"""Reference outputs of official systems: a folder with golden.json, golden.npz, and weights of any name."""

import json
import shutil

import numpy as np
import torch
from PIL import Image

from ita.io.image_formats import is_image_name
from ita.vision.pretrained import WEIGHT_SUFFIXES
from ita.vision.types import DecodedImage


class ReferenceOutputs:
    """Cases and values of a folder; nothing about their number, names or sizes is assumed."""

    def __init__(self, folder):
        self.folder = folder
        self.description = json.loads((folder / "golden.json").read_text())
        self.values = np.load(folder / "golden.npz")
        self.cases = self.description["cases"]
        assert self.cases, f"{folder} holds no cases"

    def __getitem__(self, name):
        return torch.from_numpy(self.values[name])

    def group(self, prefix):
        """The values whose names begin with ``prefix/``, by the rest of their name."""
        names = [name for name in self.values.files if name.startswith(f"{prefix}/")]
        return {name.removeprefix(f"{prefix}/"): self[name] for name in names}

    def weights_of(self, model):
        """Files with the weights of a model, at least one: those named after it that are not JSON."""
        files = [file for file in sorted(self.folder.glob(f"{model}.*")) if file.suffix != ".json"]
        assert files, f"{self.folder} holds no weights of {model}"
        return files


class Reference(ReferenceOutputs):
    """Those of a detector, with its weights and images."""

    def __init__(self, folder):
        super().__init__(folder)
        self.batches = self.description.get("batches", {})
        self.weights = sorted(file for file in folder.iterdir() if file.suffix in WEIGHT_SUFFIXES)
        names = self.description.get("images") or sorted(
            file.name for file in folder.iterdir() if is_image_name(file.name)
        )
        self.images = [DecodedImage(name, Image.open(folder / name).convert("RGB")) for name in names]
        assert self.weights and self.images, f"{folder} holds no weights or no images"


def copy_weights(weights, folder):
    """Copies a file with weights into a model's folder, which is made, under the name that the loaders look for."""
    folder.mkdir(exist_ok=True)
    name = "model.safetensors" if weights.suffix == ".safetensors" else "pytorch_model.bin"
    shutil.copyfile(weights, folder / name)


def assert_close(actual, expected, tolerance):
    """Values of equal shape that differ by an absolute tolerance at most."""
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0)
