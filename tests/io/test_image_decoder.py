"""One decoder, one verdict: what the download stage calls an image every later stage reads, and as large."""

from __future__ import annotations

import io
import random
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, features

from ita.download.verify import ImageInfo, verify_image
from ita.io import image_decoder
from ita.io.image_decoder import BadImage, decodable, decode_image
from ita.vision.images import Unreadable, read_picture
from tests.support.web import picture, png

MANY = 10**6


def noise(kind: str, **options: Any) -> bytes:
    image = Image.frombytes("RGB", (40, 23), random.Random(0).randbytes(40 * 23 * 3))
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(*entries: bytes) -> bytes:
    """EXIF data from entries of 12 bytes, which point behind each other where they please."""
    body = b"MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + b"".join(entries) + bytes(4) + b"abcdefgh" * 4
    return b"Exif\0\0" + body


ORIENTATION = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
ODD_ENTRIES = {
    "text where a number belongs": struct.pack(">HHI4s", 0x0128, 2, 4, b"inch"),
    "text of another length": struct.pack(">HHI4s", 0x011A, 2, 1, b"7\0\0\0"),
    "number where a text belongs": struct.pack(">HHIHH", 0x010F, 3, 1, 7, 0),
    "value outside the data": struct.pack(">HHII", 0x010F, 2, 900, 5000),
    "type that does not exist": struct.pack(">HHII", 0x8769, 99, 1, 7),
    "folder in place of itself": struct.pack(">HHII", 0x8769, 4, 1, 8),
    "huge count": struct.pack(">HHII", 0x010F, 5, 0xFFFFFFFF, 26),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("entry", ODD_ENTRIES.values(), ids=ODD_ENTRIES)
def test_orientation_counts_whatever_stands_beside_it(kind: str, entry: bytes) -> None:
    for entries in ([ORIENTATION, entry], [entry, ORIENTATION]):
        assert decode_image(noise(kind, exif=exif(*entries))).pixels.size == (23, 40)


def chunk(name: bytes, data: bytes, checksum: int | None = None, length: int | None = None) -> bytes:
    crc = zlib.crc32(name + data) if checksum is None else checksum
    return struct.pack(">I", len(data) if length is None else length) + name + data + struct.pack(">I", crc)


SIDE_CHUNKS = {
    "text with another checksum": chunk(b"tEXt", b"a\0b", checksum=7),
    "text that unpacks to 16 MB": chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 24))),
    "international text cut short": chunk(b"iTXt", b"a\0\1"),
    "profile of nonsense": chunk(b"iCCP", b"a\0\0nonsense"),
    "time cut short": chunk(b"tIME", b"1"),
    "resolution cut short": chunk(b"pHYs", b"1"),
    "gamma of nothing": chunk(b"gAMA", b""),
    "transparency of nothing": chunk(b"tRNS", b""),
    "animation of nothing": chunk(b"acTL", b""),
    "unknown with another checksum": chunk(b"abCd", bytes(99), checksum=1),
    "longer than it says": chunk(b"tEXt", b"abc" * 9, length=5),
    "shorter than it says": chunk(b"tEXt", b"abc", length=90),
    "longer than the file": chunk(b"tEXt", b"abc", length=1 << 30),
}


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("side", SIDE_CHUNKS.values(), ids=SIDE_CHUNKS)
def test_png_with_whole_pixels_is_read(side: bytes, behind: bool) -> None:
    data = noise("PNG")
    place = data.index(b"IEND") - 4 if behind else 33
    picture = decode_image(data[:place] + side + data[place:], MANY)
    assert picture.pixels.tobytes() == decode_image(data).pixels.tobytes()
    assert picture.note is None or picture.note.startswith("damaged-metadata") and not picture.plain


def test_png_with_damaged_pixels_is_refused() -> None:
    data = noise("PNG")
    for place in range(data.index(b"IDAT") + 8, len(data) - 20, 97):
        changed = data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        with pytest.raises(BadImage):
            decode_image(changed)


def test_png_whose_palette_is_lost_is_refused() -> None:
    with pytest.raises(BadImage, match="PNG 4x1"):
        decode_image(png((4, 1), 8, 3, b"\0\0\1\2\0"))


JPEGS = [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}, {"quality": 20, "optimize": True}]


@pytest.mark.parametrize("options", JPEGS, ids=str)
def test_jpeg_without_its_end_is_read_and_a_truncated_one_refused(options: dict[str, Any]) -> None:
    whole = noise("JPEG", **options)
    pixels = decode_image(whole).pixels.tobytes()
    for ending in (whole[:-2], whole[:-1], whole[:-2] + bytes(50)):
        picture = decode_image(ending, MANY)
        assert picture.pixels.tobytes() == pixels
        assert str(picture.note).startswith("no-end-marker") and not picture.plain
    read = 0
    for length in range(len(whole) // 4, len(whole) - 2):
        try:
            picture = decode_image(whole[:length], MANY)
        except BadImage as error:
            assert error.kind in ("truncated", "corrupt")
        else:
            read += 1
            assert picture.pixels.tobytes() == pixels, "nothing that is seen was missing"
    assert read < 9


@pytest.mark.parametrize("marker", [b"\xff\xe1", b"\xff\xe2", b"\xff\xed", b"\xff\xfe", b"\xff\xec"])
@pytest.mark.parametrize(
    "content", [b"Exif\0\0nonsense", b"MPF\0nonsense", b"ICC_PROFILE\0", b"Photoshop 3.0\0" + b"8BIM", b""]
)
def test_jpeg_with_odd_segments_is_read(marker: bytes, content: bytes) -> None:
    data = noise("JPEG")
    segment = marker + struct.pack(">H", len(content) + 2) + content
    assert decode_image(data[:2] + segment + data[2:], MANY).pixels.tobytes() == decode_image(data).pixels.tobytes()


SEEDS = {
    "JPEG": noise("JPEG", exif=exif(ORIENTATION)),
    "progressive": noise("JPEG", progressive=True),
    "PNG": noise("PNG"),
    "animated PNG": picture((9, 9), "PNG", save_all=True, append_images=[Image.new("RGB", (9, 9), "blue")]),
    "palette": png((4, 1), 8, 3, b"\0\0\1\2\0", (b"PLTE", bytes(9)), (b"tRNS", b"\0\1")),
    "16 bit": png((2, 1), 16, 0, bytes(5), (b"tRNS", b"\0\0")),
    "GIF": picture((9, 9), "GIF", save_all=True, append_images=[Image.new("RGB", (5, 5), "blue")]),
    "WEBP": noise("WEBP"),
    "BMP": noise("BMP"),
    **({"AVIF": noise("AVIF")} if features.check("avif") else {}),
}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(kind=st.sampled_from(sorted(SEEDS)), seed=st.integers(0, 2**32), changes=st.integers(0, 6), cut=st.floats(0, 1))
@example(kind="JPEG", seed=0, changes=0, cut=1.0)
@pytest.mark.filterwarnings("ignore")
def test_one_decoder_one_verdict(kind: str, seed: int, changes: int, cut: float) -> None:
    data, chance = bytearray(SEEDS[kind]), random.Random(seed)
    for _ in range(changes):
        place = min(chance.randrange(len(data)), chance.randrange(len(data)))  # headers are at the front
        data[place] = chance.choice((0, 255, data[place] ^ (1 << chance.randrange(8)), chance.randrange(256)))
    if chance.random() < 0.3:
        del data[int(cut * len(data)) :]
    verdict: ImageInfo | str
    try:
        verdict = verify_image(bytes(data), MANY)
    except BadImage as error:
        verdict = error.kind
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "image")
        file.write_bytes(data)
        if isinstance(verdict, ImageInfo):
            read = read_picture(file)
            assert (read.format, *read.pixels.size, read.note) == verdict
            assert read.pixels.mode == "RGB"
        elif verdict != "too-many-pixels":  # that is for the download stage to say
            with pytest.raises(Unreadable, match=verdict):
                read_picture(file)


@pytest.mark.parametrize(
    ("data", "kind", "name"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(60), "no-decoder", "HEIC; install"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(60), "no-decoder", "HEIC; install"),
        (b"\0\0\0\x1cftypisom\0\0\0\0", "not-an-image", "MP4 video"),
        (b"II*\0" + bytes(60), "not-an-image", "TIFF"),
        (b"\n <!DOCTYPE html><html>", "not-an-image", "HTML page"),
        (b"version https://git-lfs.github.com/spec/v1", "not-an-image", "Git LFS pointer"),
        (b"%PDF-1.4", "not-an-image", "PDF"),
        (b'{"error": 1}', "not-an-image", "JSON"),
    ],
)
def test_what_is_not_read_is_refused_by_its_own_name(
    monkeypatch: pytest.MonkeyPatch, data: bytes, kind: str, name: str
) -> None:
    monkeypatch.setattr(image_decoder, "decodable", lambda: ("JPEG", "PNG"))
    with pytest.raises(BadImage, match=name) as caught:
        decode_image(data)
    assert caught.value.kind == kind


def test_avif_is_read_where_its_decoder_is_and_named_where_not(monkeypatch: pytest.MonkeyPatch) -> None:
    if "AVIF" not in decodable():
        pytest.skip("this Pillow has no decoder of AVIF")
    data = picture((8, 6), "AVIF")
    assert verify_image(data, MANY) == ImageInfo("AVIF", 8, 6)
    assert not decode_image(data).plain, "Tesseract does not read it"
    with pytest.raises(BadImage) as caught:
        decode_image(data[:-9])
    assert caught.value.kind in ("corrupt", "truncated"), "not a matter of the decoder"
    monkeypatch.setattr(image_decoder, "decodable", lambda: ("JPEG", "PNG"))
    with pytest.raises(BadImage, match="AVIF; install") as caught:
        decode_image(data)
    assert caught.value.kind == "no-decoder"


def test_heic_is_read_where_its_decoder_is() -> None:
    if "HEIF" not in decodable():
        pytest.skip("pillow-heif is not installed")
    assert verify_image(picture((64, 48), "HEIF"), MANY) == ImageInfo("HEIF", 64, 48)
