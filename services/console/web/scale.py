"""Numbers to places in a picture: linear or logarithmic, with round ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """A straight line between values and pixels."""

    low: float
    """Value at `start`."""
    high: float
    """Value at `end`."""
    start: float
    """Pixel of the lowest value."""
    end: float
    """Pixel of the highest."""

    def __call__(self, value: float) -> float:
        """The pixel of a value, to a tenth."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, wanted: int = 5) -> list[float]:
        """About so many round values within the range."""
        step = _round_step((self.high - self.low) / wanted)
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        return [round((first + i) * step, 9) for i in range(count)]


def around(values: list[float], start: float, end: float, floor: float = 0.0) -> Scale:
    """A scale that holds the values with a little air, and nothing below the floor."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    air = 0.06 * (high - low) or 1.0
    return Scale(max(floor, low - air), high + air, start, end)


def _round_step(rough: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough * 0.999)
