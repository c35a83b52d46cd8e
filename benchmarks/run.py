"""A whole run: seconds from the start of training to metrics.json, and where they go.

In a checkout whose posts and contexts are built, ``python benchmarks/run.py --configfile
workflow/examples/twitter17-minilm.yaml --epochs 3`` asks Snakemake for the commands of ``train`` and ``evaluate``
(a dry run), runs them one after the other with all outputs in a temporary folder, and prints the parts as JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

STAMP = "%Y-%m-%d %H:%M:%S,%f"


def commands(options: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    """Stage -> its command line as Snakemake would run it, with outputs and logs in a folder."""
    target = f"results/{options.dataset}/runs/{options.encoder}/{options.system}/seed{options.seed}/metrics.json"
    changed = {name: value for name in ("epochs", "precision", "threads") if (value := getattr(options, name))}
    settings: dict[str, Any] = {"train": changed}
    settings["evaluate"] = {name: value for name, value in changed.items() if name != "epochs"}
    overrides = folder / "overrides.yaml"
    overrides.write_text(json.dumps({"datasets": {options.dataset: settings}}))  # JSON is YAML
    ask = [sys.executable, "-m", "snakemake", "--dry-run", "--printshellcmds", "--cores", "1", "--nolock"]
    ask += [
        "--configfile",
        *map(str, options.configfile),
        str(overrides),
        "--forcerun",
        "train",
        "evaluate",
        "--",
        target,
    ]
    dry_run = subprocess.run(ask, capture_output=True, text=True)
    jobs = {}
    for line in (dry_run.stdout + dry_run.stderr).splitlines():
        if match := re.search(r"python (-m ita (\w+) .*)", line):
            jobs[match[2]] = [sys.executable, *shlex.split(match[1])]
    if not {"train", "evaluate"} <= jobs.keys():
        raise SystemExit(f"Snakemake gave no commands for {target}:\n{dry_run.stderr[-2000:]}")
    missing = [name for name in jobs["train"] if name.endswith(".parquet") and not Path(name).is_file()]
    if missing:
        raise SystemExit(f"build these first (snakemake --cores 1 ... -- FILE): {' '.join(missing)}")

    def moved(word: str) -> str:
        return str(folder / word) if word.startswith(("results/logs/", f"results/{options.dataset}/runs/")) else word

    return {stage: [moved(word) for word in jobs[stage]] for stage in ("train", "evaluate")}


def execute(command: list[str], quiet: bool = False) -> dict[str, float]:
    """Runs a command: when it started and ended, CPU seconds, peak resident memory in MB."""
    paths = [str(Path("src").resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    started = time.time()
    output = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, stdout=output, stderr=output
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: {shlex.join(command)}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"started": started, "ended": time.time(), "cpu": cpu, "peak": usage.ru_maxrss / 1e3}


def after(option: str, command: list[str]) -> Path:
    """The value of an option."""
    return Path(command[command.index(option) + 1])


def epochs(log: str) -> list[dict[str, float]]:
    """Of each epoch: when it began, its seconds of training, and when its model was scored on the dev posts."""
    records: list[dict[str, float]] = []
    for line in log.splitlines():
        match = re.match(r"(\S+ \S+) INFO epoch (\d+): (?:\d+ \w+ in ([\d.]+) s$|(\{))", line)
        if match:
            now = datetime.strptime(match[1], STAMP).timestamp()
            if match[3]:
                records.append({"begun": now - float(match[3]), "training": float(match[3])})
            else:
                records[-1]["scored"] = now
    return records


def main() -> None:
    """Runs both jobs and prints where the time went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", nargs="+", default=["workflow/examples/twitter17-minilm.yaml"])
    parser.add_argument("--dataset", default="twitter17-minilm")
    parser.add_argument("--encoder", default="minilm", help="entry of 'encoders'")
    parser.add_argument("--system", default="ita-ga-cva", help="entry of 'systems'")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="default: the configuration's")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], help="default: the configuration's")
    parser.add_argument("--threads", type=int, help="default: the configuration's")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        command = commands(options, Path(name))
        train = execute(command["train"])
        evaluate = execute(command["evaluate"])
        passed = epochs(after("--log", command["train"]).read_text())
        model = after("--output", command["train"])
        about = json.loads((model.parent / "settings.json").read_text())
        metrics = json.loads(after("--metrics", command["evaluate"]).read_text())
        with open(model.parent / "history.csv", encoding="utf-8") as file:
            history = list(csv.DictReader(file))
    tagging = sum(view["seconds"] for split in metrics["scores"].values() for view in split.values())
    result = {
        "device": about["device"],
        "precision": about["precision"],
        "seconds": {
            "total": evaluate["ended"] - train["started"],
            "train": {
                "total": train["ended"] - train["started"],
                "start_up": passed[0]["begun"] - train["started"],
                "epochs": [epoch["training"] for epoch in passed],
                "dev_scores": [epoch["scored"] - epoch["begun"] - epoch["training"] for epoch in passed],
                "writing": train["ended"] - passed[-1]["scored"],
            },
            "evaluate": {
                "total": evaluate["ended"] - evaluate["started"],
                "tagging_and_scoring": tagging,
                "rest": evaluate["ended"] - evaluate["started"] - tagging,
            },
            "cpu": {"train": train["cpu"], "evaluate": evaluate["cpu"]},
        },
        "peak_resident_mb": {"train": train["peak"], "evaluate": evaluate["peak"]},
        "peak_device_mb": None if about["device"] == "cpu" else about["peak_memory_mb"],
        "dev_f1": [float(row["dev_f1"]) for row in history],
        "test_f1": {view: score["default"]["f1"] for view, score in metrics["scores"].get("test", {}).items()},
    }
    print(json.dumps(rounded(result), indent=2))


def rounded(value: Any) -> Any:
    """Floats to two decimals, all the way down."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 2) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
