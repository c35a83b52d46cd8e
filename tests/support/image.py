"""The image of the Containerfile, built by buildah on a base of Debian's packages: no registry of images is needed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.paths import ROOT

SUITES = ["debian bookworm", "debian bookworm-updates", "debian-security bookworm-security"]
STORAGE = '[storage]\ndriver = "overlay"\nrunroot = "{folder}/run"\ngraphroot = "{folder}/store"\n'


def output(*command: str | Path, **options) -> str:
    """What a command prints; a failure shows its errors."""
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, **options)
    assert done.returncode == 0, command
    return done.stdout


class Builder:
    """buildah with its images in a folder, unless $CONTAINERS_STORAGE_CONF names another place.

    Args:
        folder: takes the images, about 6 GB.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, settings = folder, folder / "storage.conf"
        settings.write_text(STORAGE.format(folder=folder))
        self.environment = {"CONTAINERS_STORAGE_CONF": str(settings), **os.environ}

    def __call__(self, *arguments: str | Path) -> str:
        return output("buildah", *arguments, env=self.environment)

    def base(self) -> str:
        """Name of a Debian base: $ITA_BASE_IMAGE, or one that is made of Debian's packages."""
        if name := os.environ.get("ITA_BASE_IMAGE"):
            return name
        archive, mirror = self.folder / "base.tar", os.environ.get("ITA_DEBIAN_MIRROR", debian_mirror())
        sources = [f"deb {mirror}/{suite} main" for suite in SUITES]
        output("mmdebstrap", "--variant=minbase", "bookworm", archive, *sources)
        container = self("from", "scratch").strip()
        self("add", "-q", container, archive, "/")
        self("commit", "-q", "--rm", container, "localhost/debian:bookworm-slim")
        return "localhost/debian:bookworm-slim"

    def image(self) -> str:
        """Name of the image: $ITA_IMAGE, or the one that is built of this checkout by ``make image``."""
        if name := os.environ.get("ITA_IMAGE"):
            return name
        volumes = " ".join(f"-v {place}" for place in self.pip_places())
        arguments = f"--isolation chroot {volumes} --build-arg BASE={self.base()}"
        output("make", "image", "BUILDER=buildah", f"IMAGE_ARGS={arguments}", cwd=ROOT, env=self.environment)
        return "localhost/ita:cpu"

    def pip_places(self) -> list[str]:
        """This machine's way to the package registry, for the build alone: volumes HOST:IMAGE:ro."""
        lines = output(sys.executable, "-m", "pip", "config", "list").splitlines()
        values = {line.partition("=")[0].rpartition(".")[2]: line.partition("=")[2].strip("'") for line in lines}
        certificates = self.folder / "pip"
        certificates.mkdir()
        places = [f"{certificates}:/pip:ro"]
        if "cert" in values:
            shutil.copy(values["cert"], certificates / "ca.crt")
            values["cert"] = "/pip/ca.crt"
        if Path(values.get("find-links", "")).is_absolute():
            places.append(f"{values['find-links']}:{values['find-links']}:ro")
        kept = {name: values[name] for name in ("cert", "index-url", "find-links") if name in values}
        text = "[global]\n" + "".join(f"{name} = {value}\n" for name, value in kept.items())
        (certificates / "pip.conf").write_text(text)
        return [*places, f"{certificates / 'pip.conf'}:/etc/pip.conf:ro"]

    @contextmanager
    def container(self, image: str) -> Iterator[str]:
        """Name of a container of the image."""
        name = self("from", image).strip()
        try:
            yield name
        finally:
            self("rm", name)


def debian_mirror() -> str:
    """The mirror that this machine's own packages come from, without its last folder."""
    for line in output("apt-get", "indextargets", "--format", "$(SITE)").splitlines():
        if line.endswith("/debian"):
            return line.removesuffix("/debian")
    raise AssertionError("set ITA_DEBIAN_MIRROR")
