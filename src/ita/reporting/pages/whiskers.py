"""Differences drawn as a dot with its interval, all of a table on one scale."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

WIDTH, HEIGHT = 116, 22
"""Of a drawing, in pixels."""
MARGIN = 5
STEPS = (1, 2, 2.5, 5, 10)
"""Distances of ticks, times a power of ten."""


@dataclass(frozen=True)
class Difference:
    """A difference with its 95 % interval in points; None where there is no interval."""

    gain: float
    low: float | None
    high: float | None

    @property
    def text(self) -> str:
        """For those who do not see the drawing."""
        if self.low is None or self.high is None:
            return ""
        return f"95 % interval {self.low:+.2f} to {self.high:+.2f}"

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Scale:
    """A common scale for drawings: points to pixels."""

    low: float
    high: float

    @classmethod
    def of(cls, differences: Iterable[Difference]) -> Scale:
        """The smallest scale with zero that holds all differences and their intervals."""
        ends = [0.0]
        for difference in differences:
            ends += [end for end in (difference.gain, difference.low, difference.high) if end is not None]
        low, high = min(ends), max(ends)
        return cls(low, high if high > low else low + 1.0)

    def at(self, points: float) -> float:
        """Pixels from the left."""
        share = (points - self.low) / (self.high - self.low)
        return round(MARGIN + share * (WIDTH - 2 * MARGIN), 1)

    @property
    def ticks(self) -> list[float]:
        """Zero and a round number near each end, as far as they do not touch zero."""
        reach = max(-self.low, self.high)
        unit = 10 ** math.floor(math.log10(reach / 2))
        step = max(unit * factor for factor in STEPS if unit * factor <= reach)
        marks = [number * step for number in (-1, 0, 1)]
        return [mark for mark in marks if self.low <= mark <= self.high]
