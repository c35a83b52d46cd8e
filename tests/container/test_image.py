"""The image: what it says of itself, what is in it, and the demo in it, as a user without rights, with nothing else.

Needs root, buildah and mmdebstrap (apt-get install buildah mmdebstrap). $ITA_IMAGE names an image that is there.
"""

import json
import os
import re
import shutil
import subprocess

import pytest

from tests.support.image import output
from tests.support.paths import ROOT

pytestmark = pytest.mark.container


@pytest.fixture
def checkout(tmp_path):
    """The files of this checkout, which the user of the image may write."""
    names = output("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in filter(lambda name: (ROOT / name).is_file(), names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    output("chown", "-R", "1000:1000", tmp_path)
    return tmp_path


def test_labels_and_user(builder, image):
    config = json.loads(builder("inspect", "--type", "image", image))["OCIv1"]["config"]
    labels = {name.rpartition(".")[2]: text for name, text in config["Labels"].items() if "opencontainers" in name}
    assert labels.keys() == {"title", "description", "licenses", "source", "version", "revision"}
    assert labels["licenses"] == "MIT" and labels["version"] == "0.1.0"
    assert config["User"] == "ita"


def test_the_user_may_write_at_home_and_nowhere_else(builder, container):
    run = ("run", "--isolation", "chroot", container, "sh", "-c")
    assert builder(*run, "id -u").strip() == "1000"
    tried = (
        "for folder in / /opt/ita /usr/bin /home/ita /work; do touch $folder/x 2>/dev/null && echo $folder; done; true"
    )
    assert builder(*run, tried).split() == ["/home/ita", "/work"]


def test_the_bill_of_materials_lists_what_is_installed(builder, container):
    bill = json.loads(builder("run", "--isolation", "chroot", container, "cat", "/opt/ita/share/sbom/ita.cdx.json"))
    packages = {
        component["purl"].partition("@")[0]: component["version"]
        for component in bill["components"]
        if "purl" in component
    }
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\", (ROOT / "envs/image.lock").read_text(), re.MULTILINE))
    for name in ("snakemake", "transformers", "rapidocr", "seqeval"):
        assert packages[f"pkg:pypi/{name}"] == pins[name]
    assert packages["pkg:pypi/torch"] == f"{pins['torch']}+cpu"
    assert packages["pkg:deb/debian/tesseract-ocr"].startswith("5.")
    assert not [purl for purl in packages if "nvidia" in purl], "nothing of CUDA"
    validation = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion

    version = SchemaVersion.from_version(bill["specVersion"])
    assert validation.JsonStrictValidator(version).validate_str(json.dumps(bill)) is None


COLUMNS = ("Trained on", "T", "I+T", "p I+T", "vs random", "updates", "subwords")


def table(text):
    """Approach -> its cells in the columns above, of the table of results in a text."""
    lines = [[cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines() if row.startswith("|")]
    head = next(row for row in lines if "Approach" in row)
    rows = [dict(zip(head, row, strict=False)) for row in lines[lines.index(head) + 2 :]]
    return {
        row["Approach"]: [row[column] for column in COLUMNS] for row in rows if row.get("subwords", "").endswith("k")
    }


def test_the_demo_gives_the_table_of_the_readme(builder, container, checkout):
    command = ("snakemake", "--cores", os.environ.get("CORES", "2"), "results/demo/table1.csv")
    builder("run", "--isolation", "chroot", "-v", f"{checkout}:/work", container, *command)
    made, expected = table((checkout / "results/demo/table1.md").read_text()), table((ROOT / "README.md").read_text())
    assert len(made) == 7
    # The README names the other values that this row has on other processors.
    last, usual = made.pop("ITA-All+CVA"), expected.pop("ITA-All+CVA")
    assert made == expected
    assert last == usual or last[1:3] == ["48.49 ± 3.01", "80.08 ± 1.10‡"]


def test_rules_run_in_the_image_that_the_configuration_names(builder, image, container, checkout):
    """Snakemake's own way into images, with a stand-in for apptainer that starts them by buildah."""
    programs = checkout / "programs"
    programs.mkdir()
    (programs / "apptainer").write_text(APPTAINER.format(container=container))
    (programs / "apptainer").chmod(0o755)
    target = "results/demo/ocr/tesseract.parquet"
    done = subprocess.run(
        [
            shutil.which("snakemake"),
            target,
            "--cores",
            "1",
            "--sdm",
            "apptainer",
            "--config",
            "container=/an/image.sif",
        ],
        cwd=checkout,
        env={**builder.environment, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (checkout / target).is_file()
    assert (checkout / "started").read_text().splitlines() == ["/an/image.sif"] * 5, (
        "demo, posts, download, ocr, gather"
    )


APPTAINER = """#!/bin/bash
# apptainer exec --home FOLDER ... IMAGE SHELL -c COMMAND
if [ "$1" = --version ]; then echo "apptainer version 1.3.6"; exit; fi
while [ "$1" != exec ]; do shift; done
shift
while [[ "$1" == -* ]]; do shift 2; done
echo "$1" >> started
shift
chmod -R a+rwX .
exec buildah run --isolation chroot --user root -v "$PWD:$PWD" --workingdir "$PWD" {container} "$@"
"""
