"""config.yaml explains itself: every setting of a stage has a comment, in lines that fit the screen."""

from ita.config import STAGES, read_yaml
from tests.support.paths import ROOT

LINES = (ROOT / "config.yaml").read_text().splitlines()


def test_every_setting_has_a_comment():
    config = read_yaml(ROOT / "config.yaml")
    for stage in STAGES:
        start = LINES.index(f"{stage}:")
        own = [line for line in LINES[start + 1 :] if line.startswith("  ") and line[2] not in " #"]
        settings = own[: len(config[stage])]
        assert [line.split(":")[0].strip() for line in settings] == list(config[stage])
        for line in settings:
            assert "  # " in line, line


def test_lines_fit_the_screen():
    assert not [line for line in LINES if len(line) > 120 and "https://" not in line]


def test_headings_are_of_one_width():
    headings = [line for line in LINES if line.startswith("# --- ")]
    assert len(headings) == len(STAGES) + 1 and {len(line) for line in headings} == {119}
