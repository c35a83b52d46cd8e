"""The rows that tables and figures share."""

import pytest

from ita.errors import UserError
from ita.reporting.report_rows import ReportSettings, report_rows
from tests.support.made_runs import SYSTEMS

SETTINGS = ReportSettings.read(
    {
        "name": "table1",
        "dataset": "twitter17",
        "systems": {
            **SYSTEMS,
            "imgfeat": {"regions": "resnet", "views": ["t", "it"]},
            "same": {"views": ["t", "it"], "train": {"epochs": 3}, "upstream": {"epochs": 24}},
        },
        "encoders": {"bert": "BERT", "xlmr": "XLMR"},
    }
)


def test_a_block_of_rows_for_each_encoder():
    rows = list(report_rows(SETTINGS, ["bert", "xlmr"], ["crf", "ita-all-cva"]))
    assert [(row.encoder, row.system) for row in rows] == [
        ("bert", "crf"),
        ("bert", "ita-all-cva"),
        ("xlmr", "crf"),
        ("xlmr", "ita-all-cva"),
    ]
    assert rows[2].labels == {"dataset": "twitter17", "encoder": "XLMR", "system": "crf", "approach": "XLMR-CRF"}
    assert rows[3].trained_on == "T and I+T"


@pytest.mark.parametrize(
    ("system", "views", "distinct"),
    [
        ("crf", ["t"], ["t"]),
        ("ita-all", ["it"], ["it"]),
        ("ita-all-cva", ["t", "it"], ["t", "it"]),
        ("imgfeat", ["t", "it"], ["t", "it"]),
        ("same", ["t", "it"], ["t"]),
    ],
)
def test_an_image_text_view_without_image_text_is_no_view_of_its_own(system, views, distinct):
    (row,) = report_rows(SETTINGS, ["bert"], [system])
    assert (row.views, row.distinct_views) == (views, distinct)


def test_names_of_systems():
    assert SETTINGS.system_names("crf", ["bert", "xlmr"]) == ["BERT-CRF", "XLMR-CRF"]
    assert SETTINGS.system_names("ita-all", ["bert", "xlmr"]) == ["ITA-All"]
    assert SETTINGS.system_name("same", "bert") == "same", "an entry without a name is called by its key"
    with pytest.raises(UserError, match="names 'nobody'"):
        SETTINGS.require_baseline("nobody")
