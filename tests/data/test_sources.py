"""Files named in settings: paths, archive members, hashes."""

import hashlib
import io
import tarfile
import zipfile

import pytest

from ita.data.sources import SourceFile, read_source
from ita.errors import UserError

TEXT = b"IMGID:1\nNew\tB-LOC\nYork\tI-LOC\n"
DIGEST = hashlib.sha256(TEXT).hexdigest()
SETTING = "posts.files.train"


@pytest.fixture
def archives(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/train.txt", TEXT)
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        info = tarfile.TarInfo("train.txt")
        info.size = len(TEXT)
        archive.addfile(info, io.BytesIO(TEXT))
    return tmp_path


@pytest.mark.parametrize("member", ["a.zip::in/train.txt", "a.tgz::train.txt"])
def test_members_of_archives(archives, member):
    location = f"{archives}/{member}"
    assert read_source(location, None, archives, SETTING) == SourceFile(TEXT, location, DIGEST)


def test_the_hash_is_that_of_the_archive(archives):
    digest = hashlib.sha256((archives / "a.zip").read_bytes()).hexdigest()
    location = f"{archives}/a.zip::in/train.txt"
    assert read_source(location, digest, archives, SETTING).sha256 == DIGEST, "but the member's is recorded"
    with pytest.raises(UserError, match=f"SHA-256 is {digest}, expected 0000.*{SETTING}"):
        read_source(location, "0" * 64, archives, SETTING)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("{folder}/a.zip::nope", r"a\.zip: has no file 'nope'; it holds in/train\.txt"),
        ("{folder}/a.tgz::nope", r"a\.tgz: has no file 'nope'; it holds train\.txt"),
        ("{folder}/plain.txt::nope", r"plain\.txt: expected a zip or tar archive"),
        ("{folder}/none.txt", r"none\.txt: cannot read it \(No such file or directory\).*posts\.files\.train"),
        ("https://example.org/train.txt", r"example\.org/train\.txt: a URL needs its SHA-256"),
    ],
)
def test_errors_name_the_file_and_the_setting(archives, location, message):
    (archives / "plain.txt").write_bytes(TEXT)
    with pytest.raises(UserError, match=message):
        read_source(location.format(folder=archives), None, archives, SETTING)


def test_a_download_in_the_cache_is_not_repeated(tmp_path):
    (tmp_path / DIGEST).write_bytes(TEXT)
    url = "http://127.0.0.1:9/train.txt"
    assert read_source(url, DIGEST, tmp_path, SETTING) == SourceFile(TEXT, url, DIGEST)
    (tmp_path / DIGEST).write_bytes(TEXT[:-1])
    with pytest.raises(UserError, match="127.0.0.1"):  # fetched again, where it can be
        read_source(url, DIGEST, tmp_path, SETTING, allow_private=True)
