"""ita card: the card of a data set whose posts have been read."""

import pytest

from ita.commands import card
from ita.io import parquet
from ita.io.provenance import provenance_of
from tests.support.paths import ROOT


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the configuration."""
    (tmp_path / "config.yaml").write_text((ROOT / "config.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_card_has_licence_and_note_of_the_configuration(folder, capsys):
    split = {"file": "a.txt", "sha256": "abc", "label_version": "v1", "posts": 5, "tokens": 9, "spans": 2}
    metadata = {"label_version": "v1", "splits": {"train": split}, **provenance_of({})}
    parquet.write("posts", [], folder / "results/twitter17/posts.parquet", metadata)
    (folder / "mine.yaml").write_text("datasets: {twitter17: {note: Seen before.}}")
    assert card.main(["twitter17", "--configfile", "mine.yaml"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("# Data card: twitter17\n\nSeen before.\n")
    assert "- Licence: none stated; texts and images belong to their authors" in printed
    assert "## Images\n\nNone." in printed
    images = [{"image_id": "a", "status": "refused"}]
    parquet.write("images", images, folder / "results/twitter17/images.parquet")
    assert card.main(["twitter17"]) == 0
    assert "| refused" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("twiter17", "no data set 'twiter17'; there are: demo"),
        ("snap", "snakemake --cores 1 results/snap/posts.parquet"),
    ],
)
def test_what_is_missing_is_told(folder, dataset, message, capsys):
    assert card.main([dataset]) == 1
    assert message in capsys.readouterr().err
