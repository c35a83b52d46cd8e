"""What there is to be seen in a scene: the truth that the demo's detector and captioner learn and are judged by."""

from __future__ import annotations

import random
from typing import NamedTuple

from ita.demo.pictures import DISTRACTORS, SUBJECTS, Scene
from ita.demo.posts import NEUTRAL, plain
from ita.demo.shapes import COLOURS, SHAPES

LABELS = (*SHAPES,)
"""Classes of things."""

LOOKS = {
    "man": "standing",
    "woman": "smiling",
    "girl": "young",
    "player": "striped",
    "ball": "round",
    "house": "old",
    "tower": "tall",
    "mountain": "distant",
    "car": "shiny",
    "phone": "modern",
    "box": "new",
    "dog": "furry",
    "cat": "cute",
    "bird": "flying",
    "tree": "leafy",
    "flower": "fresh",
    "balloon": "floating",
    "bench": "wooden",
}
"""What things of a class look like, besides their colour."""

ATTRIBUTES = (*COLOURS, *sorted(set(LOOKS.values())))

PHRASES: dict[str, tuple[str, ...]] = {
    "PER": (
        "a {label} dressed in {colour} standing {place}",
        "a smiling {label} posing for a picture {place}",
        "a young {label} {place}",
        "portrait of a {label} with {other}",
        "a {label} looking at the camera",
        "a happy {label} next to {other}",
    ),
    "LOC": (
        "a large {label} {place}",
        "a view of a {label} and {other}",
        "a {colour} {label} under the sky",
        "the {label} of a small town",
        "a {label} with {other} in front of it",
        "landscape with a {label}",
    ),
    "ORG": (
        "a group of {label}s in {colour} shirts {place}",
        "a soccer team posing with a ball",
        "several {label}s of a team {place}",
        "a team of {label}s before the game",
        "{label}s standing in a row with a ball",
        "a group of {label}s and {other}",
    ),
    "MISC": (
        "a {colour} {label} {place}",
        "a new {label} next to {other}",
        "a close up of a {label}",
        "an advertisement of a {colour} {label}",
        "a {label} on display",
        "a shiny {label} with {other}",
    ),
    NEUTRAL: (
        "a {colour} {label} {place}",
        "a {label} and {other}",
        "a small {label} outside",
        "a cute {label} {place}",
        "there is a {label} near {other}",
        "a {label} on a quiet day",
    ),
}
"""What can be said of a picture, by its kind."""

PLACES = {"grass": "in a park", "sand": "on a beach", "street": "on a street", "snow": "in the snow"}


class Seen(NamedTuple):
    """A thing as a detector should find it."""

    label: str
    box: tuple[float, float, float, float]
    """Pixels of the picture."""
    attributes: tuple[str, ...]


def things(scene: Scene) -> list[Seen]:
    """Everything in a scene, in the order of painting."""
    return [Seen(thing.label, thing.box, (thing.colour, LOOKS[thing.label])) for thing in scene.things]


def descriptions(scene: Scene) -> list[list[str]]:
    """All true captions of a scene: for each phrase, one for each thing that it may name beside the main one."""
    subject = next(thing for thing in scene.things if thing.subject)
    words = {"label": subject.label, "colour": subject.colour, "place": PLACES[scene.ground]}
    return [
        sorted(
            {phrase.format_map({**words, "other": other}).replace("a orange", "an orange") for other in beside(scene)}
        )
        for phrase in PHRASES[scene.kind]
    ]


def beside(scene: Scene) -> list[str]:
    """What is there besides the main thing."""
    return [f"a {thing.label}" for thing in scene.things if not thing.subject] or ["a cloud"]


def describe(rng: random.Random, scene: Scene) -> str:
    """One of the true captions, each phrase as likely as any other."""
    return rng.choice(rng.choice(descriptions(scene)))


def lexicon() -> set[str]:
    """Every word of tags and captions, in lower case."""
    named = {label for labels in SUBJECTS.values() for label in labels} | {*DISTRACTORS, "ball", "cloud"}
    phrases = [text for texts in PHRASES.values() for text in texts]
    return plain((*named, *(f"{label}s" for label in SUBJECTS["ORG"]), *ATTRIBUTES, *phrases, *PLACES.values(), "an"))
