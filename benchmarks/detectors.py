"""Images per second of the two region detectors: as the stage runs them, and the straightforward way.

Straightforward is one image at a time, normalisation apart from the convolutions, float32, and for VinVL filter 1 class
by class over all scores, with regions pooled again for their attributes. Both ways run the same random weights, whose
class scores are spread as those of a trained network, on the same pictures, and take turns::

    python benchmarks/detectors.py --device cuda --images 64 --batch-size 16
    python benchmarks/detectors.py --width 16 --size 224 --images 4

The second command is a network of a quarter of the width on small pictures, for a CPU. Operations are counted by
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

import numpy
import torch
from PIL import Image
from safetensors.torch import save_file
from step import matrix_rate, synchronize
from tabulate import tabulate
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ita.config import Detect
from ita.vision import boxes
from ita.vision.detectors.bottomup import detector as bottomup
from ita.vision.detectors.bottomup.network import BottomUp
from ita.vision.detectors.vinvl import detector as vinvl
from ita.vision.detectors.vinvl import postprocessing
from ita.vision.detectors.vinvl.network import AttrRCNN
from ita.vision.types import DecodedImage

SPREAD = 4.0
"""Standard deviation of class logits: then about a third of the regions have a class above 0.2."""


def pictures(count: int, size: int) -> list[DecodedImage]:
    """Blurred noise, half upright and half across, a quarter larger than what the network reads."""
    chance = numpy.random.default_rng(0)
    found = []
    for number in range(count):
        short, long = size * 5 // 4, size * 5 // 3
        shape = (short, long) if number % 2 else (long, short)
        small = Image.fromarray(chance.integers(0, 256, (12, 12, 3), dtype=numpy.uint8))
        found.append(DecodedImage(str(number), small.resize(shape, Image.Resampling.BICUBIC)))
    return found


@torch.inference_mode()
def draw(network: nn.Module, score: Callable[[], tuple[nn.Linear, Tensor]]) -> None:
    """Random weights through which activations keep their size, and class scores that differ between regions.

    Args:
        network: with the weights that PyTorch draws.
        score: the linear layer of the classes, and features (R, F) of some regions.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and "rpn" not in name:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if name.endswith(("bn3", "conv3.norm")):
            module.weight.fill_(0.2)  # type: ignore[operator, union-attr]
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
    layer, features = score()
    nn.init.normal_(layer.weight)
    logits = features @ layer.weight.T
    layer.weight *= SPREAD / logits.std(0).mean()
    layer.bias.copy_(-(features @ layer.weight.T).mean(0))


def vinvl_folder(folder: Path, options: argparse.Namespace, picture: DecodedImage) -> Path:
    """A VinVL model of random weights."""
    width = options.width
    shape = replace(
        vinvl.Shape(),
        stem_out=width,
        res2_out=4 * width,
        groups=width // 2,
        min_size=options.size,
        max_size=options.size * 5 // 3,
    )
    network = AttrRCNN(shape).eval()

    def score() -> tuple[nn.Linear, Tensor]:
        image = vinvl.resized(picture, shape).flip(-1).float().permute(2, 0, 1)[None]
        image -= torch.tensor(shape.pixel_mean_bgr)[:, None, None]
        c4 = network.backbone["body"](image)
        (proposals,) = network.rpn(c4, [(image.shape[2], image.shape[3])])
        head = network.roi_heads["box"]
        return head.predictor["cls_score"], head.feature_extractor(c4[0], proposals)

    draw(network, score)
    (folder / vinvl.CONFIG).write_text(json.dumps(asdict(shape)))
    names = {"label_to_idx": shape.num_classes, "attribute_to_idx": shape.num_attributes}
    content = {key: {str(index): index for index in range(1, count)} for key, count in names.items()}
    (folder / vinvl.LABELS).write_text(json.dumps(content))
    return save(network, folder)


def bottomup_folder(folder: Path, options: argparse.Namespace, picture: DecodedImage) -> Path:
    """A bottom-up attention model of random weights."""
    width, size = options.width, options.size
    config = {
        "resnets": {"stem_out_channels": width, "res2_out_channels": 4 * width, "width_per_group": width},
        "proposal_generator": {"hidden_channels": 8 * width},
        "input": {"min_size_test": size, "max_size_test": size * 5 // 3},
    }
    (folder / "config.json").write_text(json.dumps(config))
    shape = bottomup.shape(folder)
    network = BottomUp(shape).eval()

    def score() -> tuple[nn.Linear, Tensor]:
        pixels = torch.from_numpy(numpy.array(picture.image.resize(bottomup.size_for(picture.image.size, shape))))
        image = pixels.flip(-1).float().permute(2, 0, 1)[None] - torch.tensor(shape.pixel_mean_bgr)[:, None, None]
        res4 = network.backbone(image)
        ((proposals, _),) = network.proposal_generator(res4, [(image.shape[2], image.shape[3])])
        return network.roi_heads.box_predictor.cls_score, network.roi_heads(res4[0], proposals)

    draw(network, score)
    for name, count in ((bottomup.OBJECTS, shape.num_classes), (bottomup.ATTRIBUTES, shape.num_attributes)):
        (folder / name).write_text("\n".join(map(str, range(count))))
    return save(network, folder)


def save(network: nn.Module, folder: Path) -> Path:
    """Writes the weights; those that are shared are written twice, as they are published."""
    file = folder / "model.safetensors"
    save_file({name: value.clone().contiguous() for name, value in network.state_dict().items()}, file)
    return file


@torch.inference_mode()
def plain_vinvl(detector: vinvl.VinvlDetector, picture: DecodedImage) -> list[int]:
    """One picture through VinVL the straightforward way; its classes."""
    network, rules = detector.network, detector.rules
    image = detector.normalised(vinvl.resized(picture, detector.shape)[None])
    c4 = network.backbone["body"](image)
    (proposals,) = network.rpn(c4, [(image.shape[2], image.shape[3])])
    features, logits, _ = network.roi_heads["box"](c4[0], proposals)
    scores = logits.softmax(1)
    left = torch.zeros_like(scores)
    for label in range(1, scores.shape[1]):
        kept = boxes.nms(proposals, scores[:, label], postprocessing.CLASS_NMS)
        left[kept, label] = 1
    best, labels = (scores * left).max(1)
    rows = postprocessing.ranked(best, best > 0, rules)
    again = network.attribute.feature_extractor(c4[0], proposals[rows])
    postprocessing.best_attributes(network.attribute.predictor(again, labels[rows]), detector.shape)
    features[rows].cpu()
    return labels[rows].tolist()


def plain_bottomup(detector: bottomup.BottomUpDetector, picture: DecodedImage) -> list[int]:
    """One picture through bottom-up attention; its classes."""
    return [int(item.label) for item in detector.regions([picture])[0].objects]


SIDES: dict[str, Any] = {
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
    build, detector, plain = SIDES[options.detector]
    shots = pictures(options.images, options.size)
    file = build(folder, options, shots[0])
    common = {"model": str(file), "device": options.device, "batch_size": options.batch_size}
    ours = detector(Detect(precision=options.precision, **common))
    reference = detector(Detect(precision="fp32", **common))
    some = shots[: options.plain_images or len(shots)]
    with FlopCounterMode(display=False) as counter:
        ours.regions(shots[:1])
    work = counter.get_total_flops()
    plain(reference, shots[0])
    ours.regions(shots)
    rates: dict[str, list[float]] = {"straightforward": [], "ours": []}
    for _ in range(options.rounds):
        seconds, expected = timed(lambda: [plain(reference, one) for one in some], options.device)
        rates["straightforward"].append(len(some) / seconds)
        seconds, found = timed(lambda: ours.regions(shots), options.device)
        rates["ours"].append(len(shots) / seconds)
    half = ours.dtype == torch.bfloat16
    show(rates, work, matrix_rate(options.device, half), "bf16" if half else "fp32")
    print(f"{agreement(expected, found):.1%} of the objects have the same class in the same place of the order")


def agreement(expected: Sequence[Sequence[int]], found: Sequence[Any]) -> float:
    """Share of objects of the same class and rank."""
    pairs = [
        (number, one.objects[rank].label if rank < len(one.objects) else None)
        for numbers, one in zip(expected, found, strict=False)
        for rank, number in enumerate(numbers)
    ]
    return sum(str(number) == label for number, label in pairs) / max(1, len(pairs))


def show(rates: dict[str, list[float]], work: float, rate: float, arithmetic: str) -> None:
    """Prints medians and their ratio."""
    medians = {side: statistics.median(some) for side, some in rates.items()}
    rows = [
        (side, "fp32" if side == "straightforward" else arithmetic, medians[side], min(some), max(some))
        for side, some in rates.items()
    ]
    print(tabulate(rows, ["", "arithmetic", "images/s", "least", "most"], floatfmt=".3f"))
    ratios = [new / old for old, new in zip(*rates.values(), strict=True)]
    print(
        f"ratio {statistics.median(ratios):.2f} (median of {len(ratios)}; {min(ratios):.2f} to {max(ratios):.2f})\n"
        f"{work / 1e12:.3f} TFLOP per image; {work * medians['ours'] / 1e12:.2f} TFLOP/s, "
        f"{work * medians['ours'] / rate:.1%} of what {arithmetic} matrix products reach here ({rate / 1e12:.2f})"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", choices=SIDES, default="vinvl")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--size", type=int, default=600, help="shorter side that the network reads (published: 600)")
    parser.add_argument("--width", type=int, default=64, help="channels of the stem (published: 64), a multiple of 4")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--plain-images", type=int, default=0, help="pictures run the straightforward way; 0 is all")
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
