"""Conventions of the tree, run by ``make lint``: lengths, one word per stage, directives of rules, pinned versions."""

import re
import tomllib

import pytest
import yaml

from ita.config.sections import STAGES
from ita.workflow.versions import VERSIONS
from tests.support.paths import ROOT

LONGEST = 400
IN_IMAGE = ["rapidocr", "heif"]  # extras that rules use where they are installed
RULES = [path for path in sorted((ROOT / "rules").glob("*.smk")) if path.stem != "common"]


@pytest.mark.parametrize("pattern", ["src/**/*.py", "rules/*.smk", "tests/**/*.py", "benchmarks/*.py"])
def test_no_file_is_long(pattern):
    lengths = {path: len(path.read_text().splitlines()) for path in ROOT.glob(pattern)}
    assert lengths
    assert {str(path): length for path, length in lengths.items() if length > LONGEST} == {}


def test_common_rules_are_short():
    assert len((ROOT / "rules/common.smk").read_text().splitlines()) < 60


def test_the_snakefile_lists_the_stages_in_order():
    included = re.findall(r'include: "rules/(\w+)\.smk"', (ROOT / "Snakefile").read_text())
    assert included == ["common", *STAGES] == ["common", *VERSIONS]
    assert sorted(path.stem for path in RULES) == sorted(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_one_word_per_stage(stage):
    """Rule file, rule, command, module, section, log, benchmark and test have the same name."""
    text = (ROOT / "rules" / f"{stage}.smk").read_text()
    assert re.findall(r"^rule (\w+):", text, re.MULTILINE) == [stage]
    assert f"python -m ita {stage} " in text
    assert re.search(rf'"results/logs/[^/]+/{stage}[./]', text)
    assert re.search(rf'"results/benchmarks/[^/]+/{stage}[./]', text)
    assert (ROOT / "src/ita/stages" / f"{stage}.py").is_file()
    assert (ROOT / "tests/stages" / f"test_{stage}.py").is_file()
    assert stage in yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules_are_programs_with_all_directives(path):
    text = path.read_text()
    for directive in ("output", "log", "benchmark", "conda", "params", "shell"):
        assert re.search(rf"^    {directive}:", text, re.MULTILINE), directive
    assert not re.search(r"^\s+(run|script|notebook):|^\s*def ", text, re.MULTILINE)
    assert re.search(r'^    """[A-Z].*\.$|^    """[A-Z].*\."""$', text, re.MULTILINE), "what it does"


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_files_in_commands_are_quoted(path):
    shell = path.read_text().partition("    shell:")[2]
    placeholders = re.findall(r"\{((?:input|output|params|log)[\w.]*)(:q)?\}", shell)
    assert placeholders
    assert [name for name, quoted in placeholders if not quoted] == []


def test_environment_pins_what_the_constraints_pin():
    constraints = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pins = {name.lower(): version for name, version in constraints.items()}
    packages = yaml.safe_load((ROOT / "envs/ita.yaml").read_text())["dependencies"][-1]["pip"]
    pinned = dict(package.split("==") for package in packages)
    assert pinned
    assert {name: pins.get(name.lower()) for name in pinned} == pinned
    # The jobs need what the package needs, but not what runs Snakemake and its report.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split("[><=]", requirement)[0] for requirement in project["dependencies"]} - {"snakemake", "pygments"}
    optional = {
        re.split("[><=]", requirement)[0]
        for extra in IN_IMAGE
        for requirement in project["optional-dependencies"][extra]
    }
    assert needed | optional == pinned.keys()


def test_the_image_has_the_pinned_versions_with_hashes():
    """`make lock` makes both locks anew; the image's own is a part of the other, but for its optional packages."""
    image, everything = ((ROOT / "envs" / name).read_text() for name in ("image.lock", "requirements.lock"))
    constraints, both = pinned((ROOT / "constraints.txt").read_text()), pinned(image).keys() & pinned(everything).keys()
    assert {name: version for name, version in pinned(image).items() if constraints.get(name, version) != version} == {}
    entries = [
        {entry.partition("==")[0]: entry for entry in re.split(r"\n(?=\S)", text.strip())}
        for text in (image, everything)
    ]
    assert len(both) > 100 and {name for name in both if entries[0][name] != entries[1][name]} == set()
    torch = pinned((ROOT / "envs/torch-cpu.lock").read_text())
    assert torch == {"torch": constraints["torch"] + "+cpu"}
    builders = pinned((ROOT / "envs/build.lock").read_text())
    assert {"cyclonedx-bom", "setuptools"} <= builders.keys()
    for text in (image, (ROOT / "envs/build.lock").read_text()):
        assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=\S)", text.strip())) and "://" not in text


def pinned(text):
    """Name -> version, of lines NAME==VERSION."""
    pairs = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pairs}


def test_the_lock_file_has_the_pinned_versions_with_hashes():
    """``make lock`` makes it anew."""
    lock = (ROOT / "envs/requirements.lock").read_text()
    locked, constraints = pinned(lock), pinned((ROOT / "constraints.txt").read_text())
    differing = {name: (version, constraints[name]) for name, version in locked.items() if name in constraints}
    assert {name: pair for name, pair in differing.items() if pair[0] != pair[1]} == {}
    assert len(differing) > 100
    wanted = set(re.findall(r'^    "([A-Za-z0-9_-]+)[>=]', (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    dependencies = pinned("\n".join(f"{name}==0" for name in wanted)).keys() & constraints.keys()
    assert {"torch", "snakemake"} <= locked.keys() and dependencies & locked.keys() > {"aiohttp", "pandas"}
    for entry in re.split(r"\n(?=\S)", lock.strip()):
        assert "--hash=sha256:" in entry, entry[:80]
    assert "://" not in lock, "no host is named"
