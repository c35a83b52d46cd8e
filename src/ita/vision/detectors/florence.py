"""Florence-2 (Xiao et al. 2024) as a detector: it writes the names of what it sees, with boxes and without scores."""

from __future__ import annotations

from collections.abc import Sequence

from ita.config import Detect
from ita.config.vision import Search
from ita.errors import UserError
from ita.vision.image_text import ImageTextModel
from ita.vision.pretrained import SETTING
from ita.vision.types import DecodedImage, DetectedObject, Regions

TASKS = {"objects": "<OD>", "region-captions": "<DENSE_REGION_CAPTION>"}
"""Value of ``detect.task`` -> how Florence-2 is asked for it."""
SEARCH = Search(beams=3, captions=1, max_tokens=1024)
"""As its authors run it."""


class Florence2Detector:
    """Regions of Florence-2, as transformers has it: names of objects, or short descriptions of regions, as tags."""

    def __init__(self, detect: Detect) -> None:
        """Loads the model.

        Raises:
            UserError: when it cannot be loaded, or is another one.
        """
        self.detect, self.task = detect, TASKS[detect.task]
        self.model = ImageTextModel(detect, SETTING)
        family = self.model.model.config.model_type
        if family != "florence2":
            raise UserError(f"setting {SETTING}: '{detect.model}' is {family}; expected florence2")
        self.metadata = {**self.model.metadata, "task": self.task, **SEARCH._asdict()}

    def regions(self, images: Sequence[DecodedImage]) -> list[Regions]:
        """Objects of each image in the order in which the model names them; boxes are clipped to the image."""
        results = []
        for start in range(0, len(images), self.detect.batch_size):
            pictures = [image.image for image in images[start : start + self.detect.batch_size]]
            ids, _ = self.model.generate(pictures, self.task, SEARCH)
            texts = self.model.processor.batch_decode(ids, skip_special_tokens=False)
            results += [
                Regions(self.objects(text, picture.size), size=picture.size)
                for text, picture in zip(texts, pictures, strict=True)
            ]
        return results

    def objects(self, text: str, size: tuple[int, int]) -> list[DetectedObject]:
        """The objects in what the model wrote.

        Args:
            text: names, each followed by the places of its boxes in thousandths of the sides.
            size: width and height of the image in pixels.
        """
        parsed = self.model.processor.post_process_generation(text=text, task=self.task, image_size=size)[self.task]
        objects = []
        for name, box in zip(parsed["labels"], parsed["bboxes"], strict=True):
            edges = [min(max(float(edge), 0.0), float(size[i % 2])) for i, edge in enumerate(box)]
            (x1, x2), (y1, y2) = sorted(edges[::2]), sorted(edges[1::2])  # nothing keeps a model from turning them
            if label := " ".join(name.lower().split()):
                objects.append(DetectedObject(label, None, (x1, y1, x2, y2)))
        return objects[: self.detect.max_objects]
