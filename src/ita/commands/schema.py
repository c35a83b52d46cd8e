"""schema: print the JSON Schema of config.yaml, which editors check the file with.

``ita schema > workflow/schemas/config.schema.yaml`` rewrites the file of the repository, and ``ita schema --markdown >
docs/configuration.md`` the page for readers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ita.config import reference, schema


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="ita schema", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--markdown", action="store_true", help="print docs/configuration.md instead")
    options = parser.parse_args(argv)
    sys.stdout.write(reference.render() if options.markdown else schema.render())
    return 0
