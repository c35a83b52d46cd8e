"""JPEG and PNG files without what is damaged beside their pixels."""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
"""Chunks that the pixels of a PNG are made of."""
CRITICAL = re.compile(b"IHDR|PLTE|IDAT|IEND")
END_OF_IMAGE = b"\xff\xd9"
MARKER = re.compile(b"\xff[^\x00\xff\xd0-\xd7]")
"""A JPEG marker that ends the entropy-coded bytes of a scan."""
SCAN = 0xDA
ADOBE = 0xEE
"""JPEG segment that says how colours are stored."""
BARE_MARKERS = (0x01, *range(0xD0, 0xD8))
"""JPEG markers without a segment behind them."""


def _continuation(seed: int) -> bytes:
    """Random entropy-coded bytes with every restart marker between them, as nothing that is missing looks."""
    chance = random.Random(seed)
    return b"".join(
        bytes(chance.choices(range(255), k=128)) + bytes([0xFF, marker]) for marker in (*range(0xD0, 0xD8), 0xD0)
    )[:-2]


PADDINGS = (b"", b"\xff\0" * 64, *map(_continuation, range(4)))
"""What may be written behind a picture that is whole without changing it."""


def png_without_side_chunks(data: bytes, opaque: bool = False) -> bytes:
    """The chunks of a PNG that its pixels are made of; text, profiles, times and the like are left out.

    Args:
        data: the file.
        opaque: leaves out which colour is transparent, too.
    """
    left_out = {b"tRNS"} if opaque else set()
    kept = (chunk for name, chunk in _png_chunks(data) if name in PIXEL_CHUNKS and name not in left_out)
    return PNG_SIGNATURE + b"".join(kept)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and bytes of each chunk; where lengths make no sense it goes on at the next critical chunk that is whole."""
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 12 + length
        name = data[position + 4 : position + 8]
        if _is_whole(data, position, end) or (name in PIXEL_CHUNKS and end <= len(data)):
            yield name, data[position:end]
        elif not (name.isalpha() and (end == len(data) or data[end + 4 : end + 8].isalpha())):
            position = _next_critical(data, position + 5)
            continue
        position = end


def _is_whole(data: bytes, start: int, end: int) -> bool:
    """Whether the bytes are a chunk with the right checksum."""
    if not start + 12 <= end <= len(data):
        return False
    return zlib.crc32(memoryview(data)[start + 4 : end - 4]) == struct.unpack_from(">I", data, end - 4)[0]


def _next_critical(data: bytes, start: int) -> int:
    """Where the next critical chunk with the right checksum starts; the end of the data where there is none."""
    for match in CRITICAL.finditer(data, start):
        chunk = match.start() - 4
        if _is_whole(data, chunk, chunk + 12 + struct.unpack_from(">I", data, chunk)[0]):
            return chunk
    return len(data)


def jpeg_without_side_segments(data: bytes) -> bytes:
    """A JPEG without comments and application data (EXIF, profiles, thumbnails)."""
    kept = [data[:2]]
    for marker, start, end in _jpeg_segments(data):
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE) or marker == ADOBE:
            kept.append(data[start:end])
    return b"".join(kept)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment of a JPEG; that of a scan reaches to the next marker."""
    position = 2
    while position + 4 <= len(data):
        start = data.find(b"\xff", position)
        if start < 0 or start + 4 > len(data):
            return
        marker = data[start + 1]
        if marker == 0xFF:
            position = start + 1
        elif marker == 0 or marker in BARE_MARKERS:
            position = start + 2
        elif marker == 0xD9:
            return
        else:
            end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
            if marker == SCAN:
                end = _end_of_scan(data, end)
            yield marker, start, min(end, len(data))
            position = end


def _end_of_scan(data: bytes, position: int) -> int:
    """Where the entropy-coded bytes of a scan end."""
    match = MARKER.search(data, position)
    return match.start() if match else len(data)


def jpeg_has_end(data: bytes) -> bool:
    """Whether an end marker follows the first scan of a JPEG."""
    if data.endswith(END_OF_IMAGE):
        return True
    scans = (start for marker, start, _ in _jpeg_segments(data) if marker == SCAN)
    return data.find(END_OF_IMAGE, next(scans, 0)) >= 0


def complete_jpeg(data: bytes) -> bytes | None:
    """A JPEG with its end marker, None if more than that is missing.

    Pixels that are there do not depend on what is written behind them: if several endings give the same picture, and
    the header's scans have all begun, nothing else is missing.
    """
    tail = data.rstrip(b"\0")  # some programs fill up with zeros what they have not received
    if len(tail) < len(data) and tail.endswith(b"\xff"):
        tail += b"\0"  # a byte FF of the pixels, which is written FF 00
    elif tail.endswith(b"\xff"):
        tail = tail[:-1]
    if END_OF_IMAGE in tail[-2:] or not _has_all_scans(tail):
        return None
    pictures = set()
    for padding in PADDINGS:
        try:
            with Image.open(BytesIO(tail + padding + END_OF_IMAGE), formats=["JPEG"]) as image:
                pictures.add(hash(image.tobytes()))
        except Exception:  # decoders raise anything on malformed bytes
            return None
        if len(pictures) > 1:
            return None
    return tail + END_OF_IMAGE


def _has_all_scans(data: bytes) -> bool:
    """Whether every coefficient of every component is in some scan to its last bit."""
    components: set[int] = set()
    done: dict[int, set[int]] = {}
    for marker, start, end in _jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and start + 10 <= end:
            components = set(data[start + 10 : start + 10 + 3 * data[start + 9] : 3])
        elif marker == SCAN and start + 5 <= end:
            count = data[start + 4]
            parameters = data[start + 5 + 2 * count : start + 8 + 2 * count]
            if len(parameters) == 3 and parameters[2] & 15 == 0:
                for component in data[start + 5 : start + 5 + 2 * count : 2]:
                    done.setdefault(component, set()).update(range(parameters[0], parameters[1] + 1))
    return bool(components) and all(len(done.get(component, ())) == 64 for component in components)
