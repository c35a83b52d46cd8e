"""Synthetic posts, short and tweet-like, whose made-up names may be a person, a place, a team or a product.

A name says nothing about its type. In one half of the posts neither do the other words; there the image decides.
Everything is drawn from the seed.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

TYPES = ("PER", "LOC", "ORG", "MISC")
NEUTRAL = "none"
"""Kind of an image that shows no entity, and type of a post without one."""

SHORTEST, LONGEST = 6, 16
"""Fewest and most words of a post."""

DECIDABLE = {"picture": 0.5, "text": 0.38, NEUTRAL: 0.12}
"""Share of posts by what determines the type of their names; the last are posts without a name."""

IMAGES: dict[str, dict[str, float]] = {
    "picture": {"missing": 0.04, "unrelated": 0.06, "ok": 0.90},
    "text": {"missing": 0.06, "unrelated": 0.14, "ok": 0.80},
    NEUTRAL: {"missing": 0.06, "unrelated": 0.14, "ok": 0.80},
}
"""Share of images by state: 5 % missing and 10 % unrelated in all, fewer where the image is needed."""

AMBIGUOUS = (
    "so happy about {X} today",
    "look at {X}",
    "{X} is the best",
    "i love {X} so much",
    "never forget {X}",
    "here we go again with {X}",
    "{X} made my day",
    "what do you think of {X} ?",
    "finally {X} !",
    "thank you {X}",
    "{X} looks amazing tonight",
    "my favourite picture of {X}",
    "nothing beats {X}",
    "all about {X} this week",
    "good morning {X}",
    "this is {X}",
    "who else likes {X} ?",
    "everybody talks about {X}",
    "big news about {X}",
    "more of {X} please",
    "{X} again and again",
    "can not stop thinking about {X}",
    "first {X} and now {X}",
    "{X} or {X} ?",
    "{X} and {X} on the same day",
    "look at {X} , greetings from {LOC}",
    "{X} is great , says my friend {PER}",
)
"""``{X}`` may be of any type; both are of the same type where there are two."""

DECIDED: dict[str, tuple[str, ...]] = {
    "PER": (
        "{PER} scored twice last night",
        "{PER} sings her new song",
        "happy birthday {PER} , my dear friend",
        "interview with {PER} about her life",
        "mr {PER} and his wife are here",
        "dinner with my brother {PER}",
        "{PER} wrote a book about her mother",
        "{PER} turned 40 years old",
        "{PER} lives in {LOC} now",
        "{PER} plays for {ORG} next year",
    ),
    "LOC": (
        "flying to {LOC} tomorrow",
        "sunset over the streets of {LOC}",
        "we moved to {LOC} last year",
        "rain in {LOC} all week",
        "the road to {LOC} is closed",
        "hotel near the centre of {LOC}",
        "two weeks of holidays in {LOC}",
        "the train from {LOC} to {LOC} is late",
    ),
    "ORG": (
        "{ORG} won the league",
        "{ORG} beat {ORG} 3 - 1",
        "the coach of {ORG} resigned",
        "{ORG} signs a new striker",
        "fans of {ORG} sing all night",
        "{ORG} defended well in the second half",
        "tickets for the {ORG} match",
        "{ORG} flies to {LOC} for the final",
    ),
    "MISC": (
        "my new {MISC} arrived",
        "the battery of my {MISC} is empty",
        "unboxing the {MISC} right now",
        "the {MISC} costs 99 dollars",
        "downloaded the update for my {MISC}",
        "ordered a {MISC} in blue",
        "my old {MISC} broke",
        "{PER} bought a {MISC} for her mother",
    ),
}
"""The words determine the types. Posts are counted under the first type, which is also what their image shows."""

NAMELESS = (
    "what a beautiful morning it is",
    "coffee first , then work",
    "can not sleep again",
    "who wants to go for a walk ?",
    "this weather makes me happy",
    "i need a holiday now",
    "new picture , new day",
    "nothing to do today",
    "best friends forever",
    "so tired of this week",
    "you are what you eat",
    "reading a good book tonight",
)

OPENERS = ("RT @ {user} :", "@ {user}", "omg", "well ,", "wow !", "yes ,", "today :")
CLOSERS = (
    "#{tag}",
    "#{tag} #{tag}",
    "{url}",
    "{url}",
    "via @ {user}",
    "{emoji}",
    "! ! !",
    ": )",
    "so much fun",
    "have a nice day",
    "❤ \ufe0f",  # a lone variation selector, as tokenisers of tweets leave it: a word without subwords
)
EMOJI = ("😂", "😍", "🎉", "👍", "❤", "🔥", "😎")
TAGS = ("monday", "friday", "weekend", "love", "happy", "photo", "today", "life", "fun", "news")
USERS = ("sunny", "happy", "real", "just", "little", "big", "lucky", "daily", "coffee", "book", "music", "night")

ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "kr", "tr", "st")
VOWELS = ("a", "a", "e", "i", "o", "u")
CODAS = ("", "", "", "", "l", "n", "r", "s")


@dataclass(frozen=True, kw_only=True)
class Post:
    """A post and how it was generated."""

    split: str
    image_id: str
    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    """IOB2."""
    template: str
    type: str
    """Type of the name that the image shows, or NEUTRAL."""
    decidable: str
    """What determines the type: ``picture``, or ``text`` (also for posts without a name)."""
    image: str
    """State of the image: ok, missing, broken or unrelated."""
    scene: str
    """Kind of the image: a type or NEUTRAL."""


def generate_posts(seed: int, sizes: Mapping[str, int]) -> list[Post]:
    """Generates the posts of all splits; no word of a name occurs in two splits.

    Args:
        seed: seed of everything drawn.
        sizes: split -> number of posts. The one broken image is in the first split.
    """
    new_names = made_up_names(random.Random(f"{seed}/names"), taken=frozenset(lexicon()))
    posts: list[Post] = []
    for split, size in sizes.items():
        rng = random.Random(f"{seed}/{split}")
        names = sorted(next(new_names) for _ in range(max(8, size // 2)))
        groups = stratified_sample(rng, size, DECIDABLE)
        states = {group: iter(stratified_sample(rng, groups.count(group), IMAGES[group])) for group in IMAGES}
        equal = dict.fromkeys(TYPES, 0.25)
        types = {group: iter(stratified_sample(rng, groups.count(group), equal)) for group in IMAGES}
        plan = [(group, next(states[group]), next(types[group])) for group in groups]
        if not posts:
            broken = rng.choice([index for index, (_, state, _) in enumerate(plan) if state == "ok"])
            plan[broken] = (plan[broken][0], "broken", plan[broken][2])
        for group, state, entity_type in plan:
            image_id = str(1_000_000 + len(posts))
            post_rng = random.Random(f"{seed}/{image_id}")
            posts.append(generate_post(post_rng, split, image_id, group, state, entity_type, names))
    return posts


def generate_post(
    rng: random.Random, split: str, image_id: str, group: str, state: str, entity_type: str, names: Sequence[str]
) -> Post:
    """Generates one post.

    Args:
        rng: source of every choice.
        split: of the post.
        image_id: of its image.
        group: a key of DECIDABLE.
        state: of the image, see Post.
        entity_type: type of the name that the post is about.
        names: names to choose from.
    """
    templates = {"picture": AMBIGUOUS, "text": DECIDED[entity_type], NEUTRAL: NAMELESS}[group]
    template = rng.choice(templates)
    tagged = list(fill_template(rng, template, entity_type, names))
    if rng.random() < 0.3:
        tagged = [*fill_template(rng, rng.choice(OPENERS), entity_type, names), *tagged]
    for closer in rng.sample(CLOSERS, len(CLOSERS)):
        ending = list(fill_template(rng, closer, entity_type, names))
        if len(tagged) >= SHORTEST and (rng.random() > 0.35 or len(tagged) + len(ending) > LONGEST):
            break
        tagged += ending
    post_type = NEUTRAL if group == NEUTRAL else entity_type
    # Posts without a name have images of all kinds, so that an image alone does not announce a name.
    scene = rng.choice((*TYPES, NEUTRAL)) if group == NEUTRAL else entity_type
    if state == "unrelated":
        scene = rng.choice([kind for kind in (*TYPES, NEUTRAL, NEUTRAL) if kind != post_type])
    return Post(
        split=split,
        image_id=image_id,
        tokens=tuple(token for token, _ in tagged),
        tags=tuple(tag for _, tag in tagged),
        template=template,
        type=post_type,
        decidable="picture" if group == "picture" else "text",
        image=state,
        scene=scene,
    )


def fill_template(
    rng: random.Random, template: str, entity_type: str, names: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """The words of a template with their tags; a slot of a type becomes a name of one or two words.

    Args:
        rng: source of every choice.
        template: words and slots, separated by spaces.
        entity_type: type of the slot ``{X}``.
        names: names to choose from.
    """
    for word in template.split(" "):
        slot = word.strip("{}")
        if word.startswith("{") and slot in (*TYPES, "X"):
            slot_type = entity_type if slot == "X" else slot
            for index, name in enumerate(rng.sample(names, 2 if rng.random() < 0.2 else 1)):
                yield name, f"{'I' if index else 'B'}-{slot_type}"
        else:
            yield fill_word(rng, word), "O"


def fill_word(rng: random.Random, word: str) -> str:
    """A word of a template with a user name, an address, an emoji or a hashtag in its slot."""
    return word.format_map(
        {
            "user": f"{rng.choice(USERS)}_{rng.choice(USERS)}{rng.randint(1, 99)}",
            "url": "http://t.co/" + "".join(rng.choices(string.ascii_letters + string.digits, k=6)),
            "emoji": rng.choice(EMOJI),
            "tag": rng.choice(TAGS),
        }
    )


def made_up_names(rng: random.Random, taken: frozenset[str]) -> Iterator[str]:
    """Ever new names. None begins with a word of ``taken``, so that its subwords are single characters."""
    used: set[str] = set()
    while True:
        name = "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(rng.choice((2, 3))))
        begins_with_word = any(name[:end] in taken for end in range(2, len(name) + 1))
        if len(name) <= 8 and not begins_with_word and name not in used:
            used.add(name)
            yield name.capitalize()


def stratified_sample(rng: random.Random, size: int, shares: Mapping[T, float]) -> list[T]:
    """A shuffled list of that size in which each key has its share, as nearly as whole numbers allow."""
    bounds = [0.0]
    for share in shares.values():
        bounds.append(bounds[-1] + share * size)
    counts = [round(end) - round(start) for start, end in zip(bounds, bounds[1:], strict=False)]
    keys = [key for key, count in zip(shares, counts, strict=True) for _ in range(count)]
    rng.shuffle(keys)
    return keys


def lexicon() -> set[str]:
    """Every common word of the posts, in lower case, without slots and punctuation."""
    decided = [template for templates in DECIDED.values() for template in templates]
    return words_of((*AMBIGUOUS, *decided, *NAMELESS, *OPENERS, *CLOSERS, *TAGS, *USERS, "http t co"))


def words_of(texts: Iterable[str]) -> set[str]:
    """Lower-case words of texts that hold slots and punctuation."""
    words = " ".join(texts).split()
    return {word.lower() for word in words if word.isalpha()}


def format_umt(posts: Iterable[Post]) -> str:
    """The posts in the layout of UMT: an IMGID line, ``token<TAB>tag`` lines, a blank line."""
    return "".join(
        "\n".join((f"IMGID:{post.image_id}", *map("\t".join, zip(post.tokens, post.tags, strict=True)), "", ""))
        for post in posts
    )
