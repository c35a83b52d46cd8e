"""Files of captions and objects that somebody else computed, in every format, and what is said of malformed ones."""

import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ita.data.entries import key
from ita.errors import UserError
from ita.io import parquet
from ita.vision.precomputed import given, matched, read_objects, read_texts
from ita.vision.types import DetectedObject


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


TEXTS = {
    "a.txt": "\ufeffone.jpg :a dog: it runs\n\ntwo.PNG:no space\r\n16_05 : plain id\ntwo.png :second\nempty.jpg :\n",
    "a.json": '{"one.jpg": "a dog: it runs", "two": ["no space", "second"], "16_05.webp": {"captions": ["plain id"]}}',
    "a.jsonl": '{"image_id": "one.jpg", "caption": "a dog: it runs"}\n{"image": "two", "captions": ["no space"]}\n\n'
    '{"id": "16_05.gif", "text": "plain id"}\n{"image_id": "two", "caption": "second"}\n',
    "a.csv": 'image,caption\none.jpg,a dog: it runs\ntwo,"no space"\n16_05.JPEG,plain id\ntwo,"second"\n',
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_in_every_format(name, write):
    texts = read_texts([write(name, TEXTS[name])])
    assert texts.pop("empty", []) == []
    assert texts == {"one": ["a dog: it runs"], "two": ["no space", "second"], "16_05": ["plain id"]}


def test_parquet_files_and_own_tables(tmp_path):
    pq.write_table(pa.table({"id": ["one.jpg", "two"], "text": ["x", None]}), tmp_path / "foreign.parquet")
    with pytest.raises(UserError, match=r"foreign\.parquet: row 2: expected texts"):
        read_texts([tmp_path / "foreign.parquet"])
    rows = [{"image_id": "one", "rank": rank, "caption": f"c{rank}", "logprob": -1.0} for rank in range(2)]
    parquet.write("captions", rows, tmp_path / "captions.parquet")
    assert read_texts([tmp_path / "captions.parquet"]) == {"one": ["c0", "c1"]}
    row = {"image_id": "one", "rank": 0, "label": "car", "score": 0.5, "x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0}
    attributes = [{"label": "red", "score": 0.25}]
    parquet.write("objects", [{**row, "attributes": attributes}], tmp_path / "objects.parquet")
    assert read_objects([tmp_path / "objects.parquet"]) == {
        "one": [DetectedObject("car", 0.5, (1.0, 2.0, 3.0, 4.0), (("red", 0.25),))]
    }


def test_files_follow_each_other(write):
    files = [write("b.txt", "one.jpg :from b\n"), write("a.txt", "one.jpg :from a\n")]
    assert read_texts(files) == {"one": ["from b", "from a"]}


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


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.txt", "one.jpg :fine\nno colon here\n", r"x\.txt:2: expected 'id.jpg :text', found 'no colon here'"),
        ("x.json", '{"one":\n oops}', r"x\.json:2: not JSON"),
        ("x.json", "[1, 2]", r"x\.json:1: expected a map"),
        ("x.json", '{"one.jpg": 3}', r"x\.json: 'one\.jpg': expected a text"),
        ("x.jsonl", '{"image_id": "a", "caption": "b"}\n{oops\n', r"x\.jsonl:2: not JSON"),
        ("x.jsonl", '{"caption": "b"}\n', r"x\.jsonl:1: expected an image id under one of image_id, image, id"),
        ("x.jsonl", '{"id": "a"}\n', r"x\.jsonl:1: expected texts under one of caption"),
        ("x.jsonl", '["a"]\n', r"x\.jsonl:1: expected an object"),
        ("x.csv", "image_id,caption\na,b\na,b,c\n", r"x\.csv:3: expected 2 cells"),
        ("x.csv", "name,caption\na,b\n", r"x\.csv:2: expected an image id"),
        ("x.csv", 'image_id,caption\na,"b\n', r"x\.csv:2: not CSV"),
        ("x.parquet", "junk", r"x\.parquet: not a Parquet file"),
        ("x.xml", "<a/>", r"format '\.xml' is not known"),
    ],
)
def test_malformed_texts(name, text, expected, write):
    with pytest.raises(UserError, match=expected):
        read_texts([write(name, text)])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"objects": 3', "a list of tags or objects"),
        ('"objects": [{"score": 1}]', "a label"),
        ('"objects": [{"label": "a", "score": 87}]', "a score from 0 to 1, found '87'"),
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


def test_unreadable_files(tmp_path):
    with pytest.raises(UserError, match=r"gone\.txt: cannot be read: No such file"):
        read_texts([tmp_path / "gone.txt"])
    (tmp_path / "latin.txt").write_bytes("one.jpg :caf\u00e9\n".encode("latin-1"))
    with pytest.raises(UserError, match="expected UTF-8"):
        read_texts([tmp_path / "latin.txt"])


def test_matching_counts_strangers(caplog):
    rows = [{"image_id": "a.jpg"}, {"image_id": "b"}, {"image_id": "c"}]
    with caplog.at_level(logging.INFO):
        assert list(matched({"a": [1], "b": [2], "x": [3], "y": [4]}, rows)) == [("a.jpg", [1]), ("b", [2])]
    assert "nothing for 1 of 3 images; 2 names are of no image here" in caplog.text
    assert [key(name) for name in ("a.b.JPG", "a.b", "17_06.jpeg", "x.txt")] == ["a.b", "a.b", "17_06", "x.txt"]


def test_published_captions_of_tweets(data):
    """The whole of the published files is read: a caption for each image."""
    blip2 = read_texts([data / "captions" / "blip2_twitter2015.txt"])
    catr = read_texts([data / "captions" / "catr_twitter2015.json"])
    assert len(blip2) == len(catr) == 8288 and blip2.keys() == catr.keys()
    assert sum(not texts for texts in blip2.values()) == 2
    both = read_texts(sorted((data / "captions").glob("*_twitter2017.*")))
    assert both["16_05_01_367"][0] == "nolan k bushnell on twitter" and len(both["16_05_01_367"]) == 2
    assert len(read_texts([data / "coco83" / "captions.json"])["522418"]) == 5


def test_objects_of_an_extractor_of_vinvls_features(tmp_path):
    import numpy as np

    arrays = {
        "objects": np.array(["man", "traffic light"]),
        "attr_obj": np.array(["smiling man", "traffic light"]),
        "scores": np.array([0.5, 0.75], np.float32),
        "attr_scores": np.array([[0.25], [0.125]], np.float32),
        "bounding_boxes": np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32),
    }
    (tmp_path / "folder").mkdir()
    np.savez(tmp_path / "folder" / "17.jpg.npz", **arrays)
    found = read_objects(given([str(tmp_path / "folder")], "detect.files"))
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
    found = read_objects(given([str(folder)], "detect.files"))
    assert len(found) == 6 and all(len(objects) >= 10 for objects in found.values())
    assert found["111254"][0].label == "mouse" and found["111254"][0].attributes[0][0] == "black"
