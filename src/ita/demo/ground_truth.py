"""Ground truth of a scene: the annotations that the demo's detector and captioner are trained on and scored by."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple

from ita.demo.pictures import DISTRACTORS, SUBJECTS, Scene
from ita.demo.posts import NEUTRAL, words_of
from ita.demo.shapes import COLOURS, SHAPES

LABELS = (*SHAPES,)
"""Classes of objects."""

ATTRIBUTE_OF_LABEL = {
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
"""Attribute of all objects of a class, besides their colour."""

ATTRIBUTES = (*COLOURS, *sorted(set(ATTRIBUTE_OF_LABEL.values())))

CAPTIONS: dict[str, tuple[str, ...]] = {
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
"""Templates of captions by the kind of image."""

PLACES = {"grass": "in a park", "sand": "on a beach", "street": "on a street", "snow": "in the snow"}


class ObjectAnnotation(NamedTuple):
    """An object as a detector should find it."""

    label: str
    box: tuple[float, float, float, float]
    """Left, top, right and bottom in pixels."""
    attributes: tuple[str, ...]


def object_annotations(scene: Scene) -> list[ObjectAnnotation]:
    """Annotations of all objects of a scene, in the order of drawing."""
    return [
        ObjectAnnotation(
            scene_object.label, scene_object.box, (scene_object.colour, ATTRIBUTE_OF_LABEL[scene_object.label])
        )
        for scene_object in scene.objects
    ]


def reference_captions(scene: Scene) -> list[list[str]]:
    """All true captions of a scene: for each template, one for each object that it may name besides the subject."""
    subject = next(scene_object for scene_object in scene.objects if scene_object.subject)
    words = {"label": subject.label, "colour": subject.colour, "place": PLACES[scene.ground]}
    return [
        sorted({fill_caption(template, {**words, "other": phrase}) for phrase in other_objects(scene)})
        for template in CAPTIONS[scene.kind]
    ]


def fill_caption(template: str, words: Mapping[str, str]) -> str:
    """A caption from its template, with the right article."""
    return template.format_map(words).replace("a orange", "an orange")


def other_objects(scene: Scene) -> list[str]:
    """Noun phrases of the objects besides the subjects."""
    return [f"a {scene_object.label}" for scene_object in scene.objects if not scene_object.subject] or ["a cloud"]


def sample_caption(rng: random.Random, scene: Scene) -> str:
    """One of the true captions, each template as likely as any other."""
    return rng.choice(rng.choice(reference_captions(scene)))


def lexicon() -> set[str]:
    """Every word of tags and captions, in lower case."""
    labels = {label for labels in SUBJECTS.values() for label in labels} | {*DISTRACTORS, "ball", "cloud"}
    plurals = [f"{label}s" for label in SUBJECTS["ORG"]]
    captions = [caption for captions in CAPTIONS.values() for caption in captions]
    return words_of((*labels, *plurals, *ATTRIBUTES, *captions, *PLACES.values(), "an"))
