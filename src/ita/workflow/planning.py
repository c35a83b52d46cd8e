"""What happens once, when Snakemake reads the workflow."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import ita
from ita.config.levels import merge
from ita.config.sources import read_yaml
from ita.errors import ConfigError, UserError

SETTINGS_FILES = ("config.yaml", "config/config.yaml")
"""Where the settings of a folder may stand; the first that is there."""
LINKED = Path(".snakemake/ita")
"""Folder with nothing in it but the installed package."""


def check_profile(arguments: Sequence[str], *workflows: Path) -> None:
    """Raises ConfigError for a workflow profile that does not exist, which Snakemake passes over without a word.

    Args:
        arguments: those of the process.
        workflows: folders of Snakefiles; the first is the one that was called.
    """
    option = "--workflow-profile"
    parser = argparse.ArgumentParser(add_help=False)  # knows the option shortened, as Snakemake does
    parser.add_argument(option)
    name = parser.parse_known_args(arguments)[0].workflow_profile
    paths = [] if name in (None, "none") else [Path(name), Path("profiles", name), workflows[0] / "profiles" / name]
    if paths and not any(path.exists() for path in paths):
        folders = dict.fromkeys(folder.resolve() for workflow in workflows for folder in profile_folders(workflow))
        profiles = ", ".join(
            sorted({os.path.relpath(path.parent) for folder in folders for path in folder.glob("*/*.yaml")})
        )
        raise ConfigError(f"{option} {name}: no such profile (there are: {profiles or 'none'})")


def profile_folders(workflow: Path) -> list[Path]:
    """Folders that may hold the profiles of a workflow."""
    return [Path("profiles"), workflow / "profiles", workflow / "workflow" / "profiles"]


def check_version(source: Path) -> None:
    """Raises UserError where the installed package is of another version than the workflow.

    Args:
        source: the package's ``__init__.py`` as it is in the workflow's repository.
    """
    version = re.search(r'^__version__ = "(.+)"', source.read_text(encoding="utf-8"), re.MULTILINE)
    if version and version[1] != ita.__version__:
        raise UserError(
            f"the workflow is of version {version[1]}, the installed package ita-ner of version {ita.__version__}: "
            f"install version {version[1]}, or take the tag of the workflow that fits"
        )


def config_files(defaults: Path | None) -> list[str]:
    """Files of settings, later ones winning: the workflow's own, then that of the present folder, where it is another.

    Args:
        defaults: the workflow's own; None where it is not at hand.

    Raises:
        ConfigError: naming file and line, for one that cannot be read.
    """
    local = next((Path(name) for name in SETTINGS_FILES if Path(name).is_file()), None)
    if local and defaults and defaults.exists() and local.samefile(defaults):
        defaults = None
    files = [path for path in (defaults, local) if path]
    for path in files:
        read_yaml(path)
    return list(map(str, files))


def with_defaults(config: Mapping[str, Any], defaults: Path) -> dict[str, Any]:
    """A configuration over the workflow's own."""
    merged: dict[str, Any] = merge(read_yaml(defaults), config)
    return merged


def check_container(deployments: Collection[str], image: str | None) -> None:
    """Raises ConfigError when jobs are to run in an image and none is named; Snakemake would run them without one.

    Args:
        deployments: names of Snakemake's deployment methods, such as APPTAINER.
        image: the setting ``container``.
    """
    if "APPTAINER" in deployments and not image:
        raise ConfigError(
            "--sdm apptainer needs an image: `make image` builds it, then name it, as a file or docker://NAME,"
            " in config.yaml or by --config container=IMAGE"
        )


def job_prefix(source: Path | None, deployed: bool) -> str:
    """Shell text before each job: the checkout's code, run by the interpreter that runs Snakemake.

    Snakemake formats it, so braces are doubled.

    Args:
        source: the folder ``src``; None where the package is installed beside Snakemake.
        deployed: an environment is made for the jobs, which has an interpreter of its own.
    """
    path = f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"; '
    if source is None and deployed:
        source = linked_package()
    code = f'export PYTHONPATH={shlex.quote(str(source))}"${{{{PYTHONPATH:+:$PYTHONPATH}}}}"; ' if source else ""
    return code + ("" if deployed else path)


def linked_package() -> Path:
    """A folder with a link to the installed package alone, for jobs that another interpreter runs.

    The folder that the package is installed in has the libraries of the interpreter that runs Snakemake.
    """
    link, package = LINKED.absolute() / "ita", Path(ita.__file__).resolve().parent
    if not link.is_symlink() or Path(os.readlink(link)) != package:
        link.parent.mkdir(parents=True, exist_ok=True)
        part = link.with_name(f".{os.getpid()}.part")
        part.unlink(missing_ok=True)
        part.symlink_to(package)
        part.replace(link)
    return link.parent


def growing(amount: int) -> Callable[[object, int], int]:
    """A resource, such as memory or time, of which each further attempt of a job asks for as much again.

    Args:
        amount: that of the first attempt. Attempts after it are made only where Snakemake retries, as profiles may say.
    """

    def resource(wildcards: object, attempt: int) -> int:
        return amount * attempt

    return resource


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU."""
    return any(Path("/dev").glob("nvidia[0-9]*"))
