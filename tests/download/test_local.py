"""The download stage over what is already on disk: a folder, an archive, or nothing; hostile names and members."""

from __future__ import annotations

import hashlib
import io
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from ita.download.local import ImageEntry, match_entries
from ita.errors import UserError
from ita.stages import download
from tests.support import web
from tests.support.web import Project, kind_of, picture

project, clean_slate = web.project, web.clean_slate


def entries(*names: str) -> list[ImageEntry]:
    paths = (name.rpartition("/") for name in names)
    return [ImageEntry(path[0], path[2], str(number), number, lambda _: b"") for number, path in enumerate(paths)]


def found(ids: list[str], *names: str, top_only: bool = False) -> list[str | None]:
    """The file of each id."""
    matches = match_entries(entries(*names), ids, top_only)
    return [names[matches[image_id].offset] if image_id in matches else None for image_id in ids]


def test_ids_and_names() -> None:
    names = ["1.png", "1.JPG", "2.webp", "2", "3.txt", "4.gif", "x/4.gif"]
    assert found(["1", "2", "3", "4", "4.gif"], *names) == ["1.JPG", "2", None, "4.gif", "4.gif"]


@pytest.mark.parametrize("suffix", ["jpg", "JPG", "jpeg", "jfif", "jpe", "jpg_large", "jpg-large", "jpg:large"])
@pytest.mark.parametrize("image_id", ["F-1_2", "F-1_2.jpg", "F-1_2.jpg:orig", "F-1_2.JPEG"])
def test_one_image_under_the_names_that_twitter_and_browsers_give(suffix: str, image_id: str) -> None:
    name = f"F-1_2.{suffix}"
    assert found([image_id], "F-1_2.png", name, "F-1_3.jpg") == [name]
    assert found([image_id, "F-1_2.png"], name) == [name, None], "a PNG is another picture"


def test_an_id_with_a_suffix_is_a_file_without() -> None:
    assert found(["F1.jpg", "F2"], "F1", "F2.jpg_large", "F2.jpg") == ["F1", "F2.jpg"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_apart_or_in_their_letters(form: Literal["NFC", "NFD"]) -> None:
    name = unicodedata.normalize(form, "caf\u00e9/\u1e69.jpg")
    for other in ("NFC", "NFD"):
        image_id = unicodedata.normalize(other, "caf\u00e9/\u1e69")
        assert found([image_id], name) == [name]


def test_ids_that_are_paths() -> None:
    names = ["data/images/1.jpg", "data/other/1.jpg", "2.jpg", "3.jpg"]
    ids = ["images/1.jpg", "other/1", "./images/1", "far/data/other/1.jpg", "images\\2.jpg", "none/1.jpg"]
    assert found(ids, *names) == [names[0], names[1], names[0], names[1], "2.jpg", None]
    assert found(["train/3", "test/3"], *names) == [None, None], "which of the two it is nobody knows"
    assert found(["a/3", "b/a/3"], *names) == ["3.jpg", "3.jpg"]
    assert found(["1", "images/1", "2"], *names, top_only=True) == [None, names[0], "2.jpg"]


@pytest.mark.parametrize("image_id", ["../2", "a/../2", "/2", "//2", "C:\\2", "a//2", "2/", "2\0", "", ".", ".."])
def test_ids_that_lead_elsewhere_match_nothing(image_id: str) -> None:
    assert found([image_id], "2.jpg", "a/2.jpg", "../2.jpg") == [None]


def test_folder(project: Project, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "a").write_bytes(picture(colour="red"))
    (source / "b.JPG").write_bytes(picture(colour="green"))
    (source / "c.png").write_bytes(b"not an image")
    (source / "d.jpg").write_bytes(picture(colour="blue"))
    (source / "d.jpg.png").write_bytes(picture(colour="white"))
    (source / "sub" / "deep.jpg").write_bytes(picture())
    (source / "big.bmp").write_bytes(picture((200, 200), "BMP"))
    (tmp_path / "secret.jpg").write_bytes(picture(colour="black"))
    (source / "leak.jpg").symlink_to(tmp_path / "secret.jpg")
    (source / "alias.jpg").symlink_to(source / "sub" / "deep.jpg")
    hostile = [
        "../secret",
        "../secret.jpg",
        str(tmp_path / "secret.jpg"),
        "sub/../../secret",
        "..",
        ".",
        "",
        "x\0y",
        "e" * 5000,
    ]
    (source / "out").symlink_to(tmp_path)
    hostile += ["out/secret", "out/secret.jpg"]
    ids = ["a", "b", "c", "d", "d.jpg", "deep", "sub/deep", "big", "leak", "alias", *hostile]
    rows = project.run(dict.fromkeys(ids), source="folder", folder=str(source), max_bytes=50_000)
    outcomes = {image: (row["status"], kind_of(row)) for image, row in rows.items()}
    assert outcomes == {
        "a": ("ok", ""),
        "b": ("ok", ""),
        "c": ("refused", "not-an-image"),
        "d": ("ok", ""),
        "d.jpg": ("ok", ""),
        "deep": ("missing", "not-found"),
        "sub/deep": ("ok", ""),
        "big": ("refused", "too-large"),
        "leak": ("refused", "outside-folder"),
        "alias": ("ok", ""),
        **dict.fromkeys(hostile, ("missing", "not-found")),
    }
    assert list(rows) == ids
    assert rows["d"]["sha256"] == rows["d.jpg"]["sha256"] == hashlib.sha256(picture(colour="blue")).hexdigest()
    assert {row["url"] for row in rows.values()} == {None}


def test_folder_is_read_again_but_times_stay(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a.png", "b.png"):
        (source / name).write_bytes(picture())
    clock = iter(f"2026-01-01T00:00:{second:02}+00:00" for second in range(60))
    monkeypatch.setattr(download, "utc_now", lambda: next(clock))
    options = {"source": "folder", "folder": str(source)}
    before = project.run(dict.fromkeys(["a", "b", "c"]), **options)
    (source / "a.png").write_bytes(picture(colour="blue"))
    after = project.run(**options)
    assert after["a"]["sha256"] == hashlib.sha256(picture(colour="blue")).hexdigest()
    assert after["a"]["fetched_at"] > before["a"]["fetched_at"]
    assert (after["b"], after["c"]) == (before["b"], before["c"])


MEMBERS = {
    "pictures/a.jpg": picture(colour="red"),
    "b.png": picture(colour="blue"),
    "../evil.png": picture(colour="black"),
    "/tmp/ita-absolute.png": picture(colour="white"),
    "..\\windows.png": picture(colour="yellow"),
    "big.bmp": picture((200, 200), "BMP"),
    "c.png": b"not an image",
}
IDS = ["a", "b", "evil", "ita-absolute", "windows", "big", "c", "link", "pictures", "../../etc/passwd", "../evil.png"]


def make_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("pictures/", b"")
        for name, data in MEMBERS.items():
            package.writestr(name, data)
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        package.writestr(link, "/etc/passwd")


def make_tar(path: Path) -> None:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, kind in (("link.png", tarfile.SYMTYPE), ("pictures", tarfile.DIRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        for name, data in MEMBERS.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize(("name", "make"), [("i.zip", make_zip), ("i.tar", make_tar), ("i.tar.gz", make_tar)])
def test_archive(project: Project, tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    make(tmp_path / name)
    rows = project.run(dict.fromkeys(IDS), source="archive", archive=str(tmp_path / name), max_bytes=50_000)
    assert list(rows) == IDS
    assert {image: row["status"] for image, row in rows.items()} == {
        **dict.fromkeys(["a", "b", "evil", "ita-absolute", "windows"], "ok"),
        **dict.fromkeys(["big", "c"], "refused"),
        **dict.fromkeys(["link", "pictures", "../../etc/passwd", "../evil.png"], "missing"),
    }
    assert rows["a"]["sha256"] == hashlib.sha256(MEMBERS["pictures/a.jpg"]).hexdigest()
    written = {path for path in tmp_path.rglob("*") if path.is_file()}
    known = {tmp_path / name, project.posts, project.output, project.journal}
    assert written - known == {project.folder / row["path"] for row in rows.values() if row["path"]}
    assert not Path("/tmp/ita-absolute.png").exists()


def test_broken_member_costs_only_itself(project: Project, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "i.zip", "w") as package:
        package.writestr("a.png", picture(colour="red"))
        package.writestr("b.png", picture(colour="blue"))
    data = bytearray((tmp_path / "i.zip").read_bytes())
    data[data.index(b"IDAT") + 6] ^= 0xFF
    (tmp_path / "i.zip").write_bytes(data)
    rows = project.run(dict.fromkeys(["a", "b"]), source="archive", archive=str(tmp_path / "i.zip"))
    assert (rows["a"]["status"], kind_of(rows["a"])) == ("refused", "unreadable")
    assert rows["b"]["status"] == "ok"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "folder"}, "download.folder must name it"),
        ({"source": "folder", "folder": "/no/such"}, "/no/such cannot be read"),
        ({"source": "archive"}, "download.archive must name it"),
        ({"source": "archive", "archive": "/no/such.zip"}, "/no/such.zip"),
        ({"source": "archive", "archive": __file__}, "neither a zip nor a tar"),
    ],
)
def test_sources_that_cannot_be_used(project: Project, options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        project.run({"a": None}, **options)
    assert message in str(caught.value)
    assert not project.output.exists()


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_truncated_archives_are_named_as_such(project: Project, tmp_path: Path, share: float) -> None:
    make_tar(tmp_path / "i.tar.gz")
    data = (tmp_path / "i.tar.gz").read_bytes()
    (tmp_path / "i.tar.gz").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"i\.tar\.gz is broken"):
        project.run({"a": None}, source="archive", archive=str(tmp_path / "i.tar.gz"))


def test_no_source(project: Project) -> None:
    rows = project.run({"a": "http://example.org/a.jpg", "b": None}, source="none")
    assert {(row["status"], kind_of(row)) for row in rows.values()} == {("missing", "no-source")}
    assert not project.journal.exists()
