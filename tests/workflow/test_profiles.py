"""What the Slurm profile says agrees with the rules."""

import re

import pytest
import yaml

from tests.support.paths import ROOT

PROFILE = ROOT / "workflow/profiles/slurm/config.yaml"
RULES = {path.stem: path.read_text() for path in (ROOT / "rules").glob("*.smk") if path.stem != "common"}


def test_gpus_are_asked_for_by_the_rules_that_use_one():
    profile = yaml.safe_load(PROFILE.read_text())
    use_one = {rule for rule, text in RULES.items() if re.search(r"^ +gpu=1,$", text, re.MULTILINE)}
    assert {rule for rule, resources in profile["set-resources"].items() if resources.get("gpu")} == use_one
    assert use_one == {"detect", "caption", "train", "evaluate", "tag"}


def test_a_job_that_failed_is_given_more_and_only_snakemake_submits_it_again():
    profile = yaml.safe_load(PROFILE.read_text())
    assert profile["retries"] >= 2 and profile["slurm-no-requeue"]
    assert "attempt" in profile["default-resources"]["mem_mb"]
    for rule, text in RULES.items():
        assert not re.search(r"mem_mb=\d", text), f"{rule}: memory that does not grow"


def test_every_line_is_explained():
    lines = PROFILE.read_text().splitlines()
    sections = ("resources:", "default-resources:", "set-resources:")
    assert all("#" in line for line in lines), [line for line in lines if "#" not in line]
    assert all(any(line.startswith(section) for line in lines) for section in sections)


@pytest.mark.parametrize(("name", "gpu"), [("googlebatch", "nvidia_gpu"), ("aws-batch", "_gpus")])
def test_clouds_give_gpus_to_the_rules_that_use_one(name, gpu):
    """By the names that their plugins read; Kubernetes reads those of the rules."""
    profile = yaml.safe_load((ROOT / f"workflow/profiles/{name}/config.yaml").read_text())
    with_gpu = {rule for rule, resources in profile["set-resources"].items() if resources.get(gpu)}
    assert with_gpu == {rule for rule, text in RULES.items() if re.search(r"^ +gpu=1,$", text, re.MULTILINE)}


@pytest.mark.parametrize("path", (ROOT / "workflow/profiles").glob("*/config.yaml"), ids=lambda path: path.parent.name)
def test_every_line_of_every_profile_is_explained(path):
    assert [line for line in path.read_text().splitlines() if "#" not in line] == []
