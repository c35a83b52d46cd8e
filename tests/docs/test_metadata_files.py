"""codemeta.json and .zenodo.json say what pyproject.toml and CITATION.cff say."""

import json
import tomllib

import pytest
import yaml

import ita
from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
CODEMETA, ZENODO = (json.loads((ROOT / name).read_text(encoding="utf-8")) for name in ("codemeta.json", ".zenodo.json"))


def test_one_version():
    assert {CITATION["version"], CODEMETA["version"], ZENODO["version"]} == {ita.__version__}


def test_one_licence():
    licence = PROJECT["license"]
    assert CITATION["license"] == ZENODO["license"] == licence
    assert CODEMETA["license"] == f"https://spdx.org/licenses/{licence}"


def test_one_name_and_description():
    assert CODEMETA["name"] == PROJECT["name"]
    assert ZENODO["title"] == CITATION["title"]
    assert CODEMETA["description"] == ZENODO["description"] == PROJECT["description"]
    assert CODEMETA["keywords"] == ZENODO["keywords"]
    assert CODEMETA["runtimePlatform"] == f"Python {PROJECT['requires-python']}"


def test_one_list_of_authors_and_one_paper():
    authors = [author["name"] for author in CITATION["authors"]]
    assert [author["name"] for author in CODEMETA["author"]] == authors
    assert [creator["name"] for creator in ZENODO["creators"]] == authors
    paper, cited = CODEMETA["referencePublication"], CITATION["preferred-citation"]
    assert (paper["name"], int(paper["datePublished"])) == (cited["title"], cited["year"])


@pytest.mark.parametrize("field", ["readme", "buildInstructions", "softwareHelp"])
def test_pages_are_there(field):
    assert (ROOT / CODEMETA[field]).is_file()
