"""Runs the campaign: ``python -m tests.fuzz [--seconds N] [--seed N] [--only TARGET ...] [--report FILE]``.

Each target runs in a process of its own for that many seconds. Inputs that break a promise are kept in the folder of
the report with what happened; the exit code is 1 where there are any. The same seed draws the same inputs.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.targets import TARGETS
from tests.fuzz.worker import work

STALLED_SECONDS = 90


def main() -> int:
    """Runs the targets and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("FUZZ_SECONDS", 10)), help="per target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--report", type=Path, default=Path("results/fuzz/report.json"))
    options = parser.parse_args()
    options.report.parent.mkdir(parents=True, exist_ok=True)
    results = [run_apart(name, options) for name in options.only]
    options.report.write_text(json.dumps({"seed": options.seed, "targets": results}, indent=1))
    print(
        "\n| input | tried | read | refused in one line | broken | seconds | peak MB |\n|---|---|---|---|---|---|---|"
    )
    for row in results:
        counts = [row[name] for name in ("tried", "read", "refused", "broken", "seconds", "peak_mb")]
        print(f"| {row['input']} | {' | '.join(map(str, counts))} |")
    return int(any(row["broken"] for row in results))


def run_apart(name: str, options: argparse.Namespace) -> dict:
    """Runs a target in a process of its own; a crash or a stall is a broken promise too."""
    context = multiprocessing.get_context("spawn")
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    state = folder / "state.json"
    process = context.Process(target=work, args=(name, options.seed, options.seconds, folder, options.report.parent))
    process.start()
    changed = time.monotonic()
    stamp = None
    while process.is_alive():
        process.join(1)
        current = state.stat().st_mtime_ns if state.exists() else None
        if current != stamp:
            stamp, changed = current, time.monotonic()
        if time.monotonic() - changed > STALLED_SECONDS + options.seconds:
            process.kill()
    result = json.loads(state.read_text()) if state.exists() else {"tried": 0, "read": 0, "refused": 0, "broken": 0}
    if process.exitcode != 0:
        result["broken"] += 1
        kept = options.report.parent / f"{name}-crash.bin"
        case = folder / "case.bin"
        kept.write_bytes(case.read_bytes() if case.exists() else b"")
        print(f"{name}: the process ended with {process.exitcode}; its last input is {kept}", file=sys.stderr)
    defaults = {"seconds": 0, "peak_mb": 0}
    return {"target": name, "input": TARGETS[name].__doc__.splitlines()[0].rstrip("."), **defaults, **result}


if __name__ == "__main__":
    sys.exit(main())
