"""Trains the demo's detector and captioner on drawn scenes: ``python -m ita.demo.training``.

Minutes on a CPU or a GPU. On a CPU the same settings on the same kind of machine make the same weights. Writes into the
folder of --output: detector/ and captioner/ in the layout of VinVL's published models, and record.json with settings,
versions, times and scores on scenes that were not learned from.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ita.io.files import sha256, write_json
from ita.io.provenance import provenance_of
from ita.log import configure_log, log, progress

SHIPPED = Path(str(resources.files("ita.demo"))) / "weights"
LIMIT = 4_000_000
"""Most bytes of all weights: they come with the package."""


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ita.demo.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=SHIPPED, help="folder (default: that of the package)")
    parser.add_argument("--scenes", type=int, default=2400, help="scenes to learn from")
    parser.add_argument("--held-out", type=int, default=400, help="scenes to be judged by")
    parser.add_argument("--detector-steps", type=int, default=2000, help="updates of 8 pictures")
    parser.add_argument("--captioner-steps", type=int, default=2000, help="updates of 64 captions")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; the sums of a CPU depend on them")
    options = parser.parse_args(argv)
    configure_log(None)
    started = time.monotonic()
    scores = trained(options)
    files = sorted(options.output.glob("*/model.safetensors"))
    size = sum(file.stat().st_size for file in files)
    settings = {name: value for name, value in vars(options).items() if name != "output"}
    times = {"seconds": round(time.monotonic() - started), "cpu_seconds": round(time.process_time())}
    record = {**provenance_of(settings), **times, "scores": scores}
    weights = {str(file.relative_to(options.output)): sha256(file) for file in files}
    write_json(options.output / "record.json", {**record, "bytes": size, "weights": weights})
    log.info("demo train: %s", scores)
    if size > LIMIT:
        log.error("demo train: the weights have %d bytes, more than the %d that the package may carry", size, LIMIT)
        return 1
    return 0


def trained(options: argparse.Namespace) -> dict[str, Any]:
    """Trains and writes both models; returns their scores on scenes that were held out."""
    import torch

    from ita.config import Detect
    from ita.demo.training import captioner, dataset, detector, metrics
    from ita.model.device import resolve
    from ita.vision.detectors.vinvl.detector import VinvlDetector
    from ita.vision.types import Regions

    torch.set_num_threads(options.threads)
    device = resolve(options.device)
    learned, judged = dataset.draw("train", options.scenes), dataset.draw("test", options.held_out)
    network = detector.train(learned, options.detector_steps, 8, options.seed, device)
    detector.save(network, options.output / "detector")
    chosen = Detect(model=str(options.output / "detector"), min_objects=1, device=options.device)
    eyes = VinvlDetector(chosen)

    def seen(some: Sequence[dataset.Lesson]) -> list[Regions]:
        parts = [some[start : start + chosen.batch_size] for start in range(0, len(some), chosen.batch_size)]
        bar = progress(parts, len(parts), "looking", "batch")
        return [regions for part in bar for regions in eyes.regions([lesson.picture for lesson in part])]

    folder, steps = options.output / "captioner", options.captioner_steps
    writer = captioner.train(learned, seen(learned), folder, steps, 64, options.seed, options.device)
    found = seen(judged)
    return {
        "objects": metrics.of_objects(judged, found),
        "captions": metrics.of_captions(judged, writer.caption_regions(found)),
    }
