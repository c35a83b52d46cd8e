"""How an output was made, as it is recorded."""

import platform
import re
import subprocess
from importlib import metadata

import ita
from ita.io import provenance
from ita.io.provenance import git_commit, provenance_of


def test_provenance_has_settings_versions_and_hashes(tmp_path):
    (tmp_path / "in").write_text("abc")
    record = provenance_of({"a": 1}, {"in": tmp_path / "in", "absent": None})
    assert record["settings"] == {"a": 1}
    assert record["inputs"] == {"in": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
    versions = record["versions"]
    assert {"python", "ita", "torch", "transformers"} <= versions.keys()
    assert (versions["python"], versions["ita"]) == (platform.python_version(), ita.__version__)
    assert versions["torch"] == metadata.version("torch")


def test_packages_that_are_not_installed_are_left_out(monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGES", ("torch", "no-such-package"))
    assert provenance_of({})["versions"].keys() == {"python", "ita", "torch"}


def test_the_commit_is_that_of_the_package(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=n", "-c", "user.email=e", *arguments], check=True)

    (tmp_path / "ita").mkdir()
    (tmp_path / "ita" / "__init__.py").touch()
    monkeypatch.setattr(ita, "__file__", str(tmp_path / "ita" / "__init__.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit() is None, "no repository"
    git("init", "-q")
    assert git_commit() is None, "a repository that does not track the package"
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git_commit()
    assert re.fullmatch("[0-9a-f]{40}", commit)
    (tmp_path / "README").touch()
    assert git_commit() == commit, "a change outside the package"
    (tmp_path / "ita" / "__init__.py").write_text("changed")
    assert git_commit() == f"{commit}+"
