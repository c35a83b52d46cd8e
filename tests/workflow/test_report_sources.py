"""What a report reads."""

from tests.workflow.test_jobs import inputs, settings


def test_a_report_reads_what_its_systems_read():
    systems = ["ita-ga-bu", "crf", "ita-all", "imgfeat"]
    own = {"systems": systems, "encoders": ["bert"], "tables": ["table5", "table6"]}
    change = {"datasets": {"twitter17": {"report": own, "seeds": [1, 2]}}, "gather": {"shards": 2}}
    values, files = (call("report", {"dataset": "twitter17"}, change) for call in (settings, inputs))
    folder = "results/twitter17"
    assert [name for name, _ in values["contexts"]] == ["ga-bu", "none", "all"], "as the systems come"
    assert files["contexts"] == [f"{folder}/contexts/{name}.parquet" for name in ("ga-bu", "none", "all")]
    assert values["tables"] == {
        "captions": ["updown", "vinvl"],
        "knowledge": [],
        "objects": ["vinvl"],
        "ocr": ["tesseract"],
    }
    for kind, names in values["tables"].items():
        assert files[kind] == [f"{folder}/{kind}/{name}.parquet" for name in names]
    assert values["features"] == ["resnet"] * 2
    assert files["features"] == [f"{folder}/features/resnet/{shard}.parquet" for shard in ("1-of-2", "2-of-2")]
    assert files["tables"] == [f"{folder}/{name}.json" for name in own["tables"]]
    assert files["numbers"] == [f"{folder}/{name}.csv" for name in own["tables"]]
    assert len(files["predictions"]) == len(files["histories"]) == 4 * 2
    read = {path.split("/")[4] for path in files["run_settings"]}
    assert read == {*systems, "ita-all-cva"}, "of the systems, and of what Table 5 reads"
    assert set(values["systems"]) == {*own["systems"]} and values["encoders"] == {"bert": "BERT"}
