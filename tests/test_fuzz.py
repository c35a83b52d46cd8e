"""The fuzzing campaign notices what it is there for, and today's code passes a short run of its quick targets."""

import json
import os
import subprocess
import sys
from random import Random

import pytest

from ita.errors import UserError
from tests.fuzz.mutations import mutate_bytes, mutate_json, mutate_text
from tests.fuzz.worker import check_message
from tests.support.paths import ROOT

FAULTS = {
    "a traceback": "raise KeyError('x')",
    "several lines": "raise Lines('a\\nb')",
    "a file elsewhere": "open(elsewhere, 'w').close()",
    "an address elsewhere": "import socket; s = socket.socket(); s.settimeout(0.01); s.connect(('192.0.2.1', 9))",
    "a program": "import subprocess; subprocess.run(['true'])",
    "too long": "import time; time.sleep(9)",
    "a broken promise": "expect(False, 'x')",
}
PROGRAM = """
import sys
from pathlib import Path
from ita.errors import UserError
from tests.fuzz import worker
from tests.fuzz.guard import Guard
from tests.fuzz.base import Target, expect

worker.CASE_SECONDS = 1
elsewhere = Path(sys.argv[1]) / "elsewhere"

class Lines(UserError):
    def __init__(self, text):
        Exception.__init__(self, text)

class Faulty(Target):
    def sample(self, random):
        return b""

    def read(self, data):
        exec(data.decode(), globals())

folder = Path(sys.argv[1]) / "inside"
folder.mkdir()
guard = Guard(folder)
target = Faulty(folder)
assert worker.attempt(target, b"(folder / 'x').write_text('y')", guard) == "read"
assert worker.attempt(target, b"raise UserError('one line')", guard) == "refused"
for code in sys.argv[2:]:
    outcome = worker.attempt(target, code.encode(), guard)
    assert isinstance(outcome, BaseException), code
"""


def test_faults_are_noticed(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), *FAULTS.values()]
    run = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]


def environment():
    """Environment of a process that finds the code under test."""
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}


@pytest.mark.parametrize("message", ["", "a\nb", "\x1b[2J", "\u202e", "a" * 701])
def test_a_message_is_one_line_that_a_terminal_shows(message):
    with pytest.raises(BaseException, match="not one clear line"):
        check_message(message)


def test_messages_are_made_printable():
    check_message(str(UserError("file 'a\x00b\u202e': found\n  several\r\nlines ")))
    assert str(UserError("é\u00a0\x1b")) == "é\\xa0\\x1b"


def test_the_same_seed_changes_an_input_in_the_same_way():
    sample = b"IMGID:1\nAnn\tB-PER\n"
    for mutate in (mutate_bytes, mutate_text):
        drawn = [[mutate(sample, Random(seed)) for seed in range(30)] for _ in range(2)]
        assert drawn[0] == drawn[1] and len(set(drawn[0])) > 20
    values = [json.dumps(mutate_json({"a": [1, {"b": 2}]}, Random(seed))) for seed in range(30)]
    assert len(set(values)) > 10


@pytest.mark.slow
def test_a_run_of_all_targets_breaks_nothing(tmp_path):
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", "5", "--report", str(tmp_path / "report.json")]
    run = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    report = json.loads((tmp_path / "report.json").read_text())
    assert run.returncode == 0, run.stderr[-3000:]
    assert all(target["tried"] >= 20 and target["read"] for target in report["targets"])
