"""Trains the demo's detector and captioner on synthetic images: ``python -m ita.demo.training``.

Minutes on a CPU or a GPU. On a CPU the same settings on the same kind of machine make the same weights. Writes into the
folder of --output: detector/ and captioner/ in the layout of VinVL's published models, and record.json with settings,
versions, times and metrics on held-out scenes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ita.demo import SHIPPED_MODELS
from ita.io.files import sha256, write_json
from ita.io.provenance import provenance_of
from ita.log import configure_log, log, progress

DETECTOR_BATCH = 8
CAPTIONER_BATCH = 64
MAX_BYTES = 4_000_000
"""Most bytes of all weights, which are part of the package."""


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    options = parse_arguments(argv)
    configure_log(None)
    started = time.monotonic()
    scores = train_models(options)
    files = sorted(options.output.glob("*/model.safetensors"))
    size = sum(file.stat().st_size for file in files)
    settings = {name: value for name, value in vars(options).items() if name != "output"}
    times = {"seconds": round(time.monotonic() - started), "cpu_seconds": round(time.process_time())}
    record = {**provenance_of(settings), **times, "scores": scores}
    weights = {str(file.relative_to(options.output)): sha256(file) for file in files}
    write_json(options.output / "record.json", {**record, "bytes": size, "weights": weights})
    log.info("demo models: %s", scores)
    if size > MAX_BYTES:
        log.error("demo models: the weights have %d bytes, more than the %d that the package may hold", size, MAX_BYTES)
        return 1
    return 0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ita.demo.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=SHIPPED_MODELS, help="folder (default: that of the package)")
    parser.add_argument("--scenes", type=int, default=2400, help="scenes to train on")
    parser.add_argument("--held-out", type=int, default=400, help="scenes to test on")
    parser.add_argument("--detector-steps", type=int, default=2000, help=f"updates of {DETECTOR_BATCH} images")
    parser.add_argument("--captioner-steps", type=int, default=2000, help=f"updates of {CAPTIONER_BATCH} captions")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; sums on a CPU depend on their number")
    return parser.parse_args(argv)


def train_models(options: argparse.Namespace) -> dict[str, Any]:
    """Trains and writes both models; returns their metrics on held-out scenes."""
    import torch

    from ita.config import Detect
    from ita.demo.training import captioner, dataset, detector, metrics
    from ita.model.device import resolve_device
    from ita.vision.detectors.vinvl.detector import VinvlDetector
    from ita.vision.types import Regions

    torch.set_num_threads(options.threads)
    train = dataset.render_scenes("train", options.scenes)
    test = dataset.render_scenes("test", options.held_out)
    device = resolve_device(options.device)
    network = detector.train_detector(train, options.detector_steps, DETECTOR_BATCH, options.seed, device)
    detector.save(network, options.output / "detector")
    settings = Detect(model=str(options.output / "detector"), min_objects=1, device=options.device)
    vinvl_detector = VinvlDetector(settings)

    def detect(examples: Sequence[dataset.RenderedScene]) -> list[Regions]:
        size = settings.batch_size
        parts = [examples[start : start + size] for start in range(0, len(examples), size)]
        bar = progress(parts, len(parts), "detecting", "batch")
        return [regions for part in bar for regions in vinvl_detector.regions([example.image for example in part])]

    oscar_captioner = captioner.train_captioner(
        train,
        detect(train),
        options.output / "captioner",
        steps=options.captioner_steps,
        batch_size=CAPTIONER_BATCH,
        seed=options.seed,
        device=options.device,
    )
    detections = detect(test)
    return {
        "objects": metrics.detection_metrics(test, detections),
        "captions": metrics.caption_metrics(test, oscar_captioner.caption_regions(detections)),
    }
