"""schema: print the JSON Schema of config.yaml, which editors check the file with.

``ita schema > workflow/schemas/config.schema.yaml`` rewrites the file of the repository.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ita.config.schema import render


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="ita schema", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(argv)
    sys.stdout.write(render())
    return 0
