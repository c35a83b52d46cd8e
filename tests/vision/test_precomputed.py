"""Files of objects that somebody else detected, in every format, and the messages about malformed ones."""

import numpy as np
import pytest

from ita.data.entries import list_files
from ita.errors import UserError
from ita.io import parquet
from ita.vision.precomputed import read_objects
from ita.vision.types import DetectedObject

OBJECTS = {
    "o.jsonl": '{"image_id": "one.jpg", "objects": [{"label": "Dog", "score": 0.5}, {"label": "car", "score": 0.75, '
    '"attributes": [["red", 0.25], {"label": "Old", "score": 0.5}], "box": [1, 2, 3, 4]}]}\n',
    "o.json": '{"one": [{"label": "Dog", "score": 0.5}, {"label": "car", "score": 0.75, '
    '"attributes": [["old", 0.5], ["red", 0.25]], "box": [1, 2, 3, 4]}]}',
}


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_with_everything(name, write):
    car = DetectedObject("car", 0.75, (1.0, 2.0, 3.0, 4.0), (("old", 0.5), ("red", 0.25)))
    assert read_objects([write(name, OBJECTS[name])]) == {"one": [car, DetectedObject("dog", 0.5)]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.txt", "one.jpg :red car, dog\n"),
        ("t.json", '{"one.jpg": ["red car", "dog"]}'),
        ("t.jsonl", '{"id": "one", "tags": ["red car", "dog"]}\n'),
        ("t.csv", "image_id,label,score\none.jpg,red car,\none.jpg,dog,\n"),
    ],
)
def test_plain_tags_keep_their_order(name, text, write):
    assert read_objects([write(name, text)]) == {"one": [DetectedObject("red car"), DetectedObject("dog")]}


def test_csv_objects_with_boxes(write):
    text = "image,label,score,x1,y1,x2,y2\none.jpg,dog,0.25,,,,\none.jpg,car,0.5,1,2,3,4.5\n"
    assert read_objects([write("b.csv", text)]) == {
        "one": [DetectedObject("car", 0.5, (1.0, 2.0, 3.0, 4.5)), DetectedObject("dog", 0.25)]
    }


def test_own_table_of_objects(tmp_path):
    row = {"image_id": "one", "rank": 0, "label": "car", "score": 0.5, "x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0}
    attributes = [{"label": "red", "score": 0.25}]
    parquet.write("objects", [{**row, "attributes": attributes}], tmp_path / "objects.parquet")
    assert read_objects([tmp_path / "objects.parquet"]) == {
        "one": [DetectedObject("car", 0.5, (1.0, 2.0, 3.0, 4.0), (("red", 0.25),))]
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"objects": 3', "a list of tags or objects"),
        ('"objects": [{"score": 1}]', "a label"),
        ('"objects": [{"label": "a", "score": 87}]', "a score from 0 to 1, found 87"),
        ('"objects": [{"label": "a", "score": "high"}]', "a score from 0 to 1"),
        ('"objects": [{"label": "a", "box": [1, 2, 3]}]', "a box"),
        ('"objects": [{"label": "a", "box": [1, 2, 3, "x"]}]', "an edge"),
        ('"objects": [{"label": "a", "attributes": [3]}]', "an attribute"),
        ('"caption": "a"', "objects under one of objects, tags, label"),
    ],
)
def test_malformed_objects(value, expected, write):
    file = write("x.jsonl", f'{{"id": "one", "tags": []}}\n{{"id": "two", {value}}}\n')
    with pytest.raises(UserError, match=r"x\.jsonl:2: expected " + expected):
        read_objects([file])


def test_objects_of_an_extractor_of_vinvls_features(tmp_path):
    arrays = {
        "objects": np.array(["man", "traffic light"]),
        "attr_obj": np.array(["smiling man", "traffic light"]),
        "scores": np.array([0.5, 0.75], np.float32),
        "attr_scores": np.array([[0.25], [0.125]], np.float32),
        "bounding_boxes": np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32),
    }
    (tmp_path / "folder").mkdir()
    np.savez(tmp_path / "folder" / "17.jpg.npz", **arrays)
    found = read_objects(list_files([str(tmp_path / "folder")], "detect.files"))
    light, man = found["17"]
    assert (light.label, light.score, light.box, light.attributes) == ("traffic light", 0.75, (5, 6, 7, 8), ())
    assert man.attributes == (("smiling", 0.25),)
    for wrong in ({"objects": arrays["objects"]}, {**arrays, "objects": np.array([object()])}):
        np.savez(tmp_path / "wrong.npz", **wrong)
        with pytest.raises(UserError, match=r"wrong\.npz: expected arrays"):
            read_objects([tmp_path / "wrong.npz"])


def test_real_objects_of_vinvl(data):
    folder = data / "vinvl6" / "features"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    found = read_objects(list_files([str(folder)], "detect.files"))
    assert len(found) == 6 and all(len(objects) >= 10 for objects in found.values())
    assert found["111254"][0].label == "mouse" and found["111254"][0].attributes[0][0] == "black"
