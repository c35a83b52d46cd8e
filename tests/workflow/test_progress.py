"""The few lines that ``make demo`` shows of a run."""

import io
import subprocess
import sys

import pytest

from ita.workflow import progress

SNAKEFILE = """
rule all:
    input: "c1", "c2"
rule train:
    output: "a{n}"
    log: "logs/a{n}.log"
    shell: "echo fine > {log}; touch {output}"
rule table:
    input: "a{n}"
    output: "c{n}"
    log: "logs/c{n}.log"
    shell: "for i in $(seq 30); do echo line $i of {output}; done > {log}; test {wildcards.n} != 'BAD'; touch {output}"
"""


@pytest.fixture
def workflow(tmp_path, monkeypatch):
    """A folder with two rules, whose second fails for the target c2 where it is asked to."""
    monkeypatch.chdir(tmp_path)
    return lambda bad: (tmp_path / "Snakefile").write_text(SNAKEFILE.replace("BAD", bad))


def test_a_line_per_stage(workflow, capsys):
    workflow("3")
    assert progress.main(["--cores", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["snakemake --cores 1", "  (its log: results/logs/snakemake.log)"]
    assert [line.split()[:3] for line in lines[2:]] == [["train", "2", "jobs"], ["table", "2", "jobs"]]
    assert "5 of 5 steps (100%) done" in progress.LOG.read_text()
    assert progress.main(["--cores", "1"]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_failure_shows_the_rule_and_the_end_of_its_log(workflow, capsys):
    workflow("2")
    assert progress.main(["--cores", "1"]) == 1
    shown = capsys.readouterr().out
    assert "failed: table (1 of 2 jobs)" in shown
    assert "logs/c2.log:" in shown and "line 30 of c2" in shown
    assert "line 1 of c2\n" not in shown and "c1" not in shown.partition("failed")[2]


def test_without_a_failed_job_the_end_of_snakemakes_log_is_shown(workflow, capsys):
    workflow("3")
    assert progress.main(["--cores", "1", "no_such_file"]) == 1
    shown = capsys.readouterr().out
    assert "results/logs/snakemake.log:" in shown and "no_such_file" in shown
    assert "failed:" not in shown


def test_a_terminal_gets_a_bar(tmp_path):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    output = (
        "Job stats:\njob  count\n---  -----\ntrain  4\ntotal  4\n\nlocalrule train:\nFinished jobid: 1 (Rule: train)\n"
    )
    screen = Terminal()
    with open(tmp_path / "log", "w") as log:
        state = progress.show(output.splitlines(keepends=True), log, screen)
    assert (state.done, state.total) == (1, 4)
    assert f"[{'#' * 7}{'.' * 23}] 1 of 4: train" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K"), "the bar is gone at the end"
    assert (tmp_path / "log").read_text() == output


def test_it_imports_nothing_heavy():
    code = "import sys, ita.workflow.progress; sys.exit(bool({'pydantic', 'snakemake', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
