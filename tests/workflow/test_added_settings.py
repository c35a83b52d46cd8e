"""Settings younger than results: jobs have them where they say something."""

from tests.workflow.test_jobs import settings


def test_results_of_versions_without_shards_of_images_stay_up_to_date():
    values = settings("download", {"dataset": "demo"})
    assert "single_files" not in values["download"] and values["download"]["attempts"] == 3
    shards = settings("download", {"dataset": "demo"}, {"download": {"single_files": 0}})
    assert shards["download"] == {**values["download"], "single_files": 0}


def test_settings_younger_than_results_are_left_out_at_their_default():
    run = {"dataset": "demo", "encoder": "demo", "system": "crf", "seed": "1"}
    values = settings("train", run)["train"]
    averaged = settings("train", run, {"train": {"average_epochs": 3}})["train"]
    assert "context_dropout" not in values and averaged == {**values, "average_epochs": 3}
