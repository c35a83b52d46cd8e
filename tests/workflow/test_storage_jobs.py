"""Jobs whose images lie in shards, and whose results lie on storage."""

from tests.workflow.test_jobs import settings


def test_results_of_versions_without_shards_of_images_stay_up_to_date():
    values = settings("download", {"dataset": "demo"})
    assert "single_files" not in values["download"] and values["download"]["attempts"] == 3
    shards = settings("download", {"dataset": "demo"}, {"download": {"single_files": 0}})
    assert shards["download"] == {**values["download"], "single_files": 0}
