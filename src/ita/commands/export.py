"""export: write a trained model as one ONNX file.

The file holds encoder, emissions and CRF for batches of any size: tags by exact Viterbi, entities and their
probabilities come out of the graph, and ONNX Runtime is all it takes to run it (docs/export.md). The files of the
tokenizer are written beside it.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from ita.errors import UserError
from ita.io.disk_errors import explained
from ita.log import configure_log, log


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: ``ita export MODEL --onnx FILE``."""
    parser = argparse.ArgumentParser(
        prog="ita export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="run folder: results/DATASET/runs/ENCODER/SYSTEM/seedN")
    parser.add_argument("--onnx", type=Path, required=True, metavar="FILE", help="the file to write, in any folder")
    parser.add_argument("--quantize", choices=["int8"], help="matrix products with weights in 8 bits (default: fp32)")
    options = parser.parse_args(argv)
    configure_log(None)
    try:
        if importlib.util.find_spec("onnx") is None:
            raise UserError("the Python package onnx is not installed: pip install 'ita-ner[export]'")
        from ita.model.export.model_file import export

        export(options.model, options.onnx, options.quantize == "int8")
    except (UserError, OSError) as error:
        log.error("export: %s", explained(error))
        return 1
    log.info("export: %s", options.onnx)
    return 0


if __name__ == "__main__":
    sys.exit(main())
