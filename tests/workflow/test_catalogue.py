"""The workflow as the catalogue of workflows has it used: workflow/Snakefile, as a module, deployed."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from ita import __version__
from tests.support.paths import ROOT

SETTINGS = ROOT / ".test/config/config.yaml"
OWN = """
configfile: "settings.yaml"

module ita:
    snakefile: "{root}/workflow/Snakefile"
    config: config["ner"]

use rule * from ita as ita_*

rule best:
    default_target: True
    input: "results/demo/table1.csv"
    output: "best.txt"
    shell: "tail -1 {{input}} >{{output}}"
"""


def snakemake(folder, *arguments, python=sys.executable, fails=False, **environment):
    """Runs snakemake in a folder, without the checkout on its path."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [python, "-m", "snakemake", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**inherited, **environment})
    assert bool(done.returncode) == fails, (done.stdout + done.stderr)[-6000:]
    return done.stdout + done.stderr


def counts(output):
    """Rule -> its jobs in a dry run."""
    stats = output.partition("Job stats:")[2]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}


@pytest.fixture
def module(tmp_path):
    """A workflow that uses ours as a module, with settings of its own under a key of its own."""
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump({"ner": yaml.safe_load(SETTINGS.read_text())}))
    (tmp_path / "Snakefile").write_text(OWN.format(root=ROOT))
    return tmp_path


def test_the_snakefile_of_the_catalogue_works_from_any_folder(tmp_path):
    """With the settings of that folder over ours, the profile that loads itself, and the rule all."""
    (tmp_path / "config").mkdir()
    shutil.copy(SETTINGS, tmp_path / "config")
    output = snakemake(tmp_path, "--dry-run", "--snakefile", ROOT / "workflow/Snakefile")
    assert f"Using workflow specific profile {ROOT}/workflow/profiles/default" in output
    planned = counts(output)
    assert planned["all"] == planned["figure"] == planned["table"] == 1
    assert planned["train"] == 3, "two systems and the control, one seed"


def test_another_workflow_uses_the_rules_under_names_of_its_own(module):
    planned = counts(snakemake(module, "--dry-run", "--cores", "1"))
    assert planned["ita_train"] == 3 and planned["best"] == 1
    assert all(name.startswith("ita_") for name in planned.keys() - {"best", "total"})


def test_a_cloud_job_gets_the_rules_without_the_code(tmp_path):
    """Snakemake sends Snakefiles and settings alone; the image has the package."""
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    rules = snakemake(tmp_path, "--list-rules", PYTHONPATH=str(ROOT / "src")).split()
    assert {"posts", "train", "table"} <= set(rules)


def test_what_the_catalogue_looks_for_is_there():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"]["conda"] and usage["report"]
    readme = (ROOT / "config/README.md").read_text()
    stages = set(re.findall(r"`(\w+)`", re.search(r"## Stages\n(.*?)\n## ", readme, re.DOTALL)[1]))
    assert {path.stem for path in (ROOT / "rules").glob("*.smk")} - {"common", "demo"} <= stages
    assert (ROOT / "config/config.yaml").samefile(ROOT / "config.yaml"), "no second copy"
    assert (ROOT / "profiles").samefile(ROOT / "workflow/profiles")


def test_snakemake_is_required_in_the_same_version_everywhere():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    required = next(package for package in packages if package.startswith("snakemake>="))
    assert f'min_version("{required.removeprefix("snakemake>=")}")' in (ROOT / "Snakefile").read_text()
    assert re.search(rf"^version: {re.escape(__version__)}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)


@pytest.mark.slow
def test_another_workflow_runs_the_rules(module):
    snakemake(module, "--cores", "2")
    assert "ITA-All+CVA" in (module / "best.txt").read_text()


@pytest.fixture
def repository(tmp_path):
    """Environment in which the hosting site is a folder, and a tag of this checkout's files in it."""
    hosted = tmp_path / "hosted/owner/ita"
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in files.stdout.splitlines():
        if (ROOT / name).is_symlink() or (ROOT / name).is_file():
            (hosted / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, hosted / name, follow_symlinks=False)
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "all"], ["tag", "v1"]):
        subprocess.run(["git", *arguments], cwd=hosted, check=True)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{tmp_path}/hosted/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }


@pytest.fixture
def bare_python(tmp_path):
    """An interpreter that has all libraries of this one, but not this package."""
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    for path in Path(yaml.__file__).parents[1].iterdir():
        if "ita_ner" not in path.name:
            (libraries / path.name).symlink_to(path)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    site = next((tmp_path / "bare/lib").glob("python*/site-packages"))
    (site / "libraries.pth").write_text(f"{libraries}\n")
    return str(tmp_path / "bare/bin/python")


@pytest.mark.slow
def test_a_deployed_workflow_runs_with_the_installed_package(tmp_path, repository, bare_python):
    snakedeploy = shutil.which("snakedeploy") or pytest.skip("snakedeploy is not on the PATH")
    folder, package = tmp_path / "deployed", tmp_path / "package"
    folder.mkdir()
    deploy = [snakedeploy, "deploy-workflow", "https://github.com/owner/ita", ".", "--tag", "v1"]
    subprocess.run(deploy, cwd=folder, check=True, env={**os.environ, **repository})
    assert (folder / "config/config.yaml").read_text() == (ROOT / "config.yaml").read_text()
    run = [folder, "--cores", "2", "--configfile", SETTINGS]
    missing = snakemake(*run, python=bare_python, fails=True, **repository)
    assert "needs its Python package" in missing and "Using workflow specific profile profiles/default" in missing
    source = tmp_path / "hosted/owner/ita"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", package, source]
    subprocess.run(install, check=True)
    initial = package / "ita/__init__.py"
    text = initial.read_text()
    initial.write_text(text.replace(__version__, "0.0.9"))
    other = snakemake(*run, python=bare_python, fails=True, PYTHONPATH=str(package), **repository)
    assert "the installed package ita-ner of version 0.0.9" in other
    initial.write_text(text)
    snakemake(*run, python=bare_python, PYTHONPATH=str(package), **repository)
    assert "ITA-All+CVA" in (folder / "results/demo/table1.csv").read_text()
