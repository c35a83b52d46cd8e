"""Files of texts keyed by image, in every format, and the messages about malformed ones."""

import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ita.data.entries import image_key, match_images, matching_keys
from ita.data.image_texts import read_texts
from ita.errors import UserError
from ita.io import parquet

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


def test_files_follow_each_other(write):
    files = [write("b.txt", "one.jpg :from b\n"), write("a.txt", "one.jpg :from a\n")]
    assert read_texts(files) == {"one": ["from b", "from a"]}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.txt", "one.jpg :fine\nno colon here\n", r"x\.txt:2: expected 'id.jpg :text', found 'no colon here'"),
        ("x.json", '{"one":\n oops}', r"x\.json:2: not JSON"),
        ("x.json", "[1, 2]", r"x\.json:1: expected an object with the key image_id"),
        ("x.json", "3", r"x\.json:1: expected a map"),
        ("x.json", '{"one.jpg": 3}', r"x\.json: 'one\.jpg': expected a text"),
        ("x.jsonl", '{"image_id": "a", "caption": "b"}\n{oops\n', r"x\.jsonl:2: not JSON"),
        ("x.jsonl", '{"caption": "b"}\n', r"x\.jsonl:1: expected an image id under one of image_id, image, id"),
        ("x.jsonl", '{"id": "a"}\n', r"x\.jsonl:1: expected texts under one of caption"),
        ("x.jsonl", '["a"]\n', r"x\.jsonl:1: expected an object"),
        ("x.csv", "image_id,caption\na,b\na,b,c\n", r"x\.csv:3: expected 2 cells"),
        ("x.csv", "name,caption\na,b\n", r"x\.csv:2: expected an image id"),
        ("x.csv", 'image_id,caption\na,"b\n', r"x\.csv:2: expected a row of a CSV file"),
        ("x.parquet", "junk", r"x\.parquet: not a Parquet file"),
        ("x.xml", "<a/>", r"format '\.xml' is not known"),
    ],
)
def test_malformed_texts(name, text, expected, write):
    with pytest.raises(UserError, match=expected):
        read_texts([write(name, text)])


def test_unreadable_files(tmp_path):
    with pytest.raises(UserError, match=r"gone\.txt: cannot be read: No such file"):
        read_texts([tmp_path / "gone.txt"])
    (tmp_path / "latin.txt").write_bytes("one.jpg :caf\u00e9\n".encode("latin-1"))
    with pytest.raises(UserError, match="expected UTF-8"):
        read_texts([tmp_path / "latin.txt"])


def test_matching_counts_unknown_names(caplog):
    rows = [{"image_id": "a.jpg"}, {"image_id": "b"}, {"image_id": "c"}]
    with caplog.at_level(logging.INFO):
        assert list(match_images({"a": [1], "b": [2], "x": [3], "y": [4]}, rows)) == [("a.jpg", [1]), ("b", [2])]
    assert "nothing for 1 of 3 images; 2 names are of no image here" in caplog.text
    assert [image_key(name) for name in ("a.b.JPG", "a.b", "17_06.jpeg", "x.txt")] == ["a.b", "a.b", "17_06", "x.txt"]


def test_published_captions_of_tweets(data):
    """The whole of the published files is read: a caption for each image."""
    blip2 = read_texts([data / "captions" / "blip2_twitter2015.txt"])
    catr = read_texts([data / "captions" / "catr_twitter2015.json"])
    assert len(blip2) == len(catr) == 8288 and blip2.keys() == catr.keys()
    assert sum(not texts for texts in blip2.values()) == 2
    both = read_texts(sorted((data / "captions").glob("*_twitter2017.*")))
    assert both["16_05_01_367"][0] == "nolan k bushnell on twitter" and len(both["16_05_01_367"]) == 2
    assert len(read_texts([data / "coco83" / "captions.json"])["522418"]) == 5


SAMPLES = {
    ".txt": "1.jpg :a man\n2.jpg :b\n",
    ".json": '{"1.jpg": ["a man"], "2": "b"}\n',
    ".jsonl": '{"image_id": "1.jpg", "caption": "a man"}\n{"image": 2, "text": "b"}\n',
    ".csv": "image_id;caption\n1.jpg;a man\n2;b\n",
}


@pytest.mark.parametrize("suffix", SAMPLES)
def test_one_reader_of_text(suffix, tmp_path):
    """Encodings, line ends and NULs are told in the same words as of annotated posts."""
    path, text = tmp_path / f"x{suffix}", SAMPLES[suffix]
    for content in (text.encode("utf-8-sig"), text.replace("\n", "\r\n").encode(), text.rstrip().encode()):
        path.write_bytes(content)
        assert read_texts([path]) == {"1": ["a man"], "2": ["b"]}
    dirty = {
        "the file is UTF-16": text.encode("utf-16"),
        "the file is UTF-16-LE": text.encode("utf-16-le"),
        "iconv -f LATIN1": text.replace("man", "m\xe9n").encode("latin-1"),
        "a NUL character": text.replace("man", "m\0n").encode(),
        "CR alone": text.replace("\n", "\r").encode(),
    }
    for message, content in dirty.items():
        if (message, suffix) == ("CR alone", ".json"):
            continue  # white space between values
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"x\{suffix}:\d: .*") as error:
            read_texts([path])
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.jsonl", '{"image": true, "caption": "a"}', "x.jsonl:1: expected 'image' to be a text or a whole number"),
        ("x.jsonl", '{"image": 1.5, "caption": "a"}', "x.jsonl:1: expected 'image' to be a text or a whole number"),
        ("x.jsonl", '{"image": "1", "caption": "a\\ud83d"}', "x.jsonl:1: not JSON: a text has at character 1"),
        ("x.jsonl", '{"image": "1", "image": "2"}', "x.jsonl:1: not JSON: the key 'image' is there twice"),
        ("x.json", '{"1": "a", "1": "b"}', "x.json: not JSON: the key '1' is there twice"),
        ("x.json", '{"1": ' + "[" * 100_000, "x.json: not JSON: brackets are nested too deeply"),
        ("x.csv", "image,image\n1,2\n", "x.csv:1: expected columns of different names, found 'image' twice"),
    ],
)
def test_dirty_values_are_told(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as error:
        read_texts([tmp_path / name])
    assert message in str(error.value)


def test_a_list_of_objects_in_json(tmp_path):
    """As COCO's results of captioning are."""
    (tmp_path / "x.json").write_text('[{"image_id": 7, "caption": "a man"},\n {"image_id": 8, "caption": "b"}]')
    assert read_texts([tmp_path / "x.json"]) == {"7": ["a man"], "8": ["b"]}


def test_ids_that_are_paths_match_names_that_are_not_and_the_other_way_round():
    ids = ["images/1.jpg", "2", "a/3", "b/3", "x/4", "cafe\u0301/5.jpg_large", "6"]
    names = {"1", "images/2", "3", "y/4", "caf\u00e9/5", "n/6", "m/6"}
    keys = matching_keys(ids, names)
    found = {image_id: key for image_id, key in keys.items() if key in names}
    assert found == {"images/1.jpg": "1", "2": "images/2", "cafe\u0301/5.jpg_large": "caf\u00e9/5"}
