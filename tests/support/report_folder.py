"""What a report holds: its folder, and Snakemake's report as a ZIP file with that folder in it."""

import zipfile
from pathlib import Path

from tests.support.made_dataset import read_script


def lost_links(report: Path) -> list[str]:
    """Addresses of files and logs of the runs behind the scores of its tables that lead nowhere."""
    runs = read_script(report / "data" / "tables.js")["runs"]
    addresses = [address for run in runs.values() for seed in run["seeds"] for _, address in seed["links"]]
    assert addresses
    return [address for address in addresses if not (report / address).is_file()]


def zipped_report(path: Path) -> str:
    """The page of Snakemake's report; the pages of the folder must lie beside it."""
    with zipfile.ZipFile(path) as archive:
        pages = {name.rpartition("/")[2] for name in archive.namelist()}
        assert {"tables.html", "charts.html", "posts.html", "tables.js"} <= pages
        return archive.read("report/report.html").decode()
