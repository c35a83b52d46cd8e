"""Pictures of the demo: a scene is planned from the seed and painted with Pillow."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ita.demo.posts import NEUTRAL, plain
from ita.demo.shapes import COLOURS, HAIR, PAINT, RGB, SHAPES, SIZES, SKIN, extent

WIDTH, HEIGHT = 400, 300
FINE = 2
"""Things are painted this much larger and then reduced, for smooth edges."""
BANNER = 84
LETTERS = 36
"""Height of a banner and size of its letters in pixels; Tesseract overlooks letters in a narrow band."""
LETTERED = 0.4
"""Share of pictures with a banner."""
PNG = 0.08
"""Share of files that hold a PNG under the name of a JPEG, as on Twitter."""

SUBJECTS: dict[str, tuple[str, ...]] = {
    "PER": ("man", "woman", "girl"),
    "LOC": ("house", "tower", "mountain"),
    "ORG": ("player",),
    "MISC": ("car", "phone", "box"),
    NEUTRAL: ("dog", "cat", "bird"),
}
"""Kind of picture -> its main things."""

DISTRACTORS = ("dog", "cat", "bird", "tree", "flower", "balloon", "bench")

COATS = {
    **dict.fromkeys(("dog", "cat"), ("brown", "grey", "orange", "black")),
    "bird": ("red", "blue", "yellow"),
    "tree": ("green",),
    "bench": ("brown",),
    "mountain": ("grey",),
    "ball": ("white",),
}
"""Colours of things that do not come in all of them."""

AIRBORNE = {"bird": 130, "balloon": 90}
"""Pixels above the ground."""

LETTERING: dict[str, tuple[str, ...]] = {
    "PER": ("BIRTHDAY PARTY", "FAN CLUB", "BEST ACTOR", "LIVE ON STAGE", "MEET THE STAR"),
    "LOC": ("WELCOME TO", "CITY LIMITS", "TOWN HALL", "VISITOR CENTRE", "MAIN STREET"),
    "ORG": ("CHAMPIONS LEAGUE", "FINAL SCORE 2:1", "FINAL SCORE 3:0", "CUP FINAL", "HOME TEAM"),
    "MISC": ("NEW MODEL", "SALE $99", "SALE $49", "ORDER NOW", "LIMITED EDITION"),
    NEUTRAL: ("HAVE A NICE DAY", "GOOD MORNING", "KEEP SMILING"),
}
"""What banners say; it tells the kind of picture."""

GROUNDS: dict[str, RGB] = {
    "grass": (124, 182, 92),
    "sand": (232, 208, 152),
    "street": (166, 166, 172),
    "snow": (236, 240, 246),
}
SKIES: tuple[tuple[RGB, RGB], ...] = (
    ((108, 176, 236), (208, 234, 250)),
    ((250, 176, 120), (252, 226, 176)),
    ((150, 168, 190), (216, 222, 228)),
    ((92, 120, 188), (226, 196, 220)),
)


@dataclass(frozen=True, kw_only=True)
class Thing:
    """Something in a picture."""

    label: str
    colour: str
    subject: bool
    x: float
    y: float
    size: float
    mirrored: bool
    skin: RGB
    hair: RGB

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in pixels, inside the picture."""
        left, right = extent(self.label)
        if self.mirrored:
            left, right = -right, -left
        x1, x2 = self.x + left * self.size, self.x + right * self.size
        return max(x1, 0.0), max(self.y - self.size, 0.0), min(x2, float(WIDTH)), min(self.y, float(HEIGHT))


@dataclass(frozen=True, kw_only=True)
class Scene:
    """All that a picture shows."""

    kind: str
    things: tuple[Thing, ...]
    """In the order of painting."""
    floor: int
    """Where things stand, in pixels from the top."""
    ground: str
    sky: tuple[RGB, RGB]
    clouds: tuple[tuple[float, float, float], ...]
    """Middle and size of each in pixels."""
    lettering: str
    banner_on_top: bool


def imagine(rng: random.Random, kind: str) -> Scene:
    """Plans a picture of a kind: one or more main things, up to three others, perhaps a banner."""
    lettering = rng.choice(LETTERING[kind]) if rng.random() < LETTERED else ""
    on_top = rng.random() < 0.5
    floor = HEIGHT - 22 - (BANNER if lettering and not on_top else 0)
    scale = 0.9 if lettering else 1.15

    def thing(label: str, colour: str, subject: bool, x: float, lower: float = 0.0) -> Thing:
        return Thing(
            label=label,
            colour=colour if label not in COATS else rng.choice(COATS[label]),
            subject=subject,
            x=x,
            y=floor + lower - AIRBORNE.get(label, 0) * scale,
            size=SIZES[label] * scale * rng.uniform(0.92, 1.06),
            mirrored=rng.random() < 0.5,
            skin=rng.choice(SKIN),
            hair=rng.choice(HAIR),
        )

    colours = [name for name in COLOURS if name not in ("white", "black")]
    colour = rng.choice(colours)
    main: list[Thing] = []
    if kind == "ORG":
        count = rng.randint(3, 5)
        start = rng.uniform(70, 90)
        step = (WIDTH - 2 * start) / (count - 1)
        main += [thing("player", colour, True, start + step * index, rng.uniform(-4, 4)) for index in range(count)]
        main += [thing("ball", "white", False, start + step * (count // 2) + rng.uniform(20, 36), 14)]
    else:
        main += [thing(rng.choice(SUBJECTS[kind]), colour, True, WIDTH / 2 + rng.uniform(-50, 50))]
    labels = [label for label in DISTRACTORS if label not in SUBJECTS[kind]]
    places = rng.sample((46, 108, 290, 352), rng.choice((0, 1, 1, 2, 2, 3)))
    others = [
        thing(label, rng.choice(colours), False, place + rng.uniform(-12, 12), rng.uniform(0, 8))
        for label, place in zip(rng.sample(labels, len(places)), places, strict=True)
    ]
    # What is large stands behind the others.
    things = [*main, *others] if kind == "LOC" else [*others, *main]
    return Scene(
        kind=kind,
        things=tuple(things),
        floor=floor,
        ground=rng.choice(list(GROUNDS)),
        sky=rng.choice(SKIES),
        clouds=tuple(
            (rng.uniform(20, WIDTH - 20), rng.uniform(20, 90) + BANNER * bool(lettering and on_top), rng.uniform(9, 15))
            for _ in range(rng.randint(0, 3))
        ),
        lettering=lettering,
        banner_on_top=on_top,
    )


def paint(scene: Scene) -> Image.Image:
    """Paints a scene."""
    image = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), GROUNDS[scene.ground])
    draw = ImageDraw.Draw(image)
    horizon = (scene.floor - 44) * FINE
    top, low = scene.sky
    for row in range(horizon):
        part = row / horizon
        draw.line(
            (0, row, WIDTH * FINE, row), fill=tuple(round(a + (b - a) * part) for a, b in zip(top, low, strict=True))
        )
    draw.ellipse((-160, horizon - 40, 520, horizon + 160), fill=darker(GROUNDS[scene.ground], 0.9))
    draw.ellipse((360, horizon - 24, 1040, horizon + 160), fill=darker(GROUNDS[scene.ground], 0.95))
    draw.rectangle((0, horizon + 24, WIDTH * FINE, HEIGHT * FINE), fill=GROUNDS[scene.ground])
    for x, y, size in scene.clouds:
        for offset, radius in ((-1.3, 0.8), (0.0, 1.2), (1.3, 0.9)):
            middle, half = x + offset * size, radius * size
            box = (middle - half * 1.3, y - half, middle + half * 1.3, y + half * 0.8)
            draw.ellipse(tuple(value * FINE for value in box), fill=(248, 248, 250))
    for thing in scene.things:
        shadow(draw, thing)
        for shape in SHAPES[thing.label]:
            stroke(draw, thing, shape)
    image = image.reduce(FINE)
    if scene.lettering:
        letter(image, scene.lettering, 0 if scene.banner_on_top else HEIGHT - BANNER)
    return image


def shadow(draw: ImageDraw.ImageDraw, thing: Thing) -> None:
    """Darkens the ground under a thing that stands on it."""
    if thing.label not in AIRBORNE and thing.label != "mountain":
        x1, _, x2, y = (value * FINE for value in thing.box)
        draw.ellipse((x1, y - 6 * FINE, x2, y + 4 * FINE), fill=(112, 122, 104))


def stroke(draw: ImageDraw.ImageDraw, thing: Thing, shape: Sequence[Any]) -> None:
    """Paints one shape of a thing."""
    form, colour, *numbers = shape
    side = -1 if thing.mirrored else 1
    points = [
        ((thing.x + side * u * thing.size) * FINE, (thing.y - v * thing.size) * FINE)
        for u, v in zip(numbers[::2], numbers[1::2], strict=True)
    ]
    fill = tint(thing, colour)
    if form == "poly":
        draw.polygon(points, fill=fill)
        return
    across, along = zip(*points, strict=True)
    box = (min(across), min(along), max(across), max(along))
    if form == "box":
        draw.rectangle(box, fill=fill)
    elif form == "round":
        draw.rounded_rectangle(box, radius=min(box[2] - box[0], box[3] - box[1]) * 0.35, fill=fill)
    elif form == "oval":
        draw.ellipse(box, fill=fill)
    elif form == "cap":
        draw.chord(box, 184, 356, fill=fill)
    elif form == "smile":
        draw.arc(box, 20, 160, fill=fill, width=FINE)
    else:
        raise ValueError(f"unknown form of shape: {form}")


def tint(thing: Thing, colour: str) -> RGB:
    """The RGB value of a shape's colour."""
    own = {"skin": thing.skin, "hair": thing.hair, "main": COLOURS[thing.colour]}
    if colour == "shade":
        return darker(COLOURS[thing.colour], 0.75)
    return own.get(colour) or PAINT.get(colour) or COLOURS[colour]


def darker(colour: RGB, factor: float) -> RGB:
    """A colour with less light."""
    red, green, blue = (round(value * factor) for value in colour)
    return red, green, blue


@cache
def font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, so that nothing depends on the fonts of a machine."""
    return ImageFont.load_default(size=LETTERS)


def letter(image: Image.Image, text: str, top: int) -> None:
    """Puts a banner over the picture, black on white."""
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, top, WIDTH, top + BANNER), fill="white")
    draw.text((WIDTH / 2, top + BANNER / 2), text, fill="black", font=font(), anchor="mm")


def encode(rng: random.Random, image: Image.Image, broken: bool = False) -> bytes:
    """The bytes of an image file: mostly JPEG, now and then PNG; a broken one is a JPEG that ends half-way."""
    buffer = BytesIO()
    if rng.random() < PNG and not broken:
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=88)
    data = buffer.getvalue()
    return data[: len(data) // 2] if broken else data


def lexicon() -> set[str]:
    """Every word of the banners, in lower case."""
    return plain(text for texts in LETTERING.values() for text in texts)
