"""Archives: bounded memory whatever they hold, and damage that is told instead of read as missing images."""

from __future__ import annotations

import bz2
import io
import lzma
import random
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ita.data.sources import read_member
from ita.download.decompression import MEMORY, Damaged
from ita.download.local import open_archive
from ita.download.tar_reader import MAX_HEADER
from ita.errors import UserError
from tests.support import web
from tests.support.web import Project, picture

project, clean_slate = web.project, web.clean_slate

MEBIBYTE = 1 << 20
LONG = "a very long name " * 20 + ".png"
FILES = {f"d/{number}.png": random.Random(number).randbytes(700) for number in range(8)} | {LONG: b"long"}


def as_zip(method: int) -> Callable[[dict[str, bytes]], bytes]:
    def make(files: dict[str, bytes]) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as package:
            for name, data in files.items():
                package.writestr(name, data)
        return out.getvalue()

    return make


def as_tar(mode: str, form: int) -> Callable[[dict[str, bytes]], bytes]:
    def make(files: dict[str, bytes]) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode=mode, format=form) as tar:  # type: ignore[call-overload]
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        return out.getvalue()

    return make


ZIPS = {
    "zip": as_zip(zipfile.ZIP_STORED),
    "zip deflate": as_zip(zipfile.ZIP_DEFLATED),
    "zip bzip2": as_zip(zipfile.ZIP_BZIP2),
    "zip lzma": as_zip(zipfile.ZIP_LZMA),
}
TARS = {
    "tar gnu": as_tar("w", tarfile.GNU_FORMAT),
    "tar pax": as_tar("w", tarfile.PAX_FORMAT),
    "tar gz": as_tar("w:gz", tarfile.PAX_FORMAT),
    "tar bz2": as_tar("w:bz2", tarfile.GNU_FORMAT),
    "tar xz": as_tar("w:xz", tarfile.PAX_FORMAT),
}
KINDS = {**ZIPS, **TARS}


def contents(path: Path, ids: list[str], limit: int = 10_000) -> dict[str, bytes | None]:
    """What each image id gives: its bytes, or None where it is missing."""
    with open_archive(path, ids) as entries:
        return {image_id: entries[image_id].read(limit) if image_id in entries else None for image_id in ids}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").write_bytes(KINDS[kind](FILES))
    assert contents(tmp_path / "a", [*FILES, "3", "8"]) == {**FILES, "3": FILES["d/3.png"], "8": None}
    assert contents(tmp_path / "a", ["3"], 10) == {"3": FILES["d/3.png"][:10]}


def members_of(files: int) -> Iterator[bytes]:
    """Directory entries of a zip with so many empty files."""
    for number in range(files):
        name = b"%d.png" % number
        yield struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0) + name


def peak_of(action: Callable[[], object]) -> int:
    """Bytes that Python objects take at most."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_files(tmp_path: Path) -> None:
    directory = b"".join(members_of(20_000))
    end = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 20_000, 20_000, len(directory), 0)
    end += struct.pack("<4sIQI", b"PK\6\7", 0, len(directory), 1)
    end += struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    (tmp_path / "a.zip").write_bytes(directory + end)
    header = as_tar("w", tarfile.PAX_FORMAT)({LONG: b""}).rstrip(b"\0")
    block = header + bytes(-len(header) % 512)
    (tmp_path / "a.tar").write_bytes(block * 300 + bytes(1024))

    def index_zip() -> None:
        with open_archive(tmp_path / "a.zip", ["19999"]) as entries:
            assert entries["19999"].name == "19999.png"

    assert peak_of(index_zip) < 2 * MEBIBYTE
    assert peak_of(lambda: contents(tmp_path / "a.tar", [LONG])) < 2 * MEBIBYTE
    assert contents(tmp_path / "a.tar", [LONG]) == {LONG: b""}


def zeros_as(packer: Callable[[bytes], bytes], kind: int) -> bytes:
    """A zip whose member is 64 MiB of zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as package, package.open("bomb.jpg", "w") as member:
        for _ in range(64):
            member.write(bytes(MEBIBYTE))
    return packer(out.getvalue())


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_in_a_zip_is_not_unpacked(tmp_path: Path, kind: int) -> None:
    (tmp_path / "a.zip").write_bytes(zeros_as(bytes, kind))
    path = tmp_path / "a.zip"
    assert contents(path, ["bomb"], MEBIBYTE) == {"bomb": bytes(MEBIBYTE)}
    assert peak_of(lambda: contents(path, ["bomb"], MEBIBYTE)) < 16 * MEBIBYTE, "LZMA looks back on 8 MiB"


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
@pytest.mark.parametrize("packer", [bytes, bz2.compress, lzma.compress])
def test_a_tar_header_that_is_a_bomb_is_refused(tmp_path: Path, kind: bytes, packer: Callable[[bytes], bytes]) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 16 * MEBIBYTE
    (tmp_path / "a.tar").write_bytes(packer(header.tobuf() + bytes(16 * MEBIBYTE)))
    with pytest.raises(UserError, match=f"at most {MAX_HEADER}"):
        contents(tmp_path / "a.tar", ["x"])


def test_lzma_that_needs_gigabytes_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]
    assert filters[0]["dict_size"] > MEMORY
    (tmp_path / "a.tar.xz").write_bytes(lzma.compress(TARS["tar gnu"](FILES), filters=filters))
    with pytest.raises(UserError, match="broken"):
        contents(tmp_path / "a.tar.xz", ["3"])
    data = bytearray(ZIPS["zip lzma"]({"a.png": b"abc"}))
    struct.pack_into("<I", data, data.index(b"a.png") + 5 + 5, 1 << 30)
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(Damaged, match="bytes of memory"):
        contents(tmp_path / "a.zip", ["a"])


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_told_and_never_read_as_missing(tmp_path: Path, kind: str) -> None:
    """A byte is changed at 120 places, or the file is cut there."""
    whole = KINDS[kind](FILES)
    chance = random.Random(kind)
    for number in range(120):
        place = chance.randrange(len(whole))
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        (tmp_path / "a").write_bytes(whole[:place] if number % 3 == 0 else changed)
        for image_id, data in FILES.items():
            try:
                outcome = contents(tmp_path / "a", [image_id])[image_id]
            except (UserError, Damaged):
                continue
            if kind.startswith("tar ") and "z" not in kind:  # nothing guards the data of a plain tar but the image
                assert outcome is not None or data == b"long", (place, image_id)
            else:
                assert outcome == data or outcome is None and kind.startswith("zip"), (place, image_id)


def test_a_hole_of_zeros_hides_no_images(tmp_path: Path) -> None:
    whole = bytearray(TARS["tar gnu"]({f"{number}.png": b"\1" * 2000 for number in range(9)}))
    whole[512 * 12 : 512 * 18] = bytes(512 * 6)  # two headers among it
    (tmp_path / "a.tar").write_bytes(whole)
    assert contents(tmp_path / "a.tar", ["1"])["1"] == b"\1" * 2000
    for image_id in ("3", "8"):
        with pytest.raises(UserError, match=r"a\.tar is broken, get it again"):
            contents(tmp_path / "a.tar", [image_id])


def test_a_tar_cut_between_two_members_is_told_where_images_are_missing(tmp_path: Path) -> None:
    whole = TARS["tar gnu"]({"1.png": b"1", "2.png": b"2"})
    (tmp_path / "a.tar").write_bytes(whole[:1024])
    assert contents(tmp_path / "a.tar", ["1"]) == {"1": b"1"}
    with pytest.raises(UserError, match="end mark is missing"):
        contents(tmp_path / "a.tar", ["1", "2"])


def test_a_zip_whose_directory_names_other_files_is_told(tmp_path: Path) -> None:
    data = bytearray(ZIPS["zip"]({"a.png": b"1", "b.png": b"2"}))
    data[data.rindex(b"b.png")] = ord("c")
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(UserError, match="'c.png' in the directory, and 'b.png' by itself"):
        contents(tmp_path / "a.zip", ["b"])


@pytest.mark.parametrize(
    ("field", "value", "message"), [(6, 1, "encrypted"), (8, 9, "deflate64"), (8, 77, "method 77")]
)
def test_members_that_are_not_read_say_why(project: Project, field: int, value: int, message: str) -> None:
    data = bytearray(ZIPS["zip"]({"a.png": picture(), "b.png": picture()}))
    data[data.index(b"PK\1\2") + field + 2] = value
    archive = project.folder / "a.zip"
    archive.write_bytes(data)
    rows = project.run({"a": None, "b": None}, source="archive", archive=str(archive))
    assert rows["a"]["status"] == "refused" and message in rows["a"]["error"]
    assert rows["b"]["status"] == "ok"


@pytest.mark.parametrize(
    ("head", "name"), [(b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07\1\0", "RAR"), (b"\x28\xb5\x2f\xfd", "Zstandard")]
)
def test_other_archives_are_refused_by_their_name(tmp_path: Path, head: bytes, name: str) -> None:
    (tmp_path / "a").write_bytes(head + bytes(600))
    with pytest.raises(UserError, match=f"{name}.*; expected a zip or tar file"):
        contents(tmp_path / "a", ["1"])
    (tmp_path / "a").write_bytes(bz2.compress(b"no tar file" * 100))
    with pytest.raises(UserError, match="a bzip2 file that holds no tar file"):
        contents(tmp_path / "a", ["1"])


def test_names_that_a_mac_writes(tmp_path: Path) -> None:
    """UTF-8 with accents apart, in a zip that does not say that its names are UTF-8."""
    data = ZIPS["zip"]({"cafe\u0301.png": b"1"})
    flags = struct.pack("<H", 0x800)
    (tmp_path / "a.zip").write_bytes(data.replace(b"\x14\0" + flags, b"\x14\0\0\0"))
    assert contents(tmp_path / "a.zip", ["caf\u00e9"]) == {"caf\u00e9": b"1"}


@pytest.mark.parametrize("kind", KINDS)
def test_posts_in_archives_are_read_by_the_same_readers(kind: str) -> None:
    whole = KINDS[kind]({"./a/train.txt": b"abc" * 300, "b": b""})
    assert read_member(whole, "x", "a/train.txt") == b"abc" * 300
    for place in range(0, len(whole), 37):
        changed = bytearray(whole)
        changed[place] ^= 0x10
        try:
            data = read_member(bytes(changed), "x", "a/train.txt")
        except UserError:
            continue
        assert data == b"abc" * 300 or kind in ("tar gnu", "tar pax"), "a plain tar guards no data"


def test_what_a_tar_holds_in_place_of_files_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind in (("link.png", tarfile.LNKTYPE), ("sparse.png", tarfile.GNUTYPE_SPARSE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "a.png"
            tar.addfile(member)
    (tmp_path / "a.tar").write_bytes(out.getvalue())
    assert contents(tmp_path / "a.tar", ["link"]) == {"link": None}
    assert "1 links, which are passed over" in caplog.text
    with pytest.raises(Damaged, match="a sparse file"):
        contents(tmp_path / "a.tar", ["sparse"])
