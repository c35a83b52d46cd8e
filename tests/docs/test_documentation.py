"""README and docs: links lead somewhere, pages are what their generators print, commands run."""

import re
import shlex
import subprocess
import sys

import pytest
import yaml

from ita.__main__ import main
from ita.config import reference
from tests.support.paths import ROOT
from tests.support.pipeline import Pipeline

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "results/README.md"]
MINE = yaml.safe_load(re.search(r"```yaml\n# mine.yaml\n(.*?)```", PAGES[0].read_text(), re.DOTALL)[1])

ASKING = re.search(r"```yaml\n(# knowledge.yaml\n.*?)```", (ROOT / "docs/knowledge.md").read_text(), re.DOTALL)[1]


def commands():
    """Lines of the README's and docs' shell blocks, without comments."""
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.splitlines():
                if words := shlex.split(line, comments=True):
                    yield pytest.param(words, id=" ".join(words)[:60])


def test_the_readme_is_short():
    assert len(PAGES[0].read_text().splitlines()) < 200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert all((page.parent / target).exists() for target in targets), targets


def test_the_page_of_settings_is_the_one_printed():
    found = (ROOT / "docs/configuration.md").read_text()
    assert found == reference.render(), "run: ita schema --markdown > docs/configuration.md"


def test_the_tables_of_costs_are_those_printed():
    command = [sys.executable, "benchmarks/scale_costs.py"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.strip() in (ROOT / "docs/scale.md").read_text(), "run: python benchmarks/scale_costs.py --write"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The workflow with the files that the README's data set and the example of new posts name, empty."""
    pipeline = Pipeline(tmp_path_factory.mktemp("readme"))
    folder = pipeline.folder
    (folder / "mine.yaml").write_text(yaml.safe_dump(MINE))
    (folder / "knowledge.yaml").write_text(ASKING)
    (folder / "data/images").mkdir(parents=True)
    (folder / "models/my-encoder").mkdir(parents=True)
    for name in ("train", "dev", "test"):
        (folder / f"data/{name}.jsonl").touch()
    (folder / "data/new-images").mkdir()
    (folder / "data/new.csv").touch()
    (folder / "data/demonstrations.jsonl").touch()
    return pipeline


@pytest.mark.parametrize("words", commands())
def test_a_command_of_the_documentation_is_understood(words, checkout, monkeypatch, capsys):
    """Snakemake plans its targets, make knows its targets, `ita` its command and options."""
    program, *arguments = words
    if program == "snakemake":
        if "workflow/examples/twitter17-minilm.yaml" in arguments:
            pytest.skip("reads files that its user puts under data/")
        # What these do is planned without them: their executors are no part of the tests' environment.
        arguments = [word for word in arguments if word != "--workflow-profile" and "workflow/profiles/" not in word]
        checkout.run("--dry-run", *[word for word in arguments if word not in ("-n", "--cores", "8", "2")])
    elif program == "make":
        subprocess.run(["make", "-n", *arguments], cwd=ROOT, check=True, capture_output=True)
    elif program == "ita":
        with pytest.raises(SystemExit) as ended:
            main([arguments[0], "--help"])
        assert ended.value.code == 0
        monkeypatch.chdir(checkout.folder)
        if arguments[0] == "config":
            assert main([*arguments, "--configfile", "mine.yaml"]) == 0
            assert "mine.yaml" in capsys.readouterr().out
    else:
        assert program in ("pip", "python", "python3", ".venv/bin/pip", "apt-get", "curl"), program
