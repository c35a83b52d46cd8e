"""Command lines: ita, and its stages."""

import importlib
import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from ita.__main__ import commands, stages
from ita.__main__ import main as ita
from ita.cli import read_settings, run_stage, stage_parser
from ita.errors import UserError
from ita.log import LogFile, configure_log, log
from ita.workflow.versions import VERSIONS
from tests.support.paths import ROOT


def stage(work):
    """A module with a ``work`` function, under the name of a stage."""
    module = ModuleType("ita.stages.ocr", "ocr: what it does.")
    module.work = work
    return module


def test_user_errors_have_no_traceback_and_bugs_do(tmp_path, capsys):
    def work(settings: dict, output: Path):
        if settings.get("bug"):
            raise KeyError("bug")
        raise UserError("the file is green; expected a blue one")

    for settings, shown in (({}, "the file is green"), ({"bug": 1}, "Traceback")):
        arguments = ["--settings", json.dumps(settings), "--output", str(tmp_path / "o")]
        assert run_stage(stage(work), arguments) == 1
        err = capsys.readouterr().err
        assert err.startswith("ocr: ")
        assert shown in err
        assert ("Traceback" in err) == bool(settings)


def test_errors_reach_the_console_and_the_log(tmp_path, capsys):
    def work(settings: dict, output: Path):
        log.info("quiet")
        log.warning("loud")

    assert run_stage(stage(work), ["--output", str(tmp_path / "o"), "--log", str(tmp_path / "l" / "x.log")]) == 0
    err = capsys.readouterr().err
    assert "loud" in err
    assert "quiet" not in err
    text = (tmp_path / "l" / "x.log").read_text()
    assert "loud" in text
    assert "quiet" in text


def test_options_are_those_of_the_signature(capsys):
    calls = []

    def work(
        settings: dict,
        output: Path,
        more_files: Sequence[Path] = (),
        posts: Path | None = None,
        shard: str | None = None,
        again: bool = False,
    ):
        """Works.

        Args:
            settings: everything.
            output: the result,
                in 50% of the cases.
            posts: what is read.

        Raises:
            UserError: never.
        """
        calls.append((settings, output, more_files, posts, shard, again))

    module, version = stage(work), {"version": VERSIONS["ocr"]}
    assert run_stage(module, ["--output", "o"]) == 0
    assert (
        run_stage(module, ["--settings", '{"version": 0}', "--output", "o", "--more-files", "a", "b", "--again"]) == 0
    )
    assert run_stage(module, ["--output", "o", "--posts", "p", "--shard", "1-of-2", "--more-files"]) == 0
    assert calls == [
        (version, Path("o"), [], None, None, False),
        (version, Path("o"), [Path("a"), Path("b")], None, None, True),
        (version, Path("o"), [], Path("p"), "1-of-2", False),
    ]
    with pytest.raises(SystemExit):
        run_stage(module, [])
    assert "required: --output" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run_stage(module, ["--help"])
    shown = capsys.readouterr().out
    assert "ocr: what it does." in shown
    assert "the result, in 50% of the cases." in " ".join(shown.split())


@pytest.mark.parametrize("name", VERSIONS)
def test_every_option_of_every_stage_is_explained(name):
    module = importlib.import_module(f"ita.stages.{name}")
    assert module.__doc__.startswith(f"{name}: ") and " -> " in module.__doc__.splitlines()[0]
    assert all(action.help for action in stage_parser(name, module.work, module.__doc__)._actions)


@pytest.mark.parametrize("text", ["{", "[]", "@/no/such/file"])
def test_settings_must_be_an_object(text):
    with pytest.raises(UserError, match="settings"):
        read_settings(text)


def test_settings_from_a_file(tmp_path):
    (tmp_path / "s.json").write_text('{"a": 1}')
    assert read_settings(f"@{tmp_path}/s.json") == {"a": 1}


def test_help_names_every_command_and_imports_nothing_heavy():
    code = (
        "import sys; from ita.__main__ import main; main(['--help']);"
        "heavy = {'torch', 'transformers', 'pandas', 'pyarrow', 'numpy', 'PIL', 'pydantic'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == 0, done.stderr
    for name in (*stages(), *commands()):
        assert re.search(rf"^  {name} +\S", done.stdout, re.MULTILINE), "with what it does"


def test_a_closed_pipe_ends_quietly():
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.Popen(
        [sys.executable, "-m", "ita", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    run.stdout.close()
    assert run.stderr.read() == b""
    assert run.wait() == 0


def test_unknown_commands_are_refused(capsys):
    assert ita(["tarin"]) == 2
    assert "unknown command 'tarin'" in capsys.readouterr().err


def test_answers_are_utf8_in_every_locale_and_output_may_be_closed():
    program = "import ita.__main__ as program; program.run = lambda _: print('Zo\\u00e9') or 0; exit(program.main([]))"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    told = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert told.stdout.decode() == "Zo\u00e9\n" and not told.stderr
    command = f'exec {sys.executable} -c "{program}" >&-'
    assert subprocess.run(["sh", "-c", command], capture_output=True, check=True).stderr == b""


def test_a_log_on_a_full_disk_does_not_stop_the_next_one(tmp_path, capsys):
    """Its last bytes are written when it is closed, which is when the next log takes its place."""

    def work(settings: dict, output: Path):
        raise UserError("the file is green")

    class Full(io.StringIO):
        def flush(self):
            raise OSError(28, "No space left on device")

    configure_log(tmp_path / "first.log")
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogFile):
            handler.stream = Full()
    capsys.readouterr()
    assert run_stage(stage(work), ["--output", str(tmp_path / "o")]) == 1
    assert capsys.readouterr().err == "ocr: the file is green\n"
