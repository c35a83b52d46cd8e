"""Posts that went through the stages are tagged as their pictures are by the tagger itself."""

import pytest

from ita import Tagger
from ita.io import parquet
from ita.stages import tag
from tests.tagging.conftest import SYSTEMS, stage


@pytest.mark.parametrize("system", SYSTEMS)
def test_tables_say_what_pictures_say(pictured, tmp_path, system):
    folder, run = pictured.folder, pictured.run(system)
    options = {"posts": folder / "posts.parquet", "model": [run / "model.safetensors", run / "settings.json"]}
    values = SYSTEMS[system]
    if "context" in values:
        options |= {"context": folder / f"{values['context']}.parquet", "images": folder / "images.parquet"}
    if "regions" in values:
        options["features"] = [folder / "features.parquet"]
    if values.get("region_boxes"):
        options["objects"] = [folder / "objects.parquet"]
    stage(tag, {}, output=tmp_path / "entities.parquet", **options)
    rows = parquet.rows("entities", tmp_path / "entities.parquet")
    answers = {answer.columns["id"]: answer for answer in Tagger(run).predict(list(pictured.posts.values()))}
    assert [row["post_id"] for row in rows] == list(answers)
    for row in rows:
        answer = answers[row["post_id"]]
        assert (row["view"], row["image_status"]) == (answer.view, answer.image_status)
        assert [(*entity["words"], entity["type"]) for entity in row["entities"]] == [
            (*entity.words, entity.type) for entity in answer.entities
        ]
        scores = [entity["score"] for entity in row["entities"]]
        assert scores == pytest.approx([entity.score for entity in answer.entities], abs=2e-3)
    assert {row["view"] for row in rows} == ({"t"} if system == "text" else {"t", "it"})
