"""What a detector and a captioner say of a scene, errors included.

Both are written from the plan of the picture, not from its pixels: they stand in for models until trained ones exist.
"""

from __future__ import annotations

import random
from typing import Any

from ita.scenes.pictures import DISTRACTORS, SUBJECTS, Scene, Thing
from ita.scenes.posts import NEUTRAL, plain
from ita.scenes.shapes import COLOURS

WRONG = 0.03
"""Share of pictures whose main thing is taken for another, by the detector and, independently, by the captioner."""
OVERLOOKED = 0.02
"""Share of pictures whose main thing is not detected at all."""
DROPPED = 0.15
"""Share of other things that are not detected."""
CONFUSED = 0.08
"""Share of other things that are taken for another."""
STRAYING = 0.04
"""Chance of a caption to be about something else, times its rank."""
CAPTIONS = 5

QUALITIES: dict[str, tuple[str, ...]] = {
    "PER": ("smiling", "young", "standing", "happy"),
    "LOC": ("tall", "old", "distant", "large"),
    "ORG": ("running", "striped", "standing", "young"),
    "MISC": ("new", "shiny", "small", "modern"),
    NEUTRAL: ("small", "cute", "furry", "sitting"),
}
"""What a detector adds to a colour, by kind of picture."""

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
"""What a captioner says, by kind of picture."""

PLACES = {"grass": "in a park", "sand": "on a beach", "street": "on a street", "snow": "in the snow"}


def observe(rng: random.Random, scene: Scene) -> list[dict[str, Any]]:
    """What a detector finds: label, score, attributes with scores, box in pixels; best first."""
    fate = rng.random()
    mistaken = rng.choice(SUBJECTS[another(rng, scene.kind)])
    found = []
    for thing in scene.things:
        if thing.subject:
            # One error for all of a team, or it would hardly ever matter.
            label = "" if fate < OVERLOOKED else mistaken if fate < OVERLOOKED + WRONG else thing.label
        else:
            label = thing.label if rng.random() >= CONFUSED else rng.choice(DISTRACTORS)
            label = label if rng.random() >= DROPPED else ""
        if label:
            score = rng.uniform(0.72, 0.98) if thing.subject else rng.uniform(0.25, 0.9)
            box = [round(value, 1) for value in thing.box]
            seen = attributes(rng, scene.kind, thing)
            found.append({"label": label, "score": round(score, 3), "attributes": seen, "box": box})
    return sorted(found, key=lambda item: -item["score"])


def attributes(rng: random.Random, kind: str, thing: Thing) -> list[dict[str, Any]]:
    """A colour, up to two qualities, and a wrong colour of less than 0.1."""
    qualities = QUALITIES[kind if thing.subject else NEUTRAL]
    scores = {thing.colour: rng.uniform(0.4, 0.95)}
    scores |= {word: rng.uniform(0.06, 0.6) for word in rng.sample(qualities, rng.randint(0, 2))}
    scores.setdefault(rng.choice(list(COLOURS)), rng.uniform(0.01, 0.09))
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    return [{"label": label, "score": round(score, 3)} for label, score in ranked]


def describe(rng: random.Random, scene: Scene) -> list[str]:
    """Five captions, the best first; the lower ones stray more often."""
    subject = next(thing for thing in scene.things if thing.subject)
    mistaken = another(rng, scene.kind) if rng.random() < WRONG else ""
    others = [f"a {thing.label}" for thing in scene.things if not thing.subject] or ["a cloud"]
    phrases = {kind: iter(rng.sample(texts, CAPTIONS)) for kind, texts in PHRASES.items()}
    captions = []
    for rank in range(CAPTIONS):
        kind = mistaken or scene.kind
        if rng.random() < STRAYING * rank:
            kind = another(rng, scene.kind)
        label = subject.label if kind == scene.kind else rng.choice(SUBJECTS[kind])
        words = {"label": label, "colour": subject.colour, "other": rng.choice(others), "place": PLACES[scene.ground]}
        captions.append(next(phrases[kind]).format_map(words).replace("a orange", "an orange"))
    return captions


def another(rng: random.Random, kind: str) -> str:
    """A kind of picture other than this."""
    return rng.choice([other for other in SUBJECTS if other != kind])


def lexicon() -> set[str]:
    """Every word of tags and captions, in lower case."""
    things = {label for labels in SUBJECTS.values() for label in labels} | {*DISTRACTORS, "ball", "cloud"}
    phrases = [text for texts in PHRASES.values() for text in texts]
    qualities = [word for words in QUALITIES.values() for word in words]
    return plain(
        (*things, *(f"{label}s" for label in SUBJECTS["ORG"]), *COLOURS, *phrases, *qualities, *PLACES.values())
    )
