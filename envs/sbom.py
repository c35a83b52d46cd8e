"""Adds this system's Debian packages to a bill of materials in CycloneDX: python sbom.py PYTHON.json OUTPUT.json."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

FIELDS = "${Package}\t${Version}\t${Architecture}\t${source:Package}\n"


def debian_packages() -> list[dict[str, object]]:
    """Components of CycloneDX, by name; none on a system of another kind."""
    if not shutil.which("dpkg-query"):
        return []
    rows = subprocess.run(["dpkg-query", "-W", "-f", FIELDS], capture_output=True, text=True, check=True).stdout
    components = []
    for name, version, architecture, source in sorted(row.split("\t") for row in rows.splitlines()):
        purl = f"pkg:deb/debian/{quote(name, safe='')}@{quote(version, safe='')}?arch={architecture}"
        component = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
        components.append({**component, "properties": [{"name": "debian:source", "value": source}]})
    return components


def main(python_packages: str, output: str) -> None:
    bill = json.loads(Path(python_packages).read_text(encoding="utf-8"))
    bill["components"] += debian_packages()
    Path(output).write_text(json.dumps(bill, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
