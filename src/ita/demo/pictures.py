"""Synthetic images: a scene is sampled from the seed and drawn with Pillow."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ita.demo.posts import NEUTRAL, Post, words_of
from ita.demo.shapes import COLOURS, HAIR, PAINT, RGB, SHAPES, SIZES, SKIN, extent

WIDTH, HEIGHT = 400, 300
SUPERSAMPLING = 2
"""Images are drawn this much larger and then reduced, for smooth edges."""
BANNER_HEIGHT = 84
FONT_SIZE = 36
"""Both in pixels; Tesseract overlooks text in a narrow banner."""
BANNER_SHARE = 0.4
"""Share of images with a banner."""
PNG_SHARE = 0.08
"""Share of files that hold a PNG under the name of a JPEG, as on Twitter."""

SUBJECTS: dict[str, tuple[str, ...]] = {
    "PER": ("man", "woman", "girl"),
    "LOC": ("house", "tower", "mountain"),
    "ORG": ("player",),
    "MISC": ("car", "phone", "box"),
    NEUTRAL: ("dog", "cat", "bird"),
}
"""Kind of image -> classes of its subjects, the objects that it is about."""

DISTRACTORS = ("dog", "cat", "bird", "tree", "flower", "balloon", "bench")

COLOURS_OF_LABEL = {
    **dict.fromkeys(("dog", "cat"), ("brown", "grey", "orange", "black")),
    "bird": ("red", "blue", "yellow"),
    "tree": ("green",),
    "bench": ("brown",),
    "mountain": ("grey",),
    "ball": ("white",),
}
"""Colours of classes that do not come in all of them."""

AIRBORNE = {"bird": 130, "balloon": 90}
"""Pixels above the ground."""

BANNER_TEXTS: dict[str, tuple[str, ...]] = {
    "PER": ("BIRTHDAY PARTY", "FAN CLUB", "BEST ACTOR", "LIVE ON STAGE", "MEET THE STAR"),
    "LOC": ("WELCOME TO", "CITY LIMITS", "TOWN HALL", "VISITOR CENTRE", "MAIN STREET"),
    "ORG": ("CHAMPIONS LEAGUE", "FINAL SCORE 2:1", "FINAL SCORE 3:0", "CUP FINAL", "HOME TEAM"),
    "MISC": ("NEW MODEL", "SALE $99", "SALE $49", "ORDER NOW", "LIMITED EDITION"),
    NEUTRAL: ("HAVE A NICE DAY", "GOOD MORNING", "KEEP SMILING"),
}
"""Kind of image -> texts of its banner."""

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
class SceneObject:
    """An object in an image: class, colours, position in pixels, height in pixels."""

    label: str
    colour: str
    subject: bool
    x: float
    """Centre."""
    y: float
    """Lower edge."""
    size: float
    mirrored: bool
    skin: RGB
    hair: RGB

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in pixels, inside the image."""
        left, right = extent(self.label)
        if self.mirrored:
            left, right = -right, -left
        x1, x2 = self.x + left * self.size, self.x + right * self.size
        return max(x1, 0.0), max(self.y - self.size, 0.0), min(x2, float(WIDTH)), min(self.y, float(HEIGHT))


@dataclass(frozen=True, kw_only=True)
class Scene:
    """All that an image shows."""

    kind: str
    objects: tuple[SceneObject, ...]
    """In the order of drawing."""
    floor: int
    """Where objects stand, in pixels from the top."""
    ground: str
    sky: tuple[RGB, RGB]
    """Colours at the top and at the horizon."""
    clouds: tuple[tuple[float, float, float], ...]
    """Centre (x, y) and size of each in pixels."""
    banner: str
    """Text of the banner, empty where there is none."""
    banner_on_top: bool


def scene_of(post: Post, seed: int) -> Scene:
    """The scene of a post's image, whether or not the file exists."""
    return sample_scene(random.Random(f"{seed}/scene/{post.image_id}"), post.scene)


def sample_scene(rng: random.Random, kind: str) -> Scene:
    """Samples a scene of a kind: one or more subjects, up to three other objects, perhaps a banner."""
    banner = rng.choice(BANNER_TEXTS[kind]) if rng.random() < BANNER_SHARE else ""
    on_top = rng.random() < 0.5
    floor = HEIGHT - 22 - (BANNER_HEIGHT if banner and not on_top else 0)
    sampler = ObjectSampler(rng, floor, scale=0.9 if banner else 1.15)
    subjects = sampler.subjects(kind)
    other_objects = sampler.other_objects(kind)
    # Large subjects stand behind the other objects.
    objects = [*subjects, *other_objects] if kind == "LOC" else [*other_objects, *subjects]
    return Scene(
        kind=kind,
        objects=tuple(objects),
        floor=floor,
        ground=rng.choice(list(GROUNDS)),
        sky=rng.choice(SKIES),
        clouds=sample_clouds(rng, lowered=bool(banner) and on_top),
        banner=banner,
        banner_on_top=on_top,
    )


def sample_clouds(rng: random.Random, lowered: bool) -> tuple[tuple[float, float, float], ...]:
    """Up to three clouds, below a banner if they are ``lowered``."""
    top = BANNER_HEIGHT if lowered else 0
    return tuple(
        (rng.uniform(20, WIDTH - 20), rng.uniform(20, 90) + top, rng.uniform(9, 15)) for _ in range(rng.randint(0, 3))
    )


class ObjectSampler:
    """Samples the objects of one scene.

    Args:
        rng: source of every choice.
        floor: where objects stand, in pixels from the top.
        scale: factor of all heights.
    """

    def __init__(self, rng: random.Random, floor: int, scale: float) -> None:
        self.rng = rng
        self.floor = floor
        self.scale = scale
        self.colours = [name for name in COLOURS if name not in ("white", "black")]

    def subjects(self, kind: str) -> list[SceneObject]:
        """The subjects of a kind of image: a team with a ball, or a single object."""
        colour = self.rng.choice(self.colours)
        if kind != "ORG":
            label = self.rng.choice(SUBJECTS[kind])
            return [self.sample(label, colour, WIDTH / 2 + self.rng.uniform(-50, 50), subject=True)]
        count = self.rng.randint(3, 5)
        start = self.rng.uniform(70, 90)
        step = (WIDTH - 2 * start) / (count - 1)
        players = [
            self.sample("player", colour, start + step * index, self.rng.uniform(-4, 4), subject=True)
            for index in range(count)
        ]
        ball_x = start + step * (count // 2) + self.rng.uniform(20, 36)
        return [*players, self.sample("ball", "white", ball_x, 14)]

    def other_objects(self, kind: str) -> list[SceneObject]:
        """Up to three objects besides the subjects."""
        labels = [label for label in DISTRACTORS if label not in SUBJECTS[kind]]
        positions = self.rng.sample((46, 108, 290, 352), self.rng.choice((0, 1, 1, 2, 2, 3)))
        return [
            self.sample(label, self.rng.choice(self.colours), x + self.rng.uniform(-12, 12), self.rng.uniform(0, 8))
            for label, x in zip(self.rng.sample(labels, len(positions)), positions, strict=True)
        ]

    def sample(self, label: str, colour: str, x: float, lower: float = 0.0, subject: bool = False) -> SceneObject:
        """An object of a class.

        Args:
            label: its class.
            colour: its colour, where the class comes in all of them.
            x: its centre.
            lower: pixels below the floor.
            subject: whether the image is about it.
        """
        rng = self.rng
        return SceneObject(
            label=label,
            colour=rng.choice(COLOURS_OF_LABEL[label]) if label in COLOURS_OF_LABEL else colour,
            subject=subject,
            x=x,
            y=self.floor + lower - AIRBORNE.get(label, 0) * self.scale,
            size=SIZES[label] * self.scale * rng.uniform(0.92, 1.06),
            mirrored=rng.random() < 0.5,
            skin=rng.choice(SKIN),
            hair=rng.choice(HAIR),
        )


def draw_scene(scene: Scene) -> Image.Image:
    """Draws a scene."""
    image = Image.new("RGB", (WIDTH * SUPERSAMPLING, HEIGHT * SUPERSAMPLING), GROUNDS[scene.ground])
    draw = ImageDraw.Draw(image)
    draw_background(draw, scene)
    for scene_object in scene.objects:
        draw_shadow(draw, scene_object)
        for shape in SHAPES[scene_object.label]:
            draw_shape(draw, scene_object, shape)
    image = image.reduce(SUPERSAMPLING)
    if scene.banner:
        draw_banner(image, scene.banner, 0 if scene.banner_on_top else HEIGHT - BANNER_HEIGHT)
    return image


def draw_background(draw: ImageDraw.ImageDraw, scene: Scene) -> None:
    """Draws sky, hills, ground and clouds."""
    width, height = WIDTH * SUPERSAMPLING, HEIGHT * SUPERSAMPLING
    ground = GROUNDS[scene.ground]
    horizon = (scene.floor - 44) * SUPERSAMPLING
    for y in range(horizon):
        share = y / horizon
        colour = tuple(round(top + (low - top) * share) for top, low in zip(*scene.sky, strict=True))
        draw.line((0, y, width, y), fill=colour)
    draw.ellipse((-160, horizon - 40, 520, horizon + 160), fill=darker(ground, 0.9))
    draw.ellipse((360, horizon - 24, 1040, horizon + 160), fill=darker(ground, 0.95))
    draw.rectangle((0, horizon + 24, width, height), fill=ground)
    for cloud_x, cloud_y, size in scene.clouds:
        for offset, radius in ((-1.3, 0.8), (0.0, 1.2), (1.3, 0.9)):
            x, half = cloud_x + offset * size, radius * size
            box = (x - half * 1.3, cloud_y - half, x + half * 1.3, cloud_y + half * 0.8)
            draw.ellipse(tuple(value * SUPERSAMPLING for value in box), fill=(248, 248, 250))


def draw_shadow(draw: ImageDraw.ImageDraw, scene_object: SceneObject) -> None:
    """Darkens the ground under an object that stands on it."""
    if scene_object.label not in AIRBORNE and scene_object.label != "mountain":
        x1, _, x2, y = (value * SUPERSAMPLING for value in scene_object.box)
        draw.ellipse((x1, y - 6 * SUPERSAMPLING, x2, y + 4 * SUPERSAMPLING), fill=(112, 122, 104))


def draw_shape(draw: ImageDraw.ImageDraw, scene_object: SceneObject, shape: Sequence[Any]) -> None:
    """Draws one shape of an object."""
    form, colour, *numbers = shape
    side = -1 if scene_object.mirrored else 1
    points = [
        (
            (scene_object.x + side * u * scene_object.size) * SUPERSAMPLING,
            (scene_object.y - v * scene_object.size) * SUPERSAMPLING,
        )
        for u, v in zip(numbers[::2], numbers[1::2], strict=True)
    ]
    fill = rgb_of(scene_object, colour)
    if form == "poly":
        draw.polygon(points, fill=fill)
        return
    xs, ys = zip(*points, strict=True)
    box = (min(xs), min(ys), max(xs), max(ys))
    if form == "box":
        draw.rectangle(box, fill=fill)
    elif form == "round":
        draw.rounded_rectangle(box, radius=min(box[2] - box[0], box[3] - box[1]) * 0.35, fill=fill)
    elif form == "oval":
        draw.ellipse(box, fill=fill)
    elif form == "cap":
        draw.chord(box, 184, 356, fill=fill)
    elif form == "smile":
        draw.arc(box, 20, 160, fill=fill, width=SUPERSAMPLING)
    else:
        raise ValueError(f"unknown form of shape: {form}")


def rgb_of(scene_object: SceneObject, colour: str) -> RGB:
    """The RGB value of a shape's colour."""
    main = COLOURS[scene_object.colour]
    object_colours = {"skin": scene_object.skin, "hair": scene_object.hair, "main": main, "shade": darker(main, 0.75)}
    return {**COLOURS, **PAINT, **object_colours}[colour]


def darker(colour: RGB, factor: float) -> RGB:
    """A colour with less light."""
    red, green, blue = (round(value * factor) for value in colour)
    return red, green, blue


@cache
def font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's built-in font, so that no image depends on the fonts of a machine."""
    return ImageFont.load_default(size=FONT_SIZE)


def draw_banner(image: Image.Image, text: str, top: int) -> None:
    """Draws a banner over the image, black on white."""
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, top, WIDTH, top + BANNER_HEIGHT), fill="white")
    draw.text((WIDTH / 2, top + BANNER_HEIGHT / 2), text, fill="black", font=font(), anchor="mm")


def encode(rng: random.Random, image: Image.Image, broken: bool = False) -> bytes:
    """The bytes of an image file: mostly JPEG, sometimes PNG; a broken one is a JPEG that ends half-way."""
    buffer = BytesIO()
    if rng.random() < PNG_SHARE and not broken:
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=88)
    data = buffer.getvalue()
    return data[: len(data) // 2] if broken else data


def image_bytes(post: Post, seed: int) -> bytes:
    """The image file of a post."""
    # The texts of the seeds are part of the data set: another text draws other images.
    rng = random.Random(f"{seed}/sight/{post.image_id}")
    return encode(rng, draw_scene(scene_of(post, seed)), broken=post.image == "broken")


def lexicon() -> set[str]:
    """Every word of the banners, in lower case."""
    return words_of(text for texts in BANNER_TEXTS.values() for text in texts)
