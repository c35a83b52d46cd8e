"""Detectors of transformers' Auto classes that look for any classes, by their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch

from ita.config import Detect
from ita.errors import UserError
from ita.io.files import sha256
from ita.model import hub
from ita.model.device import compute_dtype, resolve_device
from ita.vision.batching import map_by_shape
from ita.vision.boxes import clip, nms
from ita.vision.detectors.class_names import read_class_names
from ita.vision.pretrained import SETTING
from ita.vision.types import DecodedImage, DetectedObject, Regions

if TYPE_CHECKING:
    from torch import Tensor

OWL_PROMPT = "a photo of a {}"
"""How OWL-ViT and OWLv2 are asked for a class."""


class Detections(NamedTuple):
    """What was found in B images for some of the classes."""

    scores: Tensor
    """(B, Q), 0 to 1, of the best of these classes."""
    labels: Tensor
    """(B, Q) number of that class among all."""
    boxes: Tensor
    """(B, Q, 4) centre, width and height, relative to the image as the model sees it."""


class Queries(Protocol):
    """Names of classes as a family of models reads them."""

    square: bool
    """Boxes are relative to the longer side, to which images are padded."""

    def detect(self, inputs: dict[str, Tensor]) -> Iterator[Detections]:
        """What is found for each chunk of classes, the images given as the processor makes them."""
        ...


class OwlQueries:
    """Of OWL-ViT and OWLv2: a text per class, read once. Boxes do not depend on the classes that are looked for."""

    def __init__(self, model: Any, processor: Any, names: Sequence[str], chunk: int) -> None:
        self.model = model
        self.square = model.config.model_type == "owlv2"
        encoder = getattr(model, model.config.model_type)
        length = model.config.text_config.max_position_embeddings
        options = {"padding": "max_length", "truncation": True, "max_length": length, "return_tensors": "pt"}
        features = []
        for start in range(0, len(names), chunk):
            texts = [OWL_PROMPT.format(name) for name in names[start : start + chunk]]
            tokens = processor.tokenizer(texts, **options).to(model.device)
            with torch.inference_mode():
                output = encoder.get_text_features(tokens["input_ids"], tokens["attention_mask"])
            features.append(torch.nn.functional.normalize(getattr(output, "pooler_output", output), dim=-1))
        self.features = torch.cat(features)
        """(C, D) of the classes."""

    def detect(self, inputs: dict[str, Tensor]) -> Iterator[Detections]:
        """All classes at once: the image is read once, and a class costs a product of vectors."""
        feature_map, _ = self.model.image_embedder(inputs["pixel_values"])
        image_features = feature_map.flatten(1, 2)
        boxes = self.model.box_predictor(image_features, feature_map).float()
        queries = self.features.expand(len(boxes), -1, -1)
        logits, _ = self.model.class_predictor(image_features, queries)
        scores, labels = logits.float().sigmoid().max(-1)
        yield Detections(scores, labels, boxes)


class GroundedQueries:
    """Of Grounding-DINO: names in one text, as many as it reads at a time; the score of a class is its best subword's.

    Boxes depend on the text, so that chunks of another size may give others.
    """

    square = False

    def __init__(self, model: Any, processor: Any, names: Sequence[str], chunk: int) -> None:
        self.model = model
        tokenizer = processor.tokenizer
        self.ends = [tokenizer.cls_token_id, tokenizer.sep_token_id]
        stop = tokenizer.convert_tokens_to_ids(".")
        longest = model.config.max_text_len - len(self.ends)
        tokens = [tokenizer.encode(name.replace(".", " "), add_special_tokens=False) for name in names]
        self.chunks: list[tuple[list[int], dict[int, slice]]] = []
        """Subwords of a text, and where in it each class stands."""
        for number, name in enumerate(tokens):
            ids = [*name[: longest - 1], stop]
            full = not self.chunks or len(self.chunks[-1][1]) == chunk
            if full or len(self.chunks[-1][0]) + len(ids) > longest:
                self.chunks.append(([], {}))
            text, words = self.chunks[-1]
            words[number] = slice(len(text) + 1, len(text) + len(ids))  # behind [CLS], without the full stop
            text += ids

    def detect(self, inputs: dict[str, Tensor]) -> Iterator[Detections]:
        """A forward pass for each chunk."""
        pixels = inputs["pixel_values"]
        for text, words in self.chunks:
            ids = torch.tensor([self.ends[0], *text, self.ends[1]], device=pixels.device).expand(len(pixels), -1)
            reads = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
            output = self.model(**inputs, **reads)
            probabilities = output.logits.float().sigmoid()
            scores, best = torch.stack([probabilities[..., word].amax(-1) for word in words.values()], -1).max(-1)
            yield Detections(scores, torch.tensor([*words], device=best.device)[best], output.pred_boxes.float())


FAMILIES: dict[str, type[OwlQueries] | type[GroundedQueries]] = {
    **dict.fromkeys(["owlvit", "owlv2"], OwlQueries),
    **dict.fromkeys(["grounding-dino", "mm-grounding-dino"], GroundedQueries),
}
"""Type of a model -> how it reads names of classes."""


class ZeroShotDetector:
    """OWL-ViT, OWLv2 and Grounding-DINO; they know classes, no attributes."""

    def __init__(self, detect: Detect) -> None:
        """Loads the model and reads the names of the classes.

        Raises:
            UserError: when either cannot be had, or the model is of another family.
        """
        self.detect = detect
        self.names = read_class_names(detect.classes)
        self.device = resolve_device(detect.device)
        self.dtype = compute_dtype(self.device, detect.precision, 0)
        source = hub.find(detect.model, detect.revision, detect.local_files_only, SETTING)
        self.processor = hub.load_processor(source, SETTING)
        model = hub.load("AutoModelForZeroShotObjectDetection", source, SETTING, use_safetensors=True)
        family = model.config.model_type
        if family not in FAMILIES:
            raise UserError(f"setting {SETTING}: '{detect.model}' is {family}; expected one of {', '.join(FAMILIES)}")
        self.model = model.to(self.device).eval()
        self.queries: Queries = FAMILIES[family](self.model, self.processor, self.names, detect.classes_per_pass)
        classes = {"file": Path(str(detect.classes)).name, "sha256": sha256(Path(str(detect.classes)).expanduser())}
        self.metadata = {
            **hub.identity(source, model),
            "classes": {**classes, "count": len(self.names)},
            "device": str(self.device),
            "precision": str(self.dtype),
        }

    def regions(self, images: Sequence[DecodedImage]) -> list[Regions]:
        """Objects of each image whose score reaches the threshold; boxes are clipped to the image.

        Images of equal shape share a forward pass: without padding a result does not depend on its batch.
        """
        inputs = [dict(self.processor.image_processor(images=image.image, return_tensors="pt")) for image in images]
        half = self.dtype != torch.float32

        def forward(indices: list[int]) -> list[Regions]:
            names = inputs[indices[0]]
            batch = {name: torch.cat([inputs[index][name] for index in indices]).to(self.device) for name in names}
            with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=half):
                by_chunk = [Detections(*(value.cpu() for value in chunk)) for chunk in self.queries.detect(batch)]
            joined = Detections(*(torch.cat(values, 1) for values in zip(*by_chunk, strict=True)))
            sizes = [images[index].image.size for index in indices]
            return [
                Regions(self.objects(Detections(*values), size), size=size)
                for *values, size in zip(*joined, sizes, strict=True)
            ]

        return map_by_shape([values["pixel_values"].shape for values in inputs], self.detect.batch_size, forward)

    def objects(self, detections: Detections, size: tuple[int, int]) -> list[DetectedObject]:
        """The best objects of one image. Boxes that overlap much are one object: of the class of the highest score.

        Args:
            detections: scores (N,), labels (N,) and boxes (N, 4) of all chunks.
            size: width and height of the image in pixels.
        """
        scores, labels, boxes = detections
        width, height = (max(size),) * 2 if self.queries.square else size
        centre, half = boxes[:, :2], boxes[:, 2:] / 2
        boxes = torch.cat([centre - half, centre + half], -1) * boxes.new_tensor([width, height, width, height])
        boxes = clip(boxes, size[::-1], 0)
        visible = (boxes[:, 2:] > boxes[:, :2]).all(-1)  # what is found in the padding is not
        reaches = visible & (scores >= self.detect.score_threshold)
        scores, labels, boxes = scores[reaches], labels[reaches], boxes[reaches]
        keep = nms(boxes, scores, self.detect.merge_iou, top_n=self.detect.max_objects)
        return [
            DetectedObject(self.names[label], score, (x1, y1, x2, y2))
            for label, score, (x1, y1, x2, y2) in zip(
                labels[keep].tolist(), scores[keep].tolist(), boxes[keep].tolist(), strict=True
            )
        ]
