"""Images per second of the two region detectors: as the stage runs them, and the straightforward way.

Straightforward is one image at a time, normalisation apart from the convolutions, float32, and for VinVL filter 1 class
by class over all scores, with regions pooled again for their attributes. Both ways run the same random weights, whose
class scores are spread as those of a trained network, on the same images, and take turns::

    python benchmarks/detectors.py --device cuda --images 64 --batch-size 16
    python benchmarks/detectors.py --width 16 --size 224 --images 4

The second command is a network of a quarter of the width on small images, for a CPU. Operations are counted by
PyTorch (two per multiplication and addition); the device's rate is that of a large matrix product.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from step import matrix_rate, synchronize
from tabulate import tabulate
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ita.config import Detect
from ita.vision import boxes
from ita.vision.detectors.bottomup import config as bottomup_config
from ita.vision.detectors.bottomup import detector as bottomup
from ita.vision.detectors.bottomup.network import BottomUp
from ita.vision.detectors.vinvl import config as vinvl_config
from ita.vision.detectors.vinvl import detector as vinvl
from ita.vision.detectors.vinvl import postprocessing
from ita.vision.detectors.vinvl.network import AttrRCNN
from ita.vision.types import DecodedImage

SPREAD = 4.0
"""Standard deviation of class logits: then about a third of the regions have a class above 0.2."""


def make_images(count: int, size: int) -> list[DecodedImage]:
    """Blurred noise, half upright and half across, a quarter larger than what the network reads."""
    random = np.random.default_rng(0)
    images = []
    for number in range(count):
        shorter, longer = size * 5 // 4, size * 5 // 3
        noise = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        image_size = (shorter, longer) if number % 2 else (longer, shorter)
        images.append(DecodedImage(str(number), noise.resize(image_size, Image.Resampling.BICUBIC)))
    return images


@torch.inference_mode()
def initialise(network: nn.Module, score_layer: Callable[[], tuple[nn.Linear, Tensor]]) -> None:
    """Random weights through which activations keep their size, and class scores that differ between regions.

    Args:
        network: with the weights that PyTorch draws.
        score_layer: returns the linear layer of the classes, and features (R, F) of some regions.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and "rpn" not in name:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if name.endswith(("bn3", "conv3.norm")):
            module.weight.fill_(0.2)  # type: ignore[operator, union-attr]
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
    layer, features = score_layer()
    nn.init.normal_(layer.weight)
    logits = features @ layer.weight.T
    layer.weight *= SPREAD / logits.std(0).mean()
    layer.bias.copy_(-(features @ layer.weight.T).mean(0))


def vinvl_folder(folder: Path, options: argparse.Namespace, image: DecodedImage) -> Path:
    """A VinVL model of random weights."""
    width = options.width
    config = replace(
        vinvl_config.VinvlConfig(),
        stem_out=width,
        res2_out=4 * width,
        groups=width // 2,
        min_size=options.size,
        max_size=options.size * 5 // 3,
    )
    network = AttrRCNN(config).eval()

    def score_layer() -> tuple[nn.Linear, Tensor]:
        pixels = vinvl.resized(image, config).flip(-1).float().permute(2, 0, 1)[None]
        pixels -= torch.tensor(config.pixel_mean_bgr)[:, None, None]
        c4 = network.backbone["body"](pixels)
        (proposals,) = network.rpn(c4, [(pixels.shape[2], pixels.shape[3])])
        head = network.roi_heads["box"]
        return head.predictor["cls_score"], head.feature_extractor(c4[0], proposals.boxes)

    initialise(network, score_layer)
    (folder / vinvl_config.CONFIG).write_text(json.dumps(asdict(config)))
    counts = {"label_to_idx": config.num_classes, "attribute_to_idx": config.num_attributes}
    label_map = {key: {str(index): index for index in range(1, count)} for key, count in counts.items()}
    (folder / vinvl_config.LABELS).write_text(json.dumps(label_map))
    return save(network, folder)


def bottomup_folder(folder: Path, options: argparse.Namespace, image: DecodedImage) -> Path:
    """A bottom-up attention model of random weights."""
    width, size = options.width, options.size
    entries = {
        "resnets": {"stem_out_channels": width, "res2_out_channels": 4 * width, "width_per_group": width},
        "proposal_generator": {"hidden_channels": 8 * width},
        "input": {"min_size_test": size, "max_size_test": size * 5 // 3},
    }
    (folder / "config.json").write_text(json.dumps(entries))
    config = bottomup_config.read_bottomup_config(folder)
    network = BottomUp(config).eval()

    def score_layer() -> tuple[nn.Linear, Tensor]:
        resized = image.image.resize(bottomup.network_size(image.image.size, config))
        pixels = torch.from_numpy(np.array(resized)).flip(-1).float().permute(2, 0, 1)[None]
        pixels -= torch.tensor(config.pixel_mean_bgr)[:, None, None]
        res4 = network.backbone(pixels)
        (proposals,) = network.proposal_generator(res4, [(pixels.shape[2], pixels.shape[3])])
        return network.roi_heads.box_predictor.cls_score, network.roi_heads(res4[0], proposals.boxes)

    initialise(network, score_layer)
    for name, count in (
        (bottomup_config.OBJECTS, config.num_classes),
        (bottomup_config.ATTRIBUTES, config.num_attributes),
    ):
        (folder / name).write_text("\n".join(map(str, range(count))))
    return save(network, folder)


def save(network: nn.Module, folder: Path) -> Path:
    """Writes the weights; those that are shared are written twice, as they are published."""
    file = folder / "model.safetensors"
    save_file({name: value.clone().contiguous() for name, value in network.state_dict().items()}, file)
    return file


@torch.inference_mode()
def plain_vinvl(detector: vinvl.VinvlDetector, image: DecodedImage) -> list[int]:
    """One image through VinVL the straightforward way; its classes."""
    network, config = detector.network, detector.config
    pixels = detector.stack([vinvl.resized(image, config)])
    c4 = network.backbone["body"](pixels)
    (proposals,) = network.rpn(c4, [(pixels.shape[2], pixels.shape[3])])
    features, logits, _ = network.roi_heads["box"](c4[0], proposals.boxes)
    scores = logits.softmax(1)
    keep = torch.zeros_like(scores)
    for label in range(1, scores.shape[1]):
        kept = boxes.nms(proposals.boxes, scores[:, label], postprocessing.CLASS_NMS_THRESHOLD)
        keep[kept, label] = 1
    best_scores, labels = (scores * keep).max(1)
    rows = postprocessing.rank_proposals(best_scores, best_scores > 0, detector.postprocess)
    repooled = network.attribute.feature_extractor(c4[0], proposals.boxes[rows])
    attribute_logits = network.attribute.predictor(repooled, labels[rows])
    postprocessing.best_attributes(
        attribute_logits, config.attr_thresh, config.max_num_attr_per_img, config.max_num_attr_per_obj
    )
    features[rows].cpu()
    return labels[rows].tolist()


def plain_bottomup(detector: bottomup.BottomUpDetector, image: DecodedImage) -> list[int]:
    """One image through bottom-up attention; its classes."""
    return [int(item.label) for item in detector.regions([image])[0].objects]


DETECTORS: dict[str, Any] = {
    "vinvl": (vinvl_folder, vinvl.VinvlDetector, plain_vinvl),
    "bottomup": (bottomup_folder, bottomup.BottomUpDetector, plain_bottomup),
}


def timed(work: Callable[[], Any], device: str) -> tuple[float, Any]:
    """Seconds, and the result."""
    synchronize(device)
    started = time.perf_counter()
    result = work()
    synchronize(device)
    return time.perf_counter() - started, result


def compare(options: argparse.Namespace, folder: Path) -> None:
    """Runs both ways in turns and prints the table."""
    build, detector_class, plain = DETECTORS[options.detector]
    images = make_images(options.images, options.size)
    file = build(folder, options, images[0])
    common = {"model": str(file), "device": options.device, "batch_size": options.batch_size}
    ours = detector_class(Detect(precision=options.precision, **common))
    reference = detector_class(Detect(precision="fp32", **common))
    plain_images = images[: options.plain_images or len(images)]
    with FlopCounterMode(display=False) as counter:
        ours.regions(images[:1])
    operations = counter.get_total_flops()
    plain(reference, images[0])
    ours.regions(images)
    rates: dict[str, list[float]] = {"straightforward": [], "ours": []}
    for _ in range(options.rounds):
        seconds, expected = timed(lambda: [plain(reference, image) for image in plain_images], options.device)
        rates["straightforward"].append(len(plain_images) / seconds)
        seconds, regions = timed(lambda: ours.regions(images), options.device)
        rates["ours"].append(len(images) / seconds)
    half = ours.dtype == torch.bfloat16
    show(rates, operations, matrix_rate(options.device, half), "bf16" if half else "fp32")
    print(f"{agreement(expected, regions):.1%} of the objects have the same class in the same place of the order")


def agreement(expected: Sequence[Sequence[int]], regions: Sequence[Any]) -> float:
    """Share of objects of the same class and rank."""
    pairs = [
        (label, image.objects[rank].label if rank < len(image.objects) else None)
        for labels, image in zip(expected, regions, strict=False)
        for rank, label in enumerate(labels)
    ]
    return sum(str(label) == name for label, name in pairs) / max(1, len(pairs))


def show(rates: dict[str, list[float]], operations: float, peak: float, arithmetic: str) -> None:
    """Prints medians and their ratio."""
    medians = {way: statistics.median(values) for way, values in rates.items()}
    rows = [
        (way, "fp32" if way == "straightforward" else arithmetic, medians[way], min(values), max(values))
        for way, values in rates.items()
    ]
    print(tabulate(rows, ["", "arithmetic", "images/s", "least", "most"], floatfmt=".3f"))
    ratios = [new / old for old, new in zip(*rates.values(), strict=True)]
    print(
        f"ratio {statistics.median(ratios):.2f} (median of {len(ratios)}; {min(ratios):.2f} to {max(ratios):.2f})\n"
        f"{operations / 1e12:.3f} TFLOP per image; {operations * medians['ours'] / 1e12:.2f} TFLOP/s, "
        f"{operations * medians['ours'] / peak:.1%} of what {arithmetic} matrix products reach here ({peak / 1e12:.2f})"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", choices=DETECTORS, default="vinvl")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--size", type=int, default=600, help="shorter side that the network reads (published: 600)")
    parser.add_argument("--width", type=int, default=64, help="channels of the stem (published: 64), a multiple of 4")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--plain-images", type=int, default=0, help="images run the straightforward way; 0 is all")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto", help="ours")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        compare(options, Path(folder))


if __name__ == "__main__":
    main()
