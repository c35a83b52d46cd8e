"""``python -m ita.demo.training``: reproducible weights with their record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ita.demo.training import program
from ita.io.files import sha256
from tests.support.paths import ROOT

TINY = ["--scenes", "16", "--held-out", "4", "--detector-steps", "2", "--captioner-steps", "3", "--device", "cpu"]
WEIGHTS = ("captioner/model.safetensors", "detector/model.safetensors")


def test_training_is_reproducible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("first", "second"):
        assert program.main(["--output", str(tmp_path / name), *TINY]) == 0
    for file in (*WEIGHTS, "captioner/vocab.txt", "detector/labels.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    record = json.loads((tmp_path / "first" / "record.json").read_text())
    assert record["scores"]["objects"].keys() == {"precision", "recall", "f1", "attribute_accuracy"}
    assert record["scores"]["captions"].keys() == {"exact_match", "exact_match_of_all"}
    assert record["weights"] == {name: sha256(tmp_path / "first" / name) for name in WEIGHTS}
    assert record["settings"]["scenes"] == 16

    monkeypatch.setattr(program, "MAX_BYTES", 1000)
    assert program.main(["--output", str(tmp_path / "reseeded"), *TINY, "--seed", "2"]) == 1, "too large to ship"
    for file in WEIGHTS:
        assert (tmp_path / "reseeded" / file).read_bytes() != (tmp_path / "first" / file).read_bytes()


def test_help_names_the_command() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "ita.demo.training", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert process.stdout.startswith("usage: python -m ita.demo.training ")
