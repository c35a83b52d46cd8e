"""The data card: every fact of the metadata is on it, hostile names do no harm."""

from markdown_it import MarkdownIt

from ita.reporting.data_card import data_card
from tests.support.hostile import TEXTS

SPLIT = {"file": "a.txt", "sha256": "abc", "label_version": "v1", "posts": 1234, "tokens": 9000, "spans": 7}
POSTS = {
    "label_version": "v1",
    "versions": {"ita": "0.1.0"},
    "commit": "c0ffee",
    "settings": {"posts": {"rename": {"OTHER": "MISC"}}},
    "splits": {
        "train": {
            **SPLIT,
            "types": {"LOC": 3, "PER": 4},
            "repaired": 2,
            "repairs": {"O I-PER": 1, "start I-LOC": 1},
            "converted": {"S": 5},
        },
        "test": {**SPLIT, "types": {"ORG": 1}, "repaired": 0},
    },
    "test_overlap": {"UMT Twitter-2017": {"posts": 467, "of": 723}},
    "duplicates": {"train/test": {"texts": 4, "pairs": 6, "examples": []}},
}
IMAGES = [{"status": "ok"}] * 3 + [{"status": "missing"}]


def card(posts=POSTS, images=IMAGES, **settings):
    return data_card({"dataset": "mine", **settings}, posts, images)


def cells(text):
    """Rows of all Markdown tables."""
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_sources_counts_and_images():
    text = card(licence="CC-BY-4.0", note="Made up.")
    assert "- Licence: CC-BY-4.0" in text and "Made up." in text and "commit c0ffee" in text
    rows = cells(text)
    assert ["train", "a.txt", "v1", "abc"] in rows
    assert ["split", "posts", "words", "entities", "LOC", "ORG", "PER"] in rows
    assert ["train", "1,234", "9,000", "7", "3", "0", "4"] in rows
    assert ["ok", "3"] in rows and ["missing", "1"] in rows


def test_labels_and_leaks():
    text = card()
    assert "train: 2 tags repaired" in text and "tag before and tag: O I-PER 1, start I-LOC 1" in text
    assert "read as IOB2: S- 5" in text and "Type OTHER is called MISC" in text
    assert "467 of the 723 test posts of UMT Twitter-2017" in text
    assert "train/test: 4 texts are in both splits word by word (6 pairs)" in text


def test_what_is_not_known_is_said():
    clean = {"versions": {"ita": "0.1.0"}, "splits": {"train": SPLIT}, "label_version": "v1"}
    text = card(clean, [])
    assert "- Licence: not stated" in text and "commit unknown" in text
    assert "no training post stands in the test split" in text and "## Images\n\nNone." in text


def test_hostile_names_stay_text():
    split = {**SPLIT, "file": TEXTS[0], "types": {TEXTS[1]: 1}}
    text = card({**POSTS, "splits": {"train": split}}, IMAGES, note=TEXTS[2], licence=TEXTS[0])
    kinds = {token.type for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text)}
    assert not kinds & {"html_block", "hr", "fence", "code_block"}
    assert text.count("\n#") == 6, "no heading but ours"
