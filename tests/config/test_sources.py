"""YAML files of settings: lines of keys, and errors with file and line."""

import pytest

from ita.config import ConfigError, read_yaml
from ita.config.sources import line_of, read_with_lines


def refused(path, text: str) -> str:
    """The message about a file with this text."""
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_yaml(path)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train:\n  epochs: 3\n loss: paper\n", "mine.yaml:3: is not YAML: "),
        ("train:\n  epochs: 3\n\twarmup: 0.1\n", "mine.yaml:3: is not YAML: "),
        ("train: {epochs: 3\n", "mine.yaml:2: is not YAML: "),
        ("a: b: c\n", "mine.yaml:1: is not YAML: mapping values are not allowed here; check the indentation and quote"),
        ("train:\n  loss: *nothing\n", "mine.yaml:2: is not YAML: found undefined alias 'nothing'"),
        ("train: !!python/object:os.system {}\n", "mine.yaml:1: is not YAML: could not determine a constructor"),
        ("- train\n", "mine.yaml: found list, expected settings as KEY: VALUE"),
        ("train\n", "mine.yaml: found str, expected settings as KEY: VALUE"),
        ("a: b\nc: \x00\n", "mine.yaml:2: expected text, found a NUL character"),
        ("a: \x01\n", "mine.yaml: is not YAML: unacceptable character"),
        ('a: b\nc: "\\ud83d"\n', "mine.yaml:2: is not YAML: "),
        ("a: &x {b: *x}\n", "mine.yaml: settings are nested too deeply, or an alias stands within its own anchor"),
        ("a: " + "[" * 100_000 + "\n", "mine.yaml"),
        ("a: " + "9" * 5000 + "\n", "mine.yaml: is not YAML: Exceeds the limit"),
        ("{[1]: 2}: 3\n", "mine.yaml:1: is not YAML: "),
        ("train:\n  epochs: 3\nseeds: [1]\ntrain:\n  warmup: 0.1\n", "mine.yaml:4: 'train' is set before, in line 1"),
        ("d: {caption: {beams: 1,\n beams: 2}}\n", "mine.yaml:2: 'd.caption.beams' is set before, in line 1"),
    ],
)
def test_a_broken_file_is_told_with_its_line(tmp_path, text, message):
    line = refused(tmp_path / "mine.yaml", text)
    assert message in line and line.startswith(str(tmp_path)) and "\n" not in line and len(line) < 300


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"nope\.yaml: the configuration cannot be read: No such file"):
        read_yaml(tmp_path / "nope.yaml")
    (tmp_path / "latin.yaml").write_bytes("a: \xe9".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.yaml:1: expected UTF-8 text, found byte 0xe9"):
        read_yaml(tmp_path / "latin.yaml")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be"])
def test_encodings_of_settings(tmp_path, encoding):
    path = tmp_path / "mine.yaml"
    path.write_bytes("train: {epochs: 3}\n".encode(encoding))
    with pytest.raises(ConfigError, match=f"mine.yaml:1: the file is {encoding.upper()}; expected UTF-8"):
        read_yaml(path)
    path.write_bytes("train: {epochs: 3}\r\nseeds: [1]\r".encode("utf-8-sig"))
    assert read_yaml(path) == {"train": {"epochs": 3}, "seeds": [1]}


def test_an_empty_file_sets_nothing(tmp_path):
    (tmp_path / "mine.yaml").write_text("# nothing yet\n")
    assert read_yaml(tmp_path / "mine.yaml") == {}


def test_every_key_has_its_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "# settings\ntrain:\n  epochs: 3\n\ndatasets:\n  a:\n    posts: &posts\n      files: {train: x,\n"
        "        dev: y}\n  b:\n    posts: *posts\n    train: {<<: {warmup: 0.1}, epochs: 2}\n"
    )
    values, lines = read_with_lines(path)
    assert values["datasets"]["b"] == {
        "posts": {"files": {"train": "x", "dev": "y"}},
        "train": {"warmup": 0.1, "epochs": 2},
    }
    expected = {
        ("train",): 2,
        ("train", "epochs"): 3,
        ("datasets", "a", "posts", "files", "train"): 8,
        ("datasets", "a", "posts", "files", "dev"): 9,
        ("datasets", "b", "posts"): 11,
        ("datasets", "b", "posts", "files", "dev"): 9,
        ("datasets", "b", "train", "warmup"): 12,
        ("datasets", "b", "train", "epochs"): 12,
    }
    assert {keys: lines[keys] for keys in expected} == expected
    assert line_of(lines, ("train", "epochs", "deeper")) == 3
    assert line_of(lines, ("nothing",)) is None
