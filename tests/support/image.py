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
        self.places = self.pip_places()

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
        arguments = f"--isolation chroot {' '.join(self.places)} --build-arg BASE={self.base()}"
        output("make", "image", "BUILDER=buildah", f"IMAGE_ARGS={arguments}", cwd=ROOT, env=self.environment)
        return "localhost/ita:cpu"

    def pip_places(self) -> list[str]:
        """This machine's way to the package registry, no part of the image: -v HOST:IMAGE:ro for each place."""
        rows = [row.partition("=") for row in output(sys.executable, "-m", "pip", "config", "list").splitlines()]
        values = {name.rpartition(".")[2]: value.strip("'") for name, _, value in rows}
        kept = {name: values[name] for name in ("cert", "index-url", "find-links") if name in values}
        folder = self.folder / "pip"
        folder.mkdir()
        places = {folder: "/pip", folder / "pip.conf": "/etc/pip.conf"}
        if "cert" in kept:
            shutil.copy(kept["cert"], folder / "ca.crt")
            kept["cert"] = "/pip/ca.crt"
        if Path(kept.get("find-links", "")).is_absolute():
            places[Path(kept["find-links"])] = kept["find-links"]
        text = "[global]\n" + "".join(f"{name} = {value}\n" for name, value in kept.items())
        (folder / "pip.conf").write_text(text)
        return [word for host, place in places.items() for word in ("-v", f"{host}:{place}:ro")]

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
