"""Base of the targets, and the promises that they check."""

from abc import ABC, abstractmethod
from pathlib import Path
from random import Random

from tests.fuzz.guard import Broken
from tests.fuzz.mutations import mutate_bytes

ASIDE = 0.03
"""Share of inputs that are not mutated, so that a reader that refuses everything is noticed."""


def expect(condition: bool, promise: str) -> None:
    """Raises Broken where a promise does not hold."""
    if not condition:
        raise Broken(promise)


def check_texts(*texts: str) -> None:
    """Texts can be written and hold no half characters."""
    for text in texts:
        expect(isinstance(text, str), f"{text!r:.80} is no text")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Broken(f"{text!r:.80} holds half a character") from None


class Target(ABC):
    """Base of all targets; not one itself."""

    kinds: tuple[str, ...] = ("",)
    mutate = staticmethod(mutate_bytes)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kind = ""
        self.whole = False

    def draw(self, random: Random) -> bytes:
        """An input of one of the kinds."""
        self.kind = random.choice(self.kinds)
        sample = self.sample(random)
        self.whole = random.random() < ASIDE
        if self.whole:
            return sample
        mutate = mutate_bytes if self.kind in ("parquet", "npz") else self.mutate
        return mutate(sample, random)

    @abstractmethod
    def sample(self, random: Random) -> bytes:
        """An input as it should be."""

    @abstractmethod
    def read(self, data: bytes) -> None:
        """Reads an input."""
