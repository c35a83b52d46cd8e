"""What tables and figures say about themselves."""

import pytest

from ita.reporting.footer import footer_metadata, footer_sentences, heading, short_commit
from ita.reporting.report_rows import ReportSettings
from tests.support.made_runs import SYSTEMS


@pytest.mark.parametrize(
    ("name", "text"), [("table1", "Table 1"), ("analysis", "Analysis"), ("figure12", "Figure 12"), ("t1b", "T 1b")]
)
def test_headings(name, text):
    assert heading(name) == text


def test_everything_that_is_known_is_said():
    settings = ReportSettings.read(
        {
            "name": "table1",
            "dataset": "demo",
            "note": "Synthetic posts.",
            "systems": SYSTEMS,
            "encoders": {"bert": "BERT", "xlmr": "XLMR"},
        }
    )
    found = {"seeds": [1, 2], "label_version": "v1", "models": {"bert": "bert-base-cased"}, "run_commits": ["abc", "d"]}
    metadata = footer_metadata(settings, found, ["bert", "xlmr"], ["crf", "ita-all"], "test")
    assert metadata["systems"] == {"crf": ["BERT-CRF", "XLMR-CRF"], "ita-all": ["ITA-All"]}
    assert footer_sentences({**metadata, "commit": "abc"}) == [
        "Dataset demo; labels v1; split test; systems BERT-CRF / XLMR-CRF, ITA-All; encoders BERT (bert-base-cased), "
        "XLMR; seeds 1, 2; code abc.",
        "Runs were made by code d.",
        "Synthetic posts.",
    ]
    own = {**metadata, "commit": "abc", "system_models": {"ita-all": ["a", "b"], "not-shown": ["c"]}}
    assert footer_sentences(own)[-2:] == ["ITA-All reads a and b.", "Synthetic posts."]


def test_what_is_unknown_is_left_out():
    settings = ReportSettings.read({"name": "table6", "dataset": "mine"})
    metadata = {**footer_metadata(settings, {}, split="test"), "commit": None}
    assert footer_sentences(metadata) == ["Dataset mine."]
    assert footer_sentences({**metadata, "ocr_engines": {"a": "tesseract 5"}}) == [
        "Dataset mine; OCR engines tesseract 5."
    ]


def test_short_commits_keep_the_sign_of_a_changed_tree():
    assert short_commit("0123456789abcdef") == "0123456789"
    assert short_commit("0123456789abcdef+") == "0123456789+"
