"""Changes of bytes, of texts and of JSON values, drawn from a seeded generator."""

import copy
import json
from random import Random

NASTY_TEXT = [
    "\x00",
    "\r",
    "\u2028",
    "\u0085",
    "\ufeff",
    "\ufffe",
    "\U0010ffff",
    "\u202e",
    "e\u0301" * 40,
    "\u200b",
    "\u00a0",
    "👩‍👩‍👧",
    "-DOCSTART-",
    "<EOS>",
    "IMGID:",
    "B-",
    "I-X",
    "../../etc/passwd",
    "\t\t",
    " ",
    '"',
    "'",
    ",",
    "{",
    "[" * 200,
    "=1+1",
    "<script>",
    "%s{0}$x",
    "a" * 5000,
]
NASTY_BYTES = [
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xc3",
    b"\x80",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x1f\x8b",
    b"PK\x03\x04",
    b"\\ud800",
    b"\\u0000",
    b"1e999",
    b"NaN",
    b"-1",
    b"99999999999999999999999",
]
NASTY_VALUES = [
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    float("nan"),
    10**30,
    "",
    " ",
    "x",
    "\ud800",
    "\x00",
    "a" * 300,
    "../x",
    "./x",
    "{dataset}",
    "a\nb",
    "привет",
    [],
    [None],
    ["x", 1],
    {},
    {"x": 1},
    [[["x"]]],
]


def mutate_bytes(data: bytes, random: Random) -> bytes:
    """One to eight changes of bytes: flipped, removed, repeated, inserted, swapped, cut off."""
    changed = bytearray(data)
    for _ in range(random.choice([1, 1, 1, 2, 4, 8])):
        if not changed:
            changed += random.choice(NASTY_BYTES)
        at = random.randrange(len(changed))
        length = min(len(changed) - at, random.choice([1, 1, 2, 4, 16, 256]))
        match random.randrange(9):
            case 0:
                changed[at] ^= 1 << random.randrange(8)
            case 1:
                changed[at] = random.randrange(256)
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = changed[at : at + length] * random.choice([1, 2, 50])
            case 4:
                changed[at:at] = random.choice(NASTY_BYTES)
            case 5:
                changed[at : at + length] = random.randbytes(length)
            case 6:
                start = random.randrange(len(changed))
                changed[at:at] = changed[start : start + length]
            case 7:
                del changed[at:]
            case 8:
                changed[at:at] = random.choice(NASTY_TEXT).encode()
    return bytes(changed)


def mutate_text(data: bytes, random: Random) -> bytes:
    """Changes of a text: lines and cells moved, repeated and dropped, nasty characters, other encodings, any bytes."""
    if random.random() < 0.3:
        return mutate_bytes(data, random)
    lines = data.decode("utf-8").split("\n")
    for _ in range(random.choice([1, 1, 2, 4])):
        at = random.randrange(len(lines))
        line = lines[at]
        column = random.randrange(len(line) + 1)
        match random.randrange(9):
            case 0:
                lines.insert(random.randrange(len(lines)), line)
            case 1:
                if len(lines) > 1:
                    del lines[at]
            case 2:
                lines[at] = line[:column] + random.choice(NASTY_TEXT) + line[column:]
            case 3:
                lines[at] = line[:column]
            case 4:
                lines[at] = random.choice(["\t", " ", ","]).join(reversed(line.split(random.choice(["\t", " ", ","]))))
            case 5:
                lines[at] = ""
            case 6:
                lines[at] = line * random.choice([2, 30])
            case 7:
                lines[at] = line.replace(random.choice(["B-", "I-", '"', ":", "\t"]), random.choice(NASTY_TEXT))
            case 8:
                lines.insert(at, random.choice(NASTY_TEXT))
    ends = random.choice(["\n", "\n", "\n", "\r\n", "\r"])
    encoding = random.choice(["utf-8"] * 8 + ["utf-8-sig", "utf-16", "utf-16-le", "latin-1", "utf-32"])
    return ends.join(lines).encode(encoding, "replace")


def mutate_json(value, random: Random):
    """A JSON value with one to three parts of it replaced, dropped, renamed or repeated."""
    changed = json.loads(json.dumps(value))
    for _ in range(random.choice([1, 1, 2, 3])):
        changed = _changed_inside(changed, random)
    return changed


def _changed_inside(value, random: Random):
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        match random.randrange(8):
            case 0:
                del value[key]
            case 1:
                value[random.choice([key + "x", "\u202e", "a" * 99, key.upper(), "..", "a\nb"])] = value.pop(key)
            case _:
                value[key] = _changed_inside(value[key], random)
        return value
    if isinstance(value, list) and value and random.random() < 0.85:
        at = random.randrange(len(value))
        match random.randrange(6):
            case 0:
                del value[at]
            case 1:
                value.insert(at, value[at])
            case _:
                value[at] = _changed_inside(value[at], random)
        return value
    return copy.deepcopy(random.choice(NASTY_VALUES))
