"""Images per second of VinVL's captioner: a decoder with a KV cache against one that computes each step anew.

Both run the same search on the same network of random weights and the same contexts, and take turns, so that a noisy
machine affects both alike; that they generate the same captions is checked. Random weights give captions of full
length, which is what a search nearly always computes, and 50 regions with 30 label subwords are what VinVL gives to
most images. On a machine with a GPU::

    python benchmarks/captioners.py --device cuda --size base --images 64 --batch-size 64
    python benchmarks/captioners.py --device cuda --size large --images 64 --batch-size 64

and on one core of a CPU::

    OMP_NUM_THREADS=1 python benchmarks/captioners.py --size base --images 1
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from tabulate import tabulate
from torch import nn

from ita.model.bert import EncoderConfig
from ita.model.device import compute_dtype
from ita.vision.captioners.common import Captions
from ita.vision.captioners.oscar.decoding import CachedDecoder, UncachedDecoder
from ita.vision.captioners.oscar.inputs import Context
from ita.vision.captioners.oscar.network import BertForImageCaptioning
from ita.vision.captioners.oscar.search import BeamConfig, search

SIZES = {
    "tiny": {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 256},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
}
PAD, CLS, SEP, MASK = 0, 101, 102, 103
LABELS, REGIONS, FEATURES, LONGEST = 30, 50, 2054, 20
DECODERS = ("cached", "uncached")


def network(options: argparse.Namespace, device: torch.device) -> BertForImageCaptioning:
    """Random weights as BERT's are before training, but for a [SEP] that never wins."""
    torch.manual_seed(0)
    file = {"img_feature_dim": FEATURES, "vocab_size": 30522}
    model = BertForImageCaptioning(EncoderConfig.from_dict({**SIZES[options.size], **file}))
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
    model.cls.predictions.bias.data[SEP] = -100.0  # type: ignore[union-attr, operator]
    model = model.eval().to(device)
    model.bert.to(compute_dtype(device, options.precision, 0))
    return model


def contexts(options: argparse.Namespace, device: torch.device) -> list[Context]:
    """Batches with as many labels and regions as there can be."""
    batches = []
    for start in range(0, options.images, options.batch_size):
        size = min(options.batch_size, options.images - start)
        labels, regions = torch.randint(1000, 30000, (size, LABELS)), torch.randn(size, REGIONS, FEATURES)
        label_mask, region_mask = (torch.ones(size, count, dtype=torch.bool) for count in (LABELS, REGIONS))
        tensors = (tensor.to(device) for tensor in (labels, label_mask, regions, region_mask))
        batches.append(Context(*tensors, 40))
    return batches


def captioners(
    model: BertForImageCaptioning, config: BeamConfig, device: torch.device
) -> dict[str, Callable[[Context], Captions]]:
    """Functions that caption a batch, by the name of their decoder."""

    def cached(context: Context) -> Captions:
        decoder = CachedDecoder(model, context, MASK, config.beams, config.max_length)
        return search(decoder, len(context.label_ids), config, device)

    def uncached(context: Context) -> Captions:
        decoder = UncachedDecoder(model, context, MASK, config.beams)
        return search(decoder, len(context.label_ids), config, device)

    return {"cached": cached, "uncached": uncached}


def measure(options: argparse.Namespace) -> None:
    """Runs the blocks and prints images per second and their ratio."""
    device = torch.device(options.device)
    model = network(options, device)
    batches = contexts(options, device)
    config = BeamConfig(options.beams, options.beams, LONGEST, CLS, SEP, PAD)
    functions = captioners(model, config, device)
    seconds: dict[str, list[float]] = {name: [] for name in DECODERS}
    captions: dict[str, list[Captions]] = {}
    with torch.inference_mode():
        if options.warm:
            for caption in functions.values():
                caption(batches[0])
        for block in range(options.blocks):
            for name in DECODERS if block % 2 == 0 else DECODERS[::-1]:
                synchronize(device)
                begin = time.perf_counter()
                captions[name] = [functions[name](batch) for batch in batches]
                synchronize(device)
                seconds[name].append(time.perf_counter() - begin)
    ids = [torch.cat([batch.ids for batch in captions[name]]) for name in DECODERS]
    scores = [torch.cat([batch.scores for batch in captions[name]]) for name in DECODERS]
    same = float((ids[0] == ids[1]).all(2).float().mean())
    ratios = [slow / fast for fast, slow in zip(seconds["cached"], seconds["uncached"], strict=True)]
    rows = [[name, options.images * len(seconds[name]) / sum(seconds[name])] for name in DECODERS]
    print(f"{options.size}, {model.bert.img_embedding.weight.dtype}, {options.beams} beams, batch {options.batch_size}")
    print(tabulate(rows, headers=["decoder", "images/s"], floatfmt=".3f"))
    print(
        f"the cache makes it {statistics.median(ratios):.1f} times as fast (median of {len(ratios)} blocks; "
        f"{min(ratios):.1f} to {max(ratios):.1f}); {same:.0%} of the captions are equal, "
        f"scores differ by at most {float((scores[0] - scores[1]).abs().max()):.1e}"
    )


def synchronize(device: torch.device) -> None:
    """Waits for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--no-warm", dest="warm", action="store_false", help="no run beforehand that does not count")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
