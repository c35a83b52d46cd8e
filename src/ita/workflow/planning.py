"""What happens once, when Snakemake reads the workflow."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ita.errors import ConfigError


def check_profile(arguments: Sequence[str], workflow: Path) -> None:
    """Raises ConfigError for a workflow profile that does not exist, which Snakemake passes over without a word.

    Args:
        arguments: those of the process.
        workflow: folder of the Snakefile.
    """
    option = "--workflow-profile"
    names = [after for before, after in zip(arguments, arguments[1:], strict=False) if before == option]
    names += [argument.partition("=")[2] for argument in arguments if argument.startswith(f"{option}=")]
    for name in names:
        places = [Path(name), Path("profiles", name), workflow / "profiles" / name]
        if name != "none" and not any(place.exists() for place in places):
            there = ", ".join(sorted(str(path.parent) for path in Path("workflow/profiles").glob("*/config.yaml")))
            raise ConfigError(f"{option} {name}: no such profile (there are: {there or 'none'})")


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


def job_prefix(source: Path, deployed: bool) -> str:
    """Shell text before each job: the checkout's code, run by the interpreter that runs Snakemake.

    Snakemake formats it, so braces are doubled.

    Args:
        source: the folder ``src``.
        deployed: an environment is made for the jobs, which has an interpreter of its own.
    """
    path = f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"; '
    return f'export PYTHONPATH={shlex.quote(str(source))}"${{{{PYTHONPATH:+:$PYTHONPATH}}}}"; ' + (
        "" if deployed else path
    )


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
